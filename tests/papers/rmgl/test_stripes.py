"""Stripes: cut and put together again, balanced cuts against a loop over images."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.errors import ReidError
from reidlib.papers.rmgl.stripes import (
    activation_histogram,
    activation_shares,
    balanced_cuts,
    partition,
    pool_stripes,
    unpartition,
)


def balanced_loop(image: torch.Tensor, n: int) -> list[int]:
    """RMGL Eq. 8 to 10, channel by channel, row by row."""
    channels, height, _ = image.shape
    histogram = [0] * height
    for c in range(channels):
        if image[c].max() > image[c].min():
            y, _ = divmod(int(image[c].flatten().argmax()), image.shape[2])
            histogram[y] += 1
    total, cuts = sum(histogram), [0]
    for k in range(1, n):
        h = next((h for h in range(1, height + 1) if sum(histogram[:h]) * n >= k * total), height)
        cuts.append(min(max(h, cuts[-1] + 1), height - (n - k)))
    return [*cuts, height]


def pool_loop(image: torch.Tensor, cuts: list[int], pooling: str) -> torch.Tensor:
    """RMGL Eq. 11 (or the maximum), stripe by stripe."""
    parts = [image[:, a:b].flatten(1) for a, b in pairwise(cuts)]
    return torch.stack([p.mean(1) if pooling == "avg" else p.amax(1) for p in parts])


@given(
    n=st.integers(1, 6),
    height=st.integers(6, 14),
    width=st.integers(1, 4),
    channels=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    dead=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_balanced_pooling_equals_a_loop_over_images(n, height, width, channels, seed, dead):
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, channels, height, width, generator=rng)
    maps[:, :, : height // 3] += 1.5  # the maxima are not spread evenly
    if dead:
        maps = maps.relu()
        maps[:, ::2] = 0
    cuts = balanced_cuts(maps, n)
    expected = [balanced_loop(image, n) for image in maps]
    assert cuts.tolist() == expected
    assert (cuts.diff(dim=1) >= 1).all(), "every stripe has a row"
    for pooling in ("avg", "max"):
        loop = torch.stack([pool_loop(i, c, pooling) for i, c in zip(maps, expected, strict=True)])
        torch.testing.assert_close(pool_stripes(maps, cuts, pooling), loop)


def test_balanced_stripes_hold_as_many_maxima_as_rows_allow():
    maps = torch.rand(20, 512, 24, 8)
    histogram = activation_histogram(maps)
    assert (histogram.sum(1) == 512).all()
    cuts = balanced_cuts(maps, 3)
    reached = torch.cat([torch.zeros(20, 1, dtype=torch.int64), histogram.cumsum(1)], 1)
    held = reached.gather(1, cuts).diff(dim=1)
    torch.testing.assert_close(activation_shares(maps, cuts), held / 512)
    assert (held - 512 / 3).abs().max() <= histogram.max(), "off by less than the fullest row"


def test_a_dead_channel_counts_nowhere():
    maps = torch.zeros(1, 5, 6, 2)
    maps[0, 0, 4, 1] = 1.0
    assert activation_histogram(maps).tolist() == [[0, 0, 0, 0, 1, 0]]
    assert balanced_cuts(torch.zeros(1, 5, 6, 2), 3).tolist() == [[0, 1, 2, 6]], "no maximum at all"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_partition_is_undone(layout):
    maps = torch.randn(4, 8, 12, 5).contiguous(memory_format=layout)
    stripes = partition(maps, 3)
    assert stripes.shape == (12, 8, 4, 5)
    assert torch.equal(stripes[4], maps[1, :, 4:8]), "image 1, its second stripe"
    assert torch.equal(unpartition(stripes, 3), maps)
    if layout is torch.channels_last:
        assert stripes.data_ptr() == maps.data_ptr(), "no copy"


def test_too_many_stripes_are_refused():
    with pytest.raises(ReidError, match="a map of 12 rows cannot be cut into 5 equal stripes"):
        partition(torch.zeros(1, 1, 12, 1), 5)
    with pytest.raises(ReidError, match="a map of 2 rows cannot be cut into 3 stripes"):
        balanced_cuts(torch.zeros(1, 1, 2, 1), 3)
