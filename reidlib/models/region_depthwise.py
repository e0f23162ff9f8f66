"""A region of a map read by a global depthwise convolution: PPCL on faces (section 5.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.models.face import GlobalDepthwise, Metric, fitted

PAIRS = 1024  # regions that are resampled at once in a test


class RegionDepthwise(nn.Module):
    """What ``region.RegionMean`` is for means: each region is resampled to the kernels' size.

    The descriptor is the ReID network's own (a part of that, not of this module). Its batch norm
    comes last, so there is no neck.
    """

    def __init__(self, pool: GlobalDepthwise, metric: Metric) -> None:
        super().__init__()
        self._pool = (pool,)  # a tuple: its weights are not stored twice
        self.metric = metric

    def forward(self, maps: Tensor, box: Tensor, frozen: bool = False) -> Tensor:
        """Maps [N, C, h, w] and boxes [N, 4] to descriptors [N, D]; ``frozen``: without gradients
        for the descriptor's weights."""
        pool = self._pool[0]
        weights = {k: v.detach() if frozen else v for k, v in pool.named_parameters()}
        found: Tensor = torch.func.functional_call(pool, weights, fitted(maps, box, pool.shape))
        return found

    def prepare(self, maps: Tensor, neck: nn.Module) -> dict[str, Tensor]:
        """What ``distance`` wants of gallery maps [G, C, h, w]; ``neck`` is an identity."""
        return {"maps": maps}

    def distance(
        self, wanted: Tensor, gallery: dict[str, Tensor], box: Tensor, cells: tuple[int, int]
    ) -> Tensor:
        """Distances [Q, G] between descriptors [Q, D] and those of the region ``box`` [Q, G, 4] of
        each gallery map. The regions of several queries are read out of a map in one pass."""
        maps, pool = gallery["maps"], self._pool[0]
        (h, w), number = pool.shape, len(maps)
        step = max(1, PAIRS // number)
        rows = []
        for some, target in zip(box.split(step), wanted.split(step), strict=True):
            theta = geometry.box_to_theta(some.transpose(0, 1).flatten(0, 1).to(maps.dtype))
            grid = F.affine_grid(theta, [len(theta), 1, h, w], align_corners=False)
            grid = grid.view(number, len(some) * h, w, 2)
            read = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)
            read = read.unflatten(2, (len(some), h)).permute(2, 0, 1, 3, 4)  # [q, G, C, h, w]
            found = pool(read.flatten(0, 1)).view(len(some), number, -1)
            if self.metric == "euclidean":
                rows.append(torch.linalg.vector_norm(found - target.unsqueeze(1), dim=2))
            else:
                rows.append(1 - F.cosine_similarity(found, target.unsqueeze(1), dim=2))
        return torch.cat(rows)
