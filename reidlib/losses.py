"""Losses shared by the papers. Features are taken as they come: nothing is normalised here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.system.parallel import gather


def pairwise_euclidean(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances [A, B] of rows [A, D], [B, D]; the gradient at 0 is 0.

    Never in half precision, autocast or not: the difference of large squares would be lost.
    """
    a, b = (x if x.dtype == torch.float64 else x.float() for x in (a, b))
    with torch.autocast(a.device.type, enabled=False):
        squared = (a.pow(2).sum(1, keepdim=True) + b.pow(2).sum(1) - 2 * a @ b.T).clamp(min=0)
    near = squared < 1e-12
    return squared.masked_fill(near, 1.0).sqrt().masked_fill(near, 0.0)


def batch_hard_triplet(feature: Tensor, label: Tensor, margin: float | None = 0.3) -> Tensor:
    """Batch-hard triplet loss (Hermans et al. 2017, Eq. 5), a scalar: the mean over all anchors.

    feature [N, D], label [N]. margin: of the hinge, or ``None`` for softplus: log(1 + exp(.)).
    The hardest positive may be the anchor itself, at distance 0, where it has no other. Where
    several processes share a batch, triplets are mined over the rows of all of them.
    """
    positive, negative = hardest(gather(feature), gather(label))
    gap = positive - negative
    return F.softplus(gap).mean() if margin is None else F.relu(margin + gap).mean()


def hardest(feature: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Of each anchor the distances [N] of its farthest positive, max_p D(a, p), and of its nearest
    negative, min_n D(a, n). feature [N, D], label [N]."""
    distance = pairwise_euclidean(feature, feature)
    same = label.unsqueeze(0) == label.unsqueeze(1)
    other = same & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    return distance.masked_fill(~other, 0.0).amax(1), distance.masked_fill(same, torch.inf).amin(1)


def ranked_list(
    feature: Tensor,
    label: Tensor,
    margin: float = 0.4,
    boundary: float = 1.2,
    temperature: float = 10.0,
) -> Tensor:
    """Ranked list loss (Wang et al., "Ranked List Loss for Deep Metric Learning", 2019), a scalar.

    feature [N, D] (compared at length 1), label [N]. An anchor pulls the positives farther away
    than ``boundary - margin`` and pushes the negatives nearer than ``boundary``, these weighted by
    exp(temperature * (boundary - distance)); half the sum of both means, averaged over the anchors.
    Positives count alike (their temperature is 0). Processes that share a batch share its rows.
    """
    feature, label = gather(feature), gather(label)
    unit = F.normalize(feature)
    distance = pairwise_euclidean(unit, unit)
    same = label.unsqueeze(0) == label.unsqueeze(1)
    other = same & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    pull = F.relu(distance - (boundary - margin)) * other
    hard = (pull > 0).sum(1).clamp(min=1)
    positive = pull.sum(1) / hard
    push = F.relu(boundary - distance).masked_fill(same, 0.0)
    near = push > 0
    weight = torch.exp(temperature * (push.detach() - boundary)) * near  # any factor cancels out
    negative = (weight * push).sum(1) / weight.sum(1).clamp(min=1e-12)
    return (positive + negative).mean() / 2


def adaptive_weighted_triplet(feature: Tensor, label: Tensor, margin: float = 0.3) -> Tensor:
    """Triplet loss with adaptive weights (Ristani & Tomasi 2018, Eq. 5), a scalar over all anchors.

    feature [N, D], label [N]. Each anchor's positives are weighted by the softmax of their
    distances and its negatives by the softmin: hard samples count most, outliers not alone. An
    anchor without a positive has the distance 0 there; without a negative it counts nothing.
    Processes that share a batch share its rows.
    """
    feature, label = gather(feature), gather(label)
    distance = pairwise_euclidean(feature, feature)
    same = label.unsqueeze(0) == label.unsqueeze(1)
    other = same & ~torch.eye(len(label), dtype=torch.bool, device=label.device)
    far = _weighted(distance, distance, other)
    near = _weighted(distance, -distance, ~same)
    return (F.relu(margin + far - near) * (~same).any(1)).mean()


def _weighted(distance: Tensor, score: Tensor, wanted: Tensor) -> Tensor:
    """Of each row the mean of the ``wanted`` distances, weighted by the softmax of ``score``."""
    weight = score.masked_fill(~wanted, -torch.inf).softmax(1)
    return (distance * weight.masked_fill(~wanted, 0.0)).sum(1)
