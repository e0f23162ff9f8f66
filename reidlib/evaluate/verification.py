"""Verification: is this pair the same person? True positive rate at given false positive rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from reidlib.data import Dataset, ImageBank
from reidlib.errors import ReidError
from reidlib.evaluate.encode import distance_blocks, encode_split
from reidlib.evaluate.metrics import Distances, labels_and_candidates, refuse_nan, row_blocks
from reidlib.models import ReIDModel

FPR = (1e-4, 1e-3, 1e-2, 1e-1)


def tpr_at_fpr(
    distance: Distances | Iterable[Distances],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any = None,
    g_cam: Any = None,
    fpr: Sequence[float] = FPR,
    *,
    protocol: str = "partial",
) -> pd.DataFrame:
    """The share of same-person pairs accepted when at most ``fpr`` of the others are.

    Arguments as in ``score``; junk, and with a camera filter pairs of one person and one camera,
    are left out; distractors (pid 0) match nobody. ``fpr``: rates in [0,1]. Exact (scikit-learn's
    ROC curve with all its points); at equal distance right and wrong pairs are accepted together.
    Holds all distances at once. Returns a row per rate: fpr, tpr, threshold (pairs at most so far
    apart are accepted), num_same, num_different. A ROC curve is this table at many rates.
    """
    from sklearn.metrics import roc_curve as points_of

    rates = np.asarray(fpr, dtype=np.float64)
    if rates.ndim != 1 or not len(rates) or not ((rates >= 0) & (rates <= 1)).all():
        raise ReidError(f"fpr is {fpr}: it must hold rates in [0, 1]")
    q_id, g_id, _, who = labels_and_candidates(q_pid, g_pid, q_cam, g_cam, protocol, max_rank=1)
    judged = q_id != -1
    nearness, same = [], []
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        rows = slice(first, first + len(block))
        block = block[:, who.keep].cpu()
        column, right = who.column[rows], who.right[rows]
        counts = judged[rows, None].repeat(1, block.shape[1])
        counts[torch.nonzero(who.ignored[rows])[:, 0], column[who.ignored[rows]]] = False
        own = torch.zeros_like(counts)
        own[torch.nonzero(right)[:, 0], column[right]] = True
        nearness.append(-block[counts].double())
        same.append(own[counts])
    score, label = torch.cat(nearness).numpy(), torch.cat(same).numpy()
    num_same, num_different = int(label.sum()), int((~label).sum())
    if not num_same or not num_different:
        raise ReidError(f"there are {num_same} pairs of one person, {num_different} of two")
    score = np.nan_to_num(score, neginf=np.finfo(np.float64).min)  # infinitely far apart
    false, true, limit = points_of(label, score, drop_intermediate=False)
    # a rate that is a number of pairs is met, however it was rounded
    at = np.searchsorted(false, rates * (1 + 1e-12), side="right") - 1
    return pd.DataFrame(
        {
            "fpr": rates,
            "tpr": true[at],
            "threshold": -limit[at],
            "num_same": num_same,
            "num_different": num_different,
        }
    )


def roc_curve(
    distance: Distances | Iterable[Distances],
    q_pid: Any,
    g_pid: Any,
    q_cam: Any = None,
    g_cam: Any = None,
    *,
    lowest: float = 1e-4,
    points: int = 161,
    protocol: str = "partial",
) -> pd.DataFrame:
    """``tpr_at_fpr`` at ``points`` rates from ``lowest`` to 1, evenly spaced on a logarithmic axis.

    Raises ReidError for a ``lowest`` not in (0, 1).
    """
    if not 0 < lowest < 1 or points < 2:
        raise ReidError(
            f"lowest is {lowest} and points {points}: they must be in (0, 1) and at least 2"
        )
    rates = np.geomspace(lowest, 1.0, points)
    rates[-1] = 1.0
    return tpr_at_fpr(distance, q_pid, g_pid, q_cam, g_cam, rates.tolist(), protocol=protocol)


def roc(model: ReIDModel, dataset: Dataset, points: int = 81) -> pd.DataFrame:
    """``roc_curve`` of a model over all pairs of a query and a gallery image of ``dataset`` that
    its protocol allows."""
    tables = dataset.query, dataset.gallery
    query, gallery = (encode_split(model, ImageBank.from_split(t, model.size)) for t in tables)
    labels = [table[column] for column in ("pid", "cam") for table in tables]
    blocks = distance_blocks(model, query, gallery)
    return roc_curve(blocks, *labels, points=points, protocol=dataset.protocol)
