"""The old CUHK03 protocol: one gallery image per identity, drawn many times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import (
    Distances,
    Metrics,
    labels_and_candidates,
    metrics_of_ranks,
    refuse_nan,
    row_blocks,
)


def single_shot(
    distance: Distances | Iterable[Distances],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any,
    g_cam: Any,
    max_rank: int = 50,
    *,
    repeats: int = 100,
    seed: int = 0,
) -> Metrics:
    """Single-gallery-shot evaluation (Li et al., DeepReID, CVPR 2014).

    Arguments as in ``score``. In every repeat one image of each gallery identity is drawn, the
    same for all queries; a query's own identity is drawn anew among its images from other
    cameras. Every distractor (pid 0) is an identity of its own. At equal distance the wrong image
    ranks first. All repeats together make the means; ``per_query`` has a row for each repeat and
    query, repeat by repeat, with one match each. The same seed draws the same images.
    """
    if repeats < 1:
        raise ReidError(f"repeats is {repeats}, it must be at least 1")
    labels = (q_pid, g_pid, q_cam, g_cam)
    q_id, g_id, q_c, who = labels_and_candidates(*labels, "market1501", max_rank)
    generator = torch.Generator().manual_seed(seed)
    kept = g_id[who.keep]
    drawn = _one_per_identity(kept, repeats, generator)
    number = who.right.sum(1)
    place = (torch.rand(repeats, len(q_id), generator=generator) * number).long()
    ranks = torch.ones(repeats, len(q_id), dtype=torch.long)
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        rows = slice(first, first + len(block))
        block = block[:, who.keep].cpu()
        matches = who.right[rows].to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        for repeat in range(repeats) if matches.shape[1] else ():
            pick = matches.gather(1, place[repeat, rows, None])
            own = block.gather(1, who.column[rows].gather(1, pick))
            others = kept[drawn[repeat]] != q_id[rows, None]
            ranks[repeat, rows] = 1 + ((block[:, drawn[repeat]] <= own) & others).sum(1)
    one = np.tile((number > 0).long().numpy(), repeats)
    pid, cam = (np.tile(x.numpy(), repeats) for x in (q_id, q_c))
    return metrics_of_ranks(ranks.reshape(-1, 1).numpy(), one, pid, cam, max_rank)


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
