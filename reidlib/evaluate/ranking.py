"""Ranks of the true matches, found by counting instead of sorting the gallery.

Average precision, CMC and INP of a query depend on nothing but the ranks of its true matches. The
rank of a true match is its place among the true matches plus the number of wrong images that are
at most as far away. So only the few distances of the true matches are sorted, and every other
distance is compared with them.

Ties: a wrong image at the same distance ranks *before* the right one. A collapsed feature (all
distances equal) therefore scores as badly as it is, and no result depends on the order of files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidlib.errors import ReidError, nearest

# Whether a gallery image with the query's identity and the query's camera is ignored.
PROTOCOLS = {"market1501": True, "cuhk03": True, "partial": False}


@dataclass(frozen=True)
class Candidates:
    """For each query, the gallery images that carry its identity.

    ``column`` [Q,M]: their columns among the columns that are kept, padded with 0;
    ``right`` [Q,M] bool: a true match; ``ignored`` [Q,M] bool: left out of the ranking;
    ``keep``: the gallery columns that are not junk, a slice where they are adjacent.
    """

    column: Tensor
    right: Tensor
    ignored: Tensor
    keep: slice | Tensor
    num_gallery: int


def candidates(
    q_pid: Tensor, g_pid: Tensor, q_cam: Tensor, g_cam: Tensor, protocol: str
) -> Candidates:
    """Sorts out who matches whom. Identities below 1 (junk -1, distractor 0) match nobody."""
    if protocol not in PROTOCOLS:
        raise ReidError(f'unknown protocol "{protocol}"{nearest(protocol, PROTOCOLS)}')
    columns = torch.nonzero(g_pid != -1).flatten()
    keep: slice | Tensor = columns
    if not len(columns):
        keep = slice(0, 0)
    elif int(columns[-1] - columns[0]) + 1 == len(columns):
        keep = slice(int(columns[0]), int(columns[-1]) + 1)
    g_pid, g_cam = g_pid[columns], g_cam[columns]
    by_pid = torch.argsort(g_pid, stable=True)
    sorted_pid = g_pid[by_pid]
    first = torch.searchsorted(sorted_pid, q_pid)
    number = torch.searchsorted(sorted_pid, q_pid, right=True) - first
    number = torch.where(q_pid > 0, number, 0)
    width = int(number.max()) if len(number) else 0
    offset = torch.arange(width)[None, :]
    present = offset < number[:, None]
    if len(by_pid):
        column = by_pid[torch.where(present, first[:, None] + offset, 0)]
    else:
        column = torch.zeros(len(q_pid), 0, dtype=torch.long)
    same_cam = torch.zeros_like(present)
    if PROTOCOLS[protocol] and width:
        same_cam = g_cam[column] == q_cam[:, None]
    return Candidates(column, present & ~same_cam, present & same_cam, keep, len(g_pid))


def match_ranks(
    distance: Tensor, column: Tensor, right: Tensor, ignored: Tensor
) -> tuple[Tensor, Tensor]:
    """1-based ranks of the true matches of some queries, ascending.

    ``distance`` [B,G] without junk columns; ``column``, ``right``, ``ignored`` [B,M] as in
    ``Candidates``, on the same device. Returns the ranks [B,M] int64, of which the first
    ``right.sum(1)`` of a row count, and the number [B] of distances that are not NaN.
    """
    found = distance.gather(1, column)
    limit = found.masked_fill(~right, torch.inf).sort(dim=1).values
    known = found.masked_fill(~(right | ignored), torch.nan)  # NaN is counted nowhere
    number = right.sum(1)
    first = limit.new_full((len(limit), 1), torch.inf)  # everything but NaN is at most infinity
    closer = count_at_most(distance, torch.cat([first, limit], 1), number + 1)
    place = torch.arange(1, limit.shape[1] + 1, device=limit.device)
    return closer[:, 1:] - count_at_most(known, limit, number) + place, closer[:, 0]


def count_at_most(values: Tensor, limit: Tensor, number: Tensor) -> Tensor:
    """How many values of a row are at most each of its limits; NaN is at most nothing.

    ``values`` [B,G]; ``limit`` [B,M], of which the first ``number`` [B] are asked for. Returns
    [B,M] int64; what was not asked for is arbitrary.
    """
    if values.device.type != "cpu":
        return count_on_accelerator(values, limit)
    count = torch.zeros(limit.shape, dtype=torch.long)
    _count_rows(*(x.numpy() for x in (values, limit, number, count)))
    return count


def count_on_accelerator(values: Tensor, limit: Tensor) -> Tensor:
    """``count_at_most`` for all limits, one comparison of the whole block each."""
    count = torch.empty(limit.shape, dtype=torch.long, device=values.device)
    for m in range(limit.shape[1]):
        count[:, m] = (values <= limit[:, m : m + 1]).sum(1)
    return count


LANES = 255 * 8  # comparisons whose sum fits the eight bytes of a word
WIDTH, LIMITS = 16 * LANES, 16  # columns and limits compared at once: half a megabyte of cache


def _count_rows(
    values: np.ndarray, limit: np.ndarray, number: np.ndarray, count: np.ndarray
) -> None:
    """``count_at_most`` on the CPU: comparisons and sums of whole vectors of bytes, in the cache.

    Eight comparisons are added at a time, as the bytes of a 64-bit word; 255 such words cannot
    overflow. That is an order of magnitude faster than adding booleans.
    """
    mask = np.zeros(LIMITS * WIDTH, dtype=np.bool_)
    for start in range(0, values.shape[1], WIDTH):
        part = values[:, start : start + WIDTH]
        width = part.shape[1]
        words = -(-width // LANES)
        for row in range(len(values)):
            for m in range(0, number[row], LIMITS):
                some = slice(m, min(m + LIMITS, number[row]))
                bound = limit[row, some, None]
                closer = mask[: len(bound) * words * LANES].reshape(len(bound), words * LANES)
                closer[:, width:] = False
                np.less_equal(part[row], bound, out=closer[:, :width])
                lanes = closer.view(np.int64).reshape(len(bound), words, 255).sum(2)
                count[row, some] += lanes.view(np.uint8).sum(1, dtype=np.int64)
