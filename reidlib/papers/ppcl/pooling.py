"""What is read from a region of a feature map, and the distance of regions of many pairs.

``RegionMean`` is the mean over the region (PPCL on people). Another way to pool a region is a
module with the same calls in its place (``PPCL.make_region``).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib import geometry
from reidlib.papers.ppcl.face import GlobalDepthwise, Metric, fitted

FRAME = (-1.0, -1.0, 1.0, 1.0)


def frame(n: int, device: torch.device) -> Tensor:
    """``n`` boxes [n, 4] of the whole frame."""
    return torch.tensor(FRAME, device=device).expand(n, 4)


def sample_weights(low: Tensor, high: Tensor, cells: int, samples: int) -> Tensor:
    """Weights [..., samples, cells] of a line of cells in bilinear ``samples``, evenly spaced
    between ``low`` and ``high`` [...] (in [-1, 1]); zeros lie beyond the line."""
    place = torch.arange(cells, device=low.device, dtype=low.dtype)
    share = (2 * torch.arange(samples, device=low.device, dtype=low.dtype) + 1) / samples - 1
    at = (low + high).unsqueeze(-1) / 2 + (high - low).unsqueeze(-1) / 2 * share
    pixel = ((at + 1) * cells - 1) / 2
    return F.relu(1 - (pixel.unsqueeze(-1) - place).abs())


def resampling(box: Tensor, cells: tuple[int, int], samples: tuple[int, int]) -> Tensor:
    """The matrix [N, h * w, H * W] that reads regions ``box`` [N, 4] of maps of ``cells`` (H, W) at
    ``samples`` (h, w): its product with a map's cells is ``geometry.sample`` of the map.
    Differentiable in the box."""
    x0, y0, x1, y1 = box.unbind(-1)
    rows = sample_weights(y0, y1, cells[0], samples[0])
    columns = sample_weights(x0, x1, cells[1], samples[1])
    both = rows[:, :, None, :, None] * columns[:, None, :, None, :]
    return both.flatten(3).flatten(1, 2)


class Products(NamedTuple):
    """Products of all cells with all cells, [N, h * w, h * w]: of maps ``a`` with themselves and
    with maps ``b``, and of these with themselves."""

    aa: Tensor
    ab: Tensor
    bb: Tensor

    @classmethod
    def of(cls, a: Tensor, b: Tensor) -> Products:
        """Of maps [N, C, h, w]."""
        a, b = a.flatten(2).mT, b.flatten(2).mT
        return cls(a @ a.mT, a @ b.mT, b @ b.mT)


def region_distance(
    maps: Products, cells: tuple[int, int], own: Tensor, box: Tensor, pooled: bool = False
) -> Tensor:
    """Squared distances [N] in [0, 4] between the region ``own`` [N, 4] of maps a and the region
    ``box`` [N, 4] of maps b, both of ``cells`` (h, w), resampled to as many cells (or ``pooled`` to
    their mean) and of length 1. No region is resampled with its channels."""
    read, other = resampling(own, cells, cells), resampling(box, cells, cells)
    if pooled:
        read, other = read.mean(1, keepdim=True), other.mean(1, keepdim=True)

    def product(one: Tensor, matrix: Tensor, two: Tensor) -> Tensor:
        return ((one @ matrix) * two).sum((1, 2))

    lengths = product(read, maps.aa, read) * product(other, maps.bb, other)
    return 2 - 2 * product(read, maps.ab, other) / lengths.clamp(min=1e-12).sqrt()


def cell_weights(box: Tensor, height: int, width: int) -> Tensor:
    """Weights [..., height * width] of a map's cells in the mean over the region ``box`` [..., 4].

    The mean of ``geometry.sample(maps, box_to_theta(box))`` is that sum: bilinear sampling of an
    upright box weighs rows and columns apart. Differentiable in the box.
    """
    x0, y0, x1, y1 = box.unbind(-1)
    rows = sample_weights(y0, y1, height, height).mean(-2)
    columns = sample_weights(x0, x1, width, width).mean(-2)
    return (rows.unsqueeze(-1) * columns.unsqueeze(-2)).flatten(-2)


class RegionMean(nn.Module):
    """The mean over a region, compared by the cosine after the model's neck."""

    def forward(self, maps: Tensor, box: Tensor, frozen: bool = False) -> Tensor:
        """Maps [N, C, h, w] and boxes [N, 4] to vectors [N, C]. There is nothing to freeze."""
        weight = cell_weights(box, maps.shape[2], maps.shape[3]).to(maps.dtype)
        return torch.bmm(maps.flatten(2), weight.unsqueeze(2)).squeeze(2)

    def prepare(self, maps: Tensor, neck: nn.Module) -> dict[str, Tensor]:
        """What ``distance`` wants of gallery maps [G, C, h, w], once for all queries."""
        scale, shift = _affine(neck, maps)
        cells = maps.flatten(2).mT * scale  # [G, V, C]
        return {"cells": cells, "gram": cells @ cells.mT, "across": cells @ shift, "shift": shift}

    def distance(
        self, wanted: Tensor, gallery: dict[str, Tensor], box: Tensor, cells: tuple[int, int]
    ) -> Tensor:
        """1 - cosine [Q, G] between vectors [Q, C] after the neck and the neck of what the region
        ``box`` [Q, G, 4] of each gallery map reads; ``cells``: (h, w) of the maps.

        With a region's weights a, the gallery's vector is H'a + s (s: the neck's shift). Its
        product with the query's, and its length by way of H H', need no vector for each pair.
        """
        wanted, shift = F.normalize(wanted), gallery["shift"]
        weight = cell_weights(box, *cells).transpose(0, 1)  # [G, Q, V]
        along = (gallery["cells"] @ wanted.T).mT  # [G, Q, V]
        product = (weight * along).sum(2) + wanted @ shift
        square = (torch.bmm(weight, gallery["gram"]) * weight).sum(2)
        square = square + 2 * (weight @ gallery["across"].unsqueeze(2)).squeeze(2) + shift @ shift
        return (1 - product / square.clamp(min=1e-24).sqrt()).T


def _affine(neck: nn.Module, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift [C] of a neck in evaluation: a batch norm, or nothing."""
    channels = maps.shape[1]
    if not isinstance(neck, nn.BatchNorm1d):
        return maps.new_ones(channels), maps.new_zeros(channels)
    assert neck.running_mean is not None
    assert neck.running_var is not None
    scale = neck.weight / (neck.running_var + neck.eps).sqrt()
    return scale, neck.bias - neck.running_mean * scale


PAIRS = 1024  # regions that are resampled at once in a test


class RegionDepthwise(nn.Module):
    """What ``RegionMean`` is for means: each region is resampled to the kernels' size.

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
