"""PPCL's two constraints on corresponding regions, without any part-level truth (section 3.2, 3.3).

Boxes are (x0, y0, x1, y1) in the frame of a map, [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.geometry import box_area, box_iou, box_to_theta, transform_points

GRID = 8  # points along each side of a region
TRIES = 20


def grid_points(box: Tensor) -> Tensor:
    """Evenly spaced points [N, GRID^2, 2] (x, y) of boxes [N, 4], edges included."""
    line = torch.linspace(-1, 1, GRID, device=box.device, dtype=box.dtype)
    grid = torch.cartesian_prod(line, line).expand(len(box), -1, -1)
    return transform_points(box_to_theta(box), grid)


def cycle_error(back: Tensor, region: Tensor) -> Tensor:
    """Eq. 11 for each pair [N]: mean squared distance between the points of the rectified
    ``region`` [N, 4] and where they are after x -> y -> x: the same points of ``back`` [N, 4]."""
    return (grid_points(back) - grid_points(region)).pow(2).sum(2).mean(1)


def part_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, alpha: float = 0.3) -> Tensor:
    """Eq. 12, a scalar: hinge on the squared distances of pooled regions [N, C].

    The printed brackets lack the hinge's +. Vectors are compared at length 1, as the test does.
    """
    a, p, n = (F.normalize(x) for x in (anchor, positive, negative))
    gap = (a - p).pow(2).sum(1) - (a - n).pow(2).sum(1)
    return F.relu(gap + alpha).mean()


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """What both rules on a negative bound [...]: the larger of the intersection over the union, and
    over the smaller of both areas (a region that lies within the other)."""
    iou = box_iou(a, b)
    common = iou / (1 + iou) * (box_area(a) + box_area(b))
    return torch.maximum(iou, common / torch.minimum(box_area(a), box_area(b)).clamp(min=1e-12))


def negative_regions(positive: Tensor, beta: float = 0.5, tries: int = TRIES) -> Tensor:
    """Boxes [N, 4] in the frame, of the size of ``positive`` [N, 4], that overlap it by less than
    ``beta`` in both senses (section 3.3).

    The first of ``tries`` boxes at uniform places that holds both rules; where none does, the one
    of least overlap. Drawn from torch's generator, for all pairs at once. No gradient.
    """
    positive = positive.detach()
    size = (positive[:, 2:] - positive[:, :2]).clamp(max=2).unsqueeze(1)
    place = torch.rand(len(positive), tries, 2).to(positive.device, non_blocking=True)
    corner = place * (2 - size) - 1
    drawn = torch.cat([corner, corner + size], 2)  # [N, tries, 4]
    found = overlap(drawn, positive.unsqueeze(1))
    order = torch.arange(tries, device=positive.device) - tries  # the first that holds wins
    choice = torch.where(found < beta, order.to(found.dtype), found).argmin(1)
    return drawn[torch.arange(len(drawn), device=drawn.device), choice]
