"""PPCL's two constraints on corresponding regions, without any part-level truth (section 3.2, 3.3).

Boxes are (x0, y0, x1, y1) in the frame of a map, [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.geometry import box_area, box_to_theta, transform_points

GRID = 8  # points along each side of a region
TRIES = 100


def grid_points(box: Tensor) -> Tensor:
    """Evenly spaced points [N, GRID^2, 2] (x, y) of boxes [N, 4], edges included."""
    line = torch.linspace(-1, 1, GRID, device=box.device, dtype=box.dtype)
    grid = torch.cartesian_prod(line, line).expand(len(box), -1, -1)
    return transform_points(box_to_theta(box), grid)


def cycle_error(back: Tensor, region: Tensor) -> Tensor:
    """Eq. 11 for each pair [N]: mean squared distance between the points of the rectified
    ``region`` [N, 4] and where they are after x -> y -> x: the same points of ``back`` [N, 4]."""
    return (grid_points(back) - grid_points(region)).pow(2).sum(2).mean(1)


def part_triplet(near: Tensor, far: Tensor, legal: Tensor, alpha: float = 0.3) -> Tensor:
    """Eq. 12, a scalar: hinge on the squared distances [N] of anchors to their positives (``near``)
    and to their negatives (``far``), mean over the pairs with a ``legal`` negative [N].

    The printed brackets lack the hinge's +. Where CRLoc alone is trained ``far`` has no gradient:
    negatives only decide which pairs pull.
    """
    hinge = F.relu(near - far + alpha) * legal
    return hinge.sum() / legal.sum().clamp(min=1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """What both rules on a negative bound [...]: the intersection over the smaller of both areas.
    It is never less than the intersection over the union, so the first rule follows."""
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    return common / torch.minimum(box_area(a), box_area(b)).clamp(min=1e-12)


def negative_regions(
    positive: Tensor, beta: float = 0.5, tries: int = TRIES
) -> tuple[Tensor, Tensor]:
    """Boxes [N, 4] in the frame that overlap ``positive`` [N, 4] by less than ``beta`` in both
    senses (section 3.3), and whether there is such a one [N]: a region that fills the frame has
    none.

    The first of ``tries`` boxes at uniform places that holds both rules; each is a little smaller
    than the one before, from the positive's size down to a tenth of it, since a region of more than
    two thirds of the frame leaves no place for another of its size. Drawn from torch's generator,
    for all pairs at once. No gradient.
    """
    positive = positive.detach()
    shrunk = torch.linspace(1, 0.1, tries, device=positive.device).unsqueeze(1)
    size = (positive[:, 2:] - positive[:, :2]).clamp(max=2).unsqueeze(1) * shrunk
    place = torch.rand(len(positive), tries, 2).to(positive.device, non_blocking=True)
    corner = place * (2 - size) - 1
    drawn = torch.cat([corner, corner + size], 2)  # [N, tries, 4]
    holds = overlap(drawn, positive.unsqueeze(1)) < beta
    first = holds.int().argmax(1)
    chosen = drawn.gather(1, first[:, None, None].expand(-1, 1, 4)).squeeze(1)
    return chosen, holds.any(1)
