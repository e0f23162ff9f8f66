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
    equal_cuts,
    partition,
    pool_equal,
    pool_stripes,
    unpartition,
)


def border(image: torch.Tensor, share: float, rounding: str) -> float:
    """Where a cut must lie, from the sorted places of the channels' maxima (RMGL Eq. 10)."""
    alive = image.flatten(1).amax(1) > image.flatten(1).amin(1)
    rows = sorted((image[alive].flatten(1).argmax(1) // image.shape[2]).tolist())
    counts = [sum(row < h for row in rows) for h in range(image.shape[1] + 1)]
    wanted = share * len(rows)
    if rounding == "floor":
        return max(h for h, count in enumerate(counts) if count <= wanted + 1e-9)
    if rounding == "ceil":
        return min(h for h, count in enumerate(counts) if count >= wanted - 1e-9)
    nearest = min(abs(count - wanted) for count in counts)
    tied = [h for h, count in enumerate(counts) if abs(count - wanted) < nearest + 1e-9]
    return min(tied, key=lambda h: abs(h - share * image.shape[1]))


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
    for rounding in ("nearest", "floor", "ceil"):
        cuts = balanced_cuts(maps, n, rounding)
        for image, found in zip(maps, cuts.tolist(), strict=True):
            assert (found[0], found[-1]) == (0, height)
            wanted = [border(image, k / n, rounding) for k in range(1, n)]
            free = [0, *wanted, height]
            if all(b > a for a, b in pairwise(free)):  # no stripe would be empty
                assert found == free
    assert (cuts.diff(dim=1) >= 1).all(), "every stripe has a row"
    for pooling in ("avg", "max"):
        each = zip(maps, cuts.tolist(), strict=True)
        loop = torch.stack([pool_loop(image, rows, pooling) for image, rows in each])
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
    assert balanced_cuts(torch.zeros(1, 5, 6, 2), 3).tolist() == [[0, 2, 4, 6]], "no maximum at all"


def test_evenly_spread_maxima_are_cut_without_bias():
    """Up and down alike: mirrored maps have mirrored cuts, and no stripe is the largest always."""
    maps = torch.rand(400, 512, 12, 4)
    shares = activation_shares(maps, balanced_cuts(maps, 3)).mean(0)
    assert (shares - 1 / 3).abs().max() < 0.005
    cuts, mirrored = balanced_cuts(maps, 3), balanced_cuts(maps.flip(2), 3)
    assert (cuts == 12 - mirrored.flip(1)).float().mean() > 0.99, "but for ties"
    floor, ceil = (balanced_cuts(maps, 3, rounding) for rounding in ("floor", "ceil"))
    assert (floor <= ceil).all()
    assert activation_shares(maps, floor).mean(0)[2] > 0.36, "always down: the last is too large"
    assert activation_shares(maps, ceil).mean(0)[0] > 0.36, "always up: the first is"


def test_balanced_stripes_are_more_even_than_equal_ones_where_maxima_crowd():
    maps = torch.rand(50, 512, 12, 4)
    maps[:, :300, 7:9] += 1
    spread = [
        activation_shares(maps, cuts).amax(1) - activation_shares(maps, cuts).amin(1)
        for cuts in (balanced_cuts(maps, 3), equal_cuts(maps, 3))
    ]
    assert spread[0].mean() < spread[1].mean()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_partition_is_undone(layout):
    maps = torch.randn(4, 8, 12, 5).contiguous(memory_format=layout)
    stripes = partition(maps, 3)
    assert stripes.shape == (12, 8, 4, 5)
    assert torch.equal(stripes[4], maps[1, :, 4:8]), "image 1, its second stripe"
    assert torch.equal(unpartition(stripes, 3), maps)
    if layout is torch.channels_last:
        assert stripes.data_ptr() == maps.data_ptr(), "no copy"


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_equal_stripes_are_pooled_like_cuts_at_equal_rows(pooling):
    maps = torch.randn(4, 8, 12, 5)
    found = pool_equal(maps, 3, pooling)
    torch.testing.assert_close(found, pool_stripes(maps, equal_cuts(maps, 3), pooling))
    with pytest.raises(ReidError, match="12 rows cannot be cut into 5 equal stripes"):
        pool_equal(maps, 5, pooling)


def test_too_many_stripes_are_refused():
    with pytest.raises(ReidError, match="a map of 12 rows cannot be cut into 5 equal stripes"):
        partition(torch.zeros(1, 1, 12, 1), 5)
    with pytest.raises(ReidError, match="a map of 2 rows cannot be cut into 3 stripes"):
        balanced_cuts(torch.zeros(1, 1, 2, 1), 3)
