"""Non-negative sparse rows in NumPy, as far as re-ranking needs them: mean and shared weight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CELLS = 2**17  # what is unfolded at once: what fits a cache


@dataclass(frozen=True)
class Rows:
    """Row i has ``value[start[i]:start[i + 1]]`` in the columns ``column[...]`` (CSR).

    ``start`` [N+1] int64, ``column`` [nnz] int64, ``value`` [nnz] float32.
    """

    start: np.ndarray
    column: np.ndarray
    value: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """The row of every entry, [nnz]."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


def unfold(first: np.ndarray, number: np.ndarray) -> np.ndarray:
    """``first[0], first[0] + 1, ...`` (``number[0]`` values), then those of ``first[1]``, ..."""
    before = np.cumsum(number) - number
    return np.repeat(first - before, number) + np.arange(number.sum())


def groups(cost: np.ndarray, budget: int | None = None) -> Iterator[slice]:
    """Cuts 0..len(cost) into runs that cost at most ``budget`` (CELLS), or hold a single item."""
    ends = np.cumsum(cost)
    budget = CELLS if budget is None else budget
    first = 0
    while first < len(cost):
        spent = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, spent + budget, side="right")))
        yield slice(first, last)
        first = last


def mean_of_rows(rows: Rows, members: np.ndarray) -> Rows:
    """Row i of the result is the mean of the rows ``members[i]``; ``members`` [N,k] int."""
    length = np.diff(rows.start)
    number = length[members]
    columns, values, lengths = [], [], []
    for some in groups(number.sum(1)):
        entry = unfold(rows.start[members[some]].ravel(), number[some].ravel())
        owner = np.repeat(np.arange(some.stop - some.start), number[some].sum(1))
        key = owner * len(length) + rows.column[entry]
        order = np.argsort(key)
        key = key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        values.append(np.add.reduceat(rows.value[entry][order], first) / members.shape[1])
        columns.append(key[first] % len(length))
        lengths.append(np.bincount(key[first] // len(length), minlength=some.stop - some.start))
    start = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return Rows(start, np.concatenate(columns), np.concatenate(values).astype(np.float32))


def sum_of_minima(rows: Rows, num_query: int, step: int) -> Iterator[tuple[slice, np.ndarray]]:
    """What each of the first ``num_query`` rows shares with each of the others.

    Yields (``step`` rows of the query, [B,G] float32): the sums over the columns of min(query
    value, gallery value). By an inverted index: only pairs with a common column are touched
    (paper, Sec. 3.4).
    """
    num_gallery = len(rows.start) - 1 - num_query
    cut, row = rows.start[num_query], rows.owner
    order = np.argsort(rows.column[cut:], kind="stable")
    image = (row[cut:] - num_query)[order]
    value = rows.value[cut:][order]
    held = np.bincount(rows.column[cut:], minlength=len(rows.start) - 1)
    begin = np.cumsum(held) - held
    touched = np.add.reduceat(np.append(held[rows.column[:cut]], 0), rows.start[:num_query])
    cost = np.maximum(touched, num_gallery)
    for first in range(0, num_query, step):
        block = np.empty((min(step, num_query - first), num_gallery), dtype=np.float32)
        for some in groups(cost[first : first + step]):
            size = some.stop - some.start
            entries = slice(rows.start[first + some.start], rows.start[first + some.stop])
            column = rows.column[entries]
            number = held[column]
            found = unfold(begin[column], number)
            owner = np.repeat(row[entries] - first - some.start, number)
            least = np.minimum(value[found], np.repeat(rows.value[entries], number))
            shared = np.bincount(owner * num_gallery + image[found], least, size * num_gallery)
            block[some] = shared.reshape(size, num_gallery)
        yield slice(first, first + len(block)), block
