"""Random shifting, crop-resize-shift, partial crops: their distributions and where things land."""

import numpy as np
import pytest
import torch
from scipy import stats

from reidlib.data import augment
from reidlib.geometry import theta_to_box, transform_box

N = 20_000
SIZE = (400, 200)


def shares(placed):
    """Heights of crop and patch, width of the patch, as shares of the frame."""
    source, window = placed.source.numpy(), placed.window.numpy()
    crop = (source[:, 3] - source[:, 1]) / 2
    height = (window[:, 3] - window[:, 1]) / SIZE[0]
    width = (window[:, 2] - window[:, 0]) / SIZE[1]
    return crop, height, width


def uniform(values, low, high, limit=0.02):
    return stats.kstest(values, stats.uniform(low, high - low).cdf).statistic < limit


def test_random_shift_follows_the_papers_distributions():
    placed = augment.random_shift(N, np.random.default_rng(0), SIZE)
    crop, height, width = shares(placed)
    cropped = crop < 1
    assert cropped.mean() == pytest.approx(0.5, abs=0.015)  # p_c
    assert uniform(crop[cropped], 0.7, 1.0)  # r_c
    rate = height / crop  # r_h ~ U(0.5, 1 / r_c)
    assert uniform((rate - 0.5) / (1 / crop - 0.5), 0, 1)
    assert uniform(width, 0.5, 1.0)  # r_w
    assert abs(np.corrcoef(rate[~cropped], width[~cropped])[0, 1]) < 0.03
    assert (placed.source[:, 0] == -1).all()
    assert (placed.source[:, 2] == 1).all()


def test_random_shift_never_leaves_the_frame_and_reaches_its_edges():
    window = augment.random_shift(N, np.random.default_rng(1), SIZE).window.numpy()
    assert (window[:, :2].min(0) == 0).all()
    assert (window[:, 2:].max(0) == (200, 400)).all()
    free = SIZE[1] - (window[:, 2] - window[:, 0])
    assert uniform((window[:, 0] + 0.5) / (free + 1), 0, 1)
    free = SIZE[0] - (window[:, 3] - window[:, 1])
    assert uniform((window[:, 1] + 0.5) / (free + 1), 0, 1)


def test_random_shift_with_probability():
    window = augment.random_shift(N, np.random.default_rng(2), SIZE, p=0.3).window
    whole = (window == torch.tensor([0, 0, 200, 400])).all(1)
    assert whole.float().mean() == pytest.approx(0.7, abs=0.015)


def test_the_theta_puts_the_crop_into_the_window():
    for draw in (augment.random_shift, augment.crop_resize_shift):
        placed = draw(500, np.random.default_rng(3), SIZE)
        found = transform_box(placed.theta, placed.source)
        length = torch.tensor([200, 400, 200, 400])
        pixels = (found + 1) / 2 * length
        clipped = torch.minimum(pixels.clamp(min=0), length)
        torch.testing.assert_close(clipped, placed.window.float(), atol=1e-2, rtol=0)


def test_crop_resize_shift():
    placed = augment.crop_resize_shift(N, np.random.default_rng(0), SIZE, (0.5, 1.0), 0.2)
    source = placed.source.numpy()
    side = (source[:, 2:] - source[:, :2]) / 2
    assert uniform(side.prod(1), 0.5, 1.0)
    np.testing.assert_allclose(side[:, 0], side[:, 1], atol=0.01)
    window = placed.window.numpy()
    shift = (window[:, 0] - (200 - window[:, 2])) / 200
    assert uniform(shift, -0.2, 0.2)


@pytest.mark.parametrize(
    ("recipe", "low", "high"), [("remove", 0.4, 0.8), ("keep", 0.2, 0.6), ("vertical", 0.6, 0.9)]
)
def test_partial_crop_keeps_the_stated_share(recipe, low, high):
    box = theta_to_box(augment.partial_crop(N, np.random.default_rng(0), recipe)).numpy()
    width, height = (box[:, 2:] - box[:, :2]).T / 2
    assert uniform(width * height, low, high)
    cut = np.stack([box[:, 1] > -1 + 1e-6, box[:, 3] < 1 - 1e-6, box[:, 0] > -1 + 1e-6,
                    box[:, 2] < 1 - 1e-6], 1)  # fmt: skip
    assert (cut.sum(1) == 1).all()
    expected = [0, 1, 0, 0] if recipe == "vertical" else [0.25] * 4  # top, bottom, left, right
    np.testing.assert_allclose(cut.mean(0), expected, atol=0.015)
