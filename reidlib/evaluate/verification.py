"""Verification: is this pair the same person? True positive rate at given false positive rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import labels_of, refuse_nan, row_blocks
from reidlib.evaluate.ranking import PROTOCOLS, candidates

FPR = (1e-4, 1e-3, 1e-2, 1e-1)


def tpr_at_fpr(
    distance: Tensor | Iterable[Tensor],
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
    are left out; distractors (pid 0) match nobody. ``fpr``: rates in [0,1]. The threshold lies
    just below the closest wrong pair that must be rejected, so that at equal distance the right
    pair is rejected too. Exact; holds as many distances as wrong pairs are to be accepted at the
    largest ``fpr``. Returns a row per rate: fpr, tpr, threshold (pairs closer than it are
    accepted), num_same, num_different. A ROC curve is this table at many rates.
    """
    rates = np.asarray(fpr, dtype=np.float64)
    if rates.ndim != 1 or not len(rates) or not ((rates >= 0) & (rates <= 1)).all():
        raise ReidError(f"fpr is {fpr}: it must hold rates in [0, 1]")
    q_id, g_id = labels_of(q_pid, "q_pid"), labels_of(g_pid, "g_pid")
    no_cams = not PROTOCOLS.get(protocol, True) and q_cam is None and g_cam is None
    q_c = torch.zeros_like(q_id) if no_cams else labels_of(q_cam, "q_cam", len(q_id))
    g_c = torch.zeros_like(g_id) if no_cams else labels_of(g_cam, "g_cam", len(g_id))
    who = candidates(q_id, g_id, q_c, g_c, protocol)
    judged = q_id != -1
    kept = len(g_id[who.keep])
    num_same = int(who.right.sum())
    num_different = int(judged.sum()) * kept - num_same - int(who.ignored.sum())
    if not num_same or not num_different:
        raise ReidError(f"there are {num_same} pairs of one person, {num_different} of two")
    accepted = np.floor(rates * num_different * (1 + 1e-12)).astype(np.int64)
    most = min(int(accepted.max()) + 1, num_different)
    same, closest = [], torch.zeros(0)
    for first, block in row_blocks(distance, len(q_id), len(g_id)):
        refuse_nan(block, first)
        rows = slice(first, first + len(block))
        block = (block.double() if block.dtype == torch.float64 else block.float()).cpu()
        block = block[:, who.keep].contiguous()
        column, right = who.column[rows], who.right[rows]
        same.append(block.gather(1, column)[right])
        wrong = judged[rows, None].expand(-1, kept).contiguous()
        mine = torch.nonzero(right | who.ignored[rows])
        wrong[mine[:, 0], column[mine[:, 0], mine[:, 1]]] = False
        closest = torch.cat([closest.to(block.dtype), block[wrong]])
        if len(closest) > most:
            closest = closest.topk(most, largest=False, sorted=False).values
    right_sorted = torch.cat(same).sort().values.numpy()
    limits = np.append(closest.sort().values.numpy(), np.nan)
    threshold = np.where(accepted < num_different, limits[np.minimum(accepted, most - 1)], np.inf)
    found = np.searchsorted(right_sorted, threshold.astype(right_sorted.dtype), side="left")
    found = np.where(accepted < num_different, found, num_same)
    return pd.DataFrame(
        {
            "fpr": rates,
            "tpr": found / num_same,
            "threshold": threshold,
            "num_same": num_same,
            "num_different": num_different,
        }
    )


def roc_curve(
    distance: Tensor | Iterable[Tensor],
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

    Every point is exact. Below 1 / num_different no wrong pair at all is accepted. Holds all
    distances of wrong pairs at once. Raises ReidError for a ``lowest`` not in (0, 1).
    """
    if not 0 < lowest < 1 or points < 2:
        raise ReidError(
            f"lowest is {lowest} and points {points}: they must be in (0, 1) and at least 2"
        )
    rates = np.geomspace(lowest, 1.0, points)
    rates[-1] = 1.0
    return tpr_at_fpr(distance, q_pid, g_pid, q_cam, g_cam, rates.tolist(), protocol=protocol)
