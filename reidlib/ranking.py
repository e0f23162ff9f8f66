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


def match_ranks(distance: Tensor, column: Tensor, right: Tensor, ignored: Tensor) -> Tensor:
    """1-based ranks of the true matches of some queries, ascending.

    ``distance`` [B,G] without junk columns; ``column``, ``right``, ``ignored`` [B,M] as in
    ``Candidates``. Returns [B,M] int64; the first ``right.sum(1)`` of a row are meaningful.
    """
    found = distance.gather(1, column)
    limit = found.masked_fill(~right, float("inf")).sort(dim=1).values
    rank = torch.empty_like(column)
    for m in range(column.shape[1]):
        t = limit[:, m : m + 1]
        closer = (distance <= t).sum(1)
        closer -= ((found <= t) & (right | ignored)).sum(1)
        rank[:, m] = closer + m + 1
    return rank
