"""Scoring features without ever holding all distances, or all of the gallery.

For every query the distances of its own person's images are found first and sorted; then the
gallery is read once, block by block, and each distance is compared with them (``ranking`` says why
that is enough). Memory depends on the block alone, so the gallery may be larger than memory.
"""

from __future__ import annotations

from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.errors import ReidError, nearest
from reidlib.evaluate.features import Features, in_memory
from reidlib.evaluate.metrics import Metrics, labels_and_candidates, metrics_of_ranks
from reidlib.evaluate.ranking import WIDTH, count_at_most
from reidlib.system.compute import full_precision

Distance = Literal["cosine", "euclidean"]
COLUMNS = WIDTH  # gallery images looked at together
ROWS = 4096  # queries looked at together: with COLUMNS 0.5 GiB of float32


def score_features(
    query: Features | Tensor | np.ndarray,
    gallery: Features | Tensor | np.ndarray,
    q_pid: Any,
    g_pid: Any,
    q_cam: Any = None,
    g_cam: Any = None,
    max_rank: int = 50,
    *,
    protocol: str = "market1501",
    distance: Distance = "cosine",
    device: torch.device | str = "cpu",
    executor: Executor | None = None,
    shares: int = 1,
) -> Metrics:
    """``score`` of the distances between features [Q,D], [G,D], which are never all there.

    Labels, ``protocol`` and ``max_rank`` as in ``score``. ``distance``: "cosine" (1 - cosine) or
    "euclidean"; both in float32. ``executor``: shares the queries, in ``shares`` parts, among its
    workers, which must find the features' files under the same path.

    Raises ReidError for shapes that do not fit and values that are not finite.
    """
    sides = [
        part if isinstance(part, Features) else in_memory(part, name)
        for part, name in ((query, "query features"), (gallery, "gallery features"))
    ]
    if distance not in get_args(Distance):
        raise ReidError(f'unknown distance "{distance}"{nearest(distance, get_args(Distance))}')
    q_id, g_id, q_c, who = labels_and_candidates(q_pid, g_pid, q_cam, g_cam, protocol, max_rank)
    for name, side, ids in (("query", sides[0], q_id), ("gallery", sides[1], g_id)):
        if len(side) != len(ids):
            raise ReidError(f"there are {len(side)} {name} features and {len(ids)} {name} labels")
    if sides[0].dim != sides[1].dim:
        raise ReidError(f"query features have {sides[0].dim} values, gallery's {sides[1].dim}")
    keep = who.keep if isinstance(who.keep, slice) else who.keep.numpy()
    task = partial(_ranks, sides[1].take(keep), distance=distance, device=str(device))
    step = min(ROWS, max(1, -(-len(q_id) // shares)))
    rows = [slice(start, start + step) for start in range(0, len(q_id), step)]
    parts = [sides[0].take(some) for some in rows]
    own = [(who.column[some], who.right[some], who.ignored[some]) for some in rows]
    found = list((executor.map if executor else map)(task, parts, own))
    rank = np.concatenate(found) if found else np.zeros((0, 0), np.int64)
    number = who.right.sum(1).numpy()
    return metrics_of_ranks(rank, number, q_id.numpy(), q_c.numpy(), max_rank)


def _ranks(
    gallery: Features,
    query: Features,
    own: tuple[Tensor, Tensor, Tensor],
    *,
    distance: Distance,
    device: str,
) -> np.ndarray:
    """1-based ranks [B,M] of the true matches of some queries, ascending (``match_ranks``)."""
    column, right, ignored = own
    known = right | ignored
    left = _prepared(query.tensor().to(device), distance)
    width = max(64, min(COLUMNS, -(-len(gallery) // 64) * 64))
    # pass 1: distances of the same person's images
    found = torch.full(column.shape, torch.inf)
    mine = torch.unique(column[known])
    for some in mine.split(width) if len(mine) else ():
        block = _distances(left, gallery.take(some.numpy()), width, distance)
        place = torch.searchsorted(some, column).clamp_(max=len(some) - 1)
        inside = known & (some[place] == column)
        found = torch.where(inside, block.gather(1, place.to(device)).cpu(), found)
    number = right.sum(1)
    limit = found.masked_fill(~right, torch.inf).sort(dim=1).values
    # pass 2: how many others are at most as far
    query_of, slot = torch.nonzero(known, as_tuple=True)
    columns, order = column[query_of, slot].sort()
    query_of = query_of[order]
    closer = torch.zeros(limit.shape, dtype=torch.long)
    there = limit.to(device)
    for start in range(0, len(gallery), width):
        stop = min(start + width, len(gallery))
        block = _distances(left, gallery.take(slice(start, stop)), width, distance)[
            :, : stop - start
        ]
        first, last = torch.searchsorted(columns, torch.tensor([start, stop])).tolist()
        block[query_of[first:last], columns[first:last] - start] = torch.nan  # counted nowhere
        closer += count_at_most(block, there, number).cpu()
    return (closer + torch.arange(1, limit.shape[1] + 1)).numpy()


def _prepared(features: Tensor, distance: Distance) -> Tensor:
    return F.normalize(features) if distance == "cosine" else features


def _distances(left: Tensor, gallery: Features, width: int, distance: Distance) -> Tensor:
    """Distances [B, width], of which the last may be of no image: every product has the same shape,
    so that a pair of features has the same distance, to the bit, in whatever block it stands."""
    right = _prepared(gallery.tensor().to(left.device), distance)
    right = F.pad(right, (0, 0, 0, width - len(right)))
    with full_precision():
        block = left @ right.T
    if distance == "cosine":
        return torch.sub(torch.ones((), device=left.device), block, out=block)
    square = right.square().sum(1)
    return block.mul_(-2).add_(square)  # the query's own square does not change its ranking
