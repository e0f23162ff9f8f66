"""The old CUHK03 protocol: one gallery image per identity, drawn many times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import labels_of, refuse_nan, row_blocks
from reidlib.evaluate.ranking import candidates


def single_shot_cmc(
    distance: Tensor | Iterable[Tensor],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any,
    g_cam: Any,
    max_rank: int = 50,
    *,
    repeats: int = 100,
    seed: int = 0,
) -> np.ndarray:
    """Single-gallery-shot CMC (Li et al., DeepReID, CVPR 2014), once per repeat.

    Arguments as in ``score``. In every repeat one image of each gallery identity is drawn, the
    same for all queries; a query's own identity is drawn anew among its images from other
    cameras. Every distractor (pid 0) is an identity of its own. At equal distance the wrong image
    ranks first. Returns [repeats, max_rank] in [0,1] over the queries with a true match: take the
    mean (and standard deviation) over axis 0. The same seed draws the same images.
    """
    if repeats < 1 or max_rank < 1:
        raise ReidError(f"repeats is {repeats}, max_rank {max_rank}: both must be at least 1")
    q_id, g_id = labels_of(q_pid, "q_pid"), labels_of(g_pid, "g_pid")
    q_c, g_c = labels_of(q_cam, "q_cam", len(q_id)), labels_of(g_cam, "g_cam", len(g_id))
    who = candidates(q_id, g_id, q_c, g_c, "market1501")
    generator = torch.Generator().manual_seed(seed)
    kept = g_id[who.keep]
    drawn = _one_per_identity(kept, repeats, generator)
    number = who.right.sum(1)
    place = (torch.rand(repeats, len(q_id), generator=generator) * number).long()
    hits = np.zeros((repeats, max_rank + 1))
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        rows = slice(first, first + len(block))
        block = block[:, who.keep].cpu()
        matches = who.right[rows].to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        valid = number[rows] > 0
        for repeat in range(repeats) if matches.shape[1] else ():
            pick = matches.gather(1, place[repeat, rows, None])
            own = block.gather(1, who.column[rows].gather(1, pick))
            others = kept[drawn[repeat]] != q_id[rows, None]
            rank = ((block[:, drawn[repeat]] <= own) & others).sum(1)[valid]
            hits[repeat] += np.bincount(rank.clamp(max=max_rank), minlength=max_rank + 1)
    with np.errstate(invalid="ignore"):
        return hits.cumsum(1)[:, :max_rank] / hits.sum(1, keepdims=True)


def _one_per_identity(pid: Tensor, repeats: int, generator: torch.Generator) -> Tensor:
    """Columns [repeats, identities]: one image of each person, and every distractor."""
    order = pid.argsort(stable=True)
    order = order[pid[order] > 0]
    _, number = torch.unique_consecutive(pid[order], return_counts=True)
    before = number.cumsum(0) - number
    place = (torch.rand(repeats, len(number), generator=generator) * number).long()
    persons = order[before + place] if len(order) else order.expand(repeats, 0)
    distractors = torch.nonzero(pid == 0).flatten()
    return torch.cat([persons, distractors.expand(repeats, -1)], 1)
