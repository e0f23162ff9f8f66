"""Sparse rows against dense matrices."""

import numpy as np
import pytest

from reidlib.system import sparse
from reidlib.system.sparse import Rows, groups, mean_of_rows, sum_of_minima, unfold


def matrix(seed=0, number=23, share=0.2):
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((number, number)) < share, rng.random((number, number)), 0)
    dense = dense.astype(np.float32)
    dense[np.arange(number), rng.permutation(number)] = 0.5  # no row is empty
    row, column = np.nonzero(dense)
    start = np.searchsorted(row, np.arange(number + 1))
    return dense, Rows(start, column, dense[row, column])


def unpacked(rows):
    out = np.zeros((len(rows.start) - 1,) * 2, dtype=np.float32)
    out[rows.owner, rows.column] = rows.value
    return out


@pytest.fixture(params=[1, 50, 2**20])
def _cells(request, monkeypatch):
    monkeypatch.setattr(sparse, "CELLS", request.param)


@pytest.mark.usefixtures("_cells")
def test_mean_of_rows():
    dense, rows = matrix()
    members = np.random.default_rng(1).integers(0, 23, (23, 4))
    result = mean_of_rows(rows, members)
    np.testing.assert_allclose(unpacked(result), dense[members].mean(1), atol=1e-6)
    assert (np.diff(result.owner * 23 + result.column) > 0).all()


@pytest.mark.usefixtures("_cells")
@pytest.mark.parametrize("step", [1, 3, 8])
def test_sum_of_minima(step):
    dense, rows = matrix()
    result = np.zeros((5, 18))
    for some, shared in sum_of_minima(rows, 5, step):
        result[some] += shared
    expected = np.minimum(dense[:5, None], dense[None, 5:]).sum(2)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_unfold():
    result = unfold(np.array([10, 3, 7]), np.array([2, 0, 3]))
    assert result.tolist() == [10, 11, 7, 8, 9]


def test_groups_cover_everything_once():
    cost = np.array([5, 1, 1, 9, 0, 0, 2])
    parts = list(groups(cost, 3))
    assert np.concatenate([np.arange(7)[p] for p in parts]).tolist() == list(range(7))
    assert all(cost[p].sum() <= 3 or p.stop - p.start == 1 for p in parts)
