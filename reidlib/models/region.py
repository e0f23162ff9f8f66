"""What is read from a region of a feature map, and the distance of regions of many pairs.

``RegionMean`` is the mean over the region (PPCL on people). Another way to pool a region is a
module with the same calls in its place (``PPCL.make_region``).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FRAME = (-1.0, -1.0, 1.0, 1.0)


def frame(n: int, device: torch.device) -> Tensor:
    """``n`` boxes [n, 4] of the whole frame."""
    return torch.tensor(FRAME, device=device).expand(n, 4)


def reading_weights(low: Tensor, high: Tensor, cells: int) -> Tensor:
    """Weights [..., cells] of a line of cells in the mean of ``cells`` bilinear samples, evenly
    spaced between ``low`` and ``high`` [...] (in [-1, 1]); zeros lie beyond the line."""
    place = torch.arange(cells, device=low.device, dtype=low.dtype)
    share = (2 * place + 1) / cells - 1
    at = (low + high).unsqueeze(-1) / 2 + (high - low).unsqueeze(-1) / 2 * share
    pixel = ((at + 1) * cells - 1) / 2
    return F.relu(1 - (pixel.unsqueeze(-1) - place).abs()).mean(-2)


def cell_weights(box: Tensor, height: int, width: int) -> Tensor:
    """Weights [..., height * width] of a map's cells in the mean over the region ``box`` [..., 4].

    The mean of ``geometry.sample(maps, box_to_theta(box))`` is that sum: bilinear sampling of an
    upright box weighs rows and columns apart. Differentiable in the box.
    """
    x0, y0, x1, y1 = box.unbind(-1)
    rows, columns = reading_weights(y0, y1, height), reading_weights(x0, x1, width)
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
