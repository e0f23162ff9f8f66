"""Colour jitter: distributions, and pixels against a slow per-pixel reference."""

import colorsys

import numpy as np
import pytest
import torch
from scipy import stats

from reidlib.data.bank import MEAN, STD, denormalise
from reidlib.data.colour import LUMA, apply_colour, colour_matrices

N = 20_000


def normalised(rgb: torch.Tensor) -> torch.Tensor:
    return (rgb - torch.tensor(MEAN).reshape(3, 1, 1)) / torch.tensor(STD).reshape(3, 1, 1)


def test_no_jitter_changes_nothing():
    matrix, contrast = colour_matrices(4, np.random.default_rng(0), 0, 0, 0, 0)
    images = normalised(torch.rand(4, 3, 8, 4))
    torch.testing.assert_close(apply_colour(images, matrix, contrast), images, atol=2e-3, rtol=0)


def test_factors_are_uniform():
    matrix, contrast = colour_matrices(N, np.random.default_rng(0), 0.3, 0.2, 0.0, 0.0)
    assert stats.kstest(contrast.numpy(), stats.uniform(0.8, 0.4).cdf).statistic < 0.015
    brightness = matrix[:, 0, 0].numpy()
    assert stats.kstest(brightness, stats.uniform(0.7, 0.6).cdf).statistic < 0.015
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.03


def test_saturation_and_hue_keep_the_luminance():
    matrix, _ = colour_matrices(50, np.random.default_rng(0), 0, 0, 0.5, 0.5)
    torch.testing.assert_close(LUMA @ matrix, LUMA.expand(50, 3), atol=2e-3, rtol=0)
    grey = torch.full((3,), 0.4)
    torch.testing.assert_close(matrix @ grey, grey.expand(50, 3), atol=2e-3, rtol=0)


@pytest.mark.parametrize("part", ["brightness", "contrast", "saturation"])
def test_pixels_equal_the_slow_reference(part):
    amount = {part: 0.4}
    options = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, **amount}
    matrix, contrast = colour_matrices(3, np.random.default_rng(2), **options)
    factors = 1 + 0.4 * (2 * np.random.default_rng(2).random((3, 3)) - 1)  # b, c, s, each [3]
    factor = dict(zip(("brightness", "contrast", "saturation"), factors, strict=True))[part]
    rgb = torch.rand(3, 3, 6, 4)
    found = denormalise(apply_colour(normalised(rgb), matrix, contrast))
    luma = LUMA.tolist()
    for i in range(3):
        pixels = rgb[i].permute(1, 2, 0).reshape(-1, 3).tolist()
        grey = sum(sum(w * v for w, v in zip(luma, p, strict=True)) for p in pixels) / len(pixels)
        for k, p in enumerate(pixels):
            own = sum(w * v for w, v in zip(luma, p, strict=True))
            base = {"brightness": 0.0, "contrast": grey, "saturation": own}[part]
            expected = [min(max(factor[i] * v + (1 - factor[i]) * base, 0), 1) for v in p]
            np.testing.assert_allclose(found[i].flatten(1)[:, k], expected, atol=2e-3)


def test_hue_turns_all_colours_by_the_angle_drawn():
    matrix, _ = colour_matrices(200, np.random.default_rng(0), 0, 0, 0, 0.1)
    rng = np.random.default_rng(0)
    for _ in range(3):
        rng.random(200)  # brightness, contrast, saturation
    drawn = 0.1 * (2 * rng.random(200) - 1)  # of a full turn
    turned = matrix @ torch.tensor([0.6, 0.4, 0.4])
    hue = np.array([colorsys.rgb_to_hsv(*c)[0] for c in turned.clamp(0, 1).tolist()])
    shift = (hue + 0.5) % 1 - 0.5
    assert abs(np.corrcoef(shift, drawn)[0, 1]) > 0.98
    assert np.abs(shift).max() == pytest.approx(0.1, abs=0.04)
