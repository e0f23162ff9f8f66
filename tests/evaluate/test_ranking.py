"""Counting against plain comparison, beyond the sizes that are handled at once."""

import numpy as np
import pytest
import torch

from reidlib.evaluate.ranking import (
    LANES,
    LIMITS,
    WIDTH,
    candidates,
    count_at_most,
    count_on_accelerator,
)


@pytest.mark.parametrize("width", [1, 7, LANES - 1, LANES, LANES + 1, WIDTH, WIDTH + 1, 80_001])
@pytest.mark.parametrize("kind", ["all", "none", "some"])
def test_counts(width, kind):
    rng = np.random.default_rng(width)
    values = torch.tensor(rng.integers(0, 50, (3, width)), dtype=torch.float32)
    values[0, -1] = torch.nan
    values[1, 0] = torch.inf
    limit = torch.tensor(rng.integers(0, 50, (3, 2 * LIMITS + 3)), dtype=torch.float32)
    if kind != "some":
        limit.fill_(torch.inf if kind == "all" else -1)
    number = torch.tensor([limit.shape[1], 0, LIMITS])
    result = count_at_most(values, limit, number)
    everywhere = count_on_accelerator(values, limit)
    for row in range(3):
        expected = (values[row][None] <= limit[row][:, None]).sum(1)
        n = number[row]
        assert result[row, :n].tolist() == expected[:n].tolist()
        assert everywhere[row].tolist() == expected.tolist()


def test_rows_that_are_not_contiguous():
    values = torch.rand(50, 3000)
    limit = torch.rand(3000, 2)
    result = count_at_most(values.T, limit, torch.full((3000,), 2))
    assert torch.equal(result, count_on_accelerator(values.T, limit))


def test_candidates():
    q_pid, q_cam = torch.tensor([5, 0, -1, 7]), torch.tensor([1, 1, 1, 1])
    g_pid, g_cam = torch.tensor([-1, 5, 0, -1, 5, 5]), torch.tensor([1, 1, 1, 1, 2, 3])
    who = candidates(q_pid, g_pid, q_cam, g_cam, "market1501")
    assert who.keep.tolist() == [1, 2, 4, 5]
    assert who.column[0].tolist() == [0, 2, 3]
    assert who.ignored.tolist() == [[True, False, False]] + 3 * [3 * [False]]
    assert who.right.tolist() == [[False, True, True]] + 3 * [3 * [False]]
    adjacent = candidates(q_pid, g_pid[[0, 1, 2]], q_cam, g_cam[[0, 1, 2]], "partial")
    assert adjacent.keep == slice(1, 3)
    assert adjacent.right.tolist() == [[True], [False], [False], [False]]
