"""Augmentations: their distributions, and what erasing does to pixels."""

import numpy as np
import pytest
import torch
from scipy import stats

from reidlib.data import augment

N = 20_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
def test_mirror_with_probability_p(rng, p):
    theta = augment.mirror(N, rng, p)
    plain, mirrored = torch.eye(2, 3), torch.tensor([[-1.0, 0, 0], [0, 1, 0]])
    is_mirrored = (theta == mirrored).all((1, 2))
    assert ((theta == plain).all((1, 2)) ^ is_mirrored).all()
    assert is_mirrored.float().mean() == pytest.approx(p, abs=4 * (p * (1 - p) / N) ** 0.5)


def test_pad_crop_shifts_by_whole_pixels_uniformly(rng):
    height, width, pad = 64, 32, 5 / 64
    theta = augment.pad_crop(N, rng, (height, width), pad)
    assert torch.equal(theta[:, :, :2], torch.eye(2).expand(N, 2, 2))
    for axis, length in ((0, width), (1, height)):
        shift = theta[:, axis, 2].numpy() * length / 2
        np.testing.assert_allclose(shift, np.rint(shift), atol=1e-5)
        values, counts = np.unique(np.rint(shift), return_counts=True)
        assert values.tolist() == list(range(-5, 6))
        assert stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(theta[:, :, 2].T)[0, 1]) < 0.03  # x and y are independent


@pytest.mark.parametrize(("size", "pixels"), [((256, 128), 10), ((128, 64), 5), ((8, 4), 0)])
def test_pad_crop_follows_the_height(rng, size, pixels):
    theta = augment.pad_crop(2000, rng, size, 10 / 256)
    assert (theta[:, 0, 2] * size[1] / 2).abs().max() == pytest.approx(pixels)
    assert (theta[:, 1, 2] * size[0] / 2).abs().max() == pytest.approx(pixels)


def test_erased_area_and_aspect_stay_in_their_limits(rng):
    height, width = 256, 128
    boxes = augment.erase_boxes(N, rng, (height, width), 1.0, (0.02, 0.4), 0.3)
    assert boxes.dtype == torch.int64
    x0, y0, x1, y1 = boxes.numpy().T
    assert x0.min() == 0
    assert y0.min() == 0
    assert x1.max() == width
    assert y1.max() == height
    w, h = x1 - x0, y1 - y0
    assert (w > 0).all()
    assert (h > 0).all()
    # a side is off by at most half a pixel of rounding
    assert ((w + 0.5) * (h + 0.5) >= 0.02 * height * width).all()
    assert ((w - 0.5) * (h - 0.5) <= 0.4 * height * width).all()
    assert ((h + 0.5) / (w - 0.5) >= 0.3).all()
    assert ((h - 0.5) / (w + 0.5) <= 1 / 0.3).all()


def test_erased_area_aspect_and_place_are_uniform_where_all_fits(rng):
    height = width = 400
    boxes = augment.erase_boxes(N, rng, (height, width), 1.0, (0.02, 0.2), 0.5).numpy()
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, ratio = w * h / height / width, h / w
    x, y = (boxes[:, 0] + 0.5) / (width - w + 1), (boxes[:, 1] + 0.5) / (height - h + 1)
    uniform = [(share, 0.02, 0.2), (ratio, 0.5, 2.0), (x, 0, 1), (y, 0, 1)]
    for values, low, high in uniform:
        distance = stats.kstest(values, stats.uniform(low, high - low).cdf).statistic
        assert distance < 0.015  # 1.95 / sqrt(N) is 0.1 %; rounding to pixels adds some


def test_erasing_has_its_probability(rng):
    boxes = augment.erase_boxes(N, rng, (128, 64), 0.3)
    empty = (boxes == 0).all(1)
    assert empty.float().mean() == pytest.approx(0.7, abs=0.015)
    some = boxes[~empty]
    assert (some[:, 2] > some[:, 0]).all()
    assert not augment.erase_boxes(100, rng, (128, 64), 0.0).any()
    # a single try: what does not fit is left out, never cut to fit
    once = augment.erase_boxes(N, rng, (128, 32), 1.0, (0.3, 0.4), 0.3, tries=1)
    share = (once[:, 2] - once[:, 0]) * (once[:, 3] - once[:, 1]) / (128 * 32)
    assert 0.3 < (share == 0).float().mean() < 0.9
    assert share[share > 0].min() > 0.28


def test_a_box_that_never_fits_is_empty(rng):
    assert not augment.erase_boxes(100, rng, (64, 4), 1.0, (0.9, 0.95), 0.99).any()


def test_erase_sets_the_pixels_of_the_box_and_no_others(rng):
    images = torch.randn(40, 3, 16, 8)
    before = images.clone()
    boxes = augment.erase_boxes(40, rng, (16, 8), 0.7)
    expected = images.clone()
    for i, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        expected[i, :, y0:y1, x0:x1] = -1.5
    assert torch.equal(augment.erase(images, boxes, fill=-1.5), expected)
    assert torch.equal(images, before)
    assert torch.equal(augment.erase(images, torch.zeros(40, 4, dtype=torch.int64)), images)
    whole = torch.tensor([[0, 0, 8, 16]]).expand(40, 4)
    assert not augment.erase(images, whole).any()
