"""What is read from the moved map: vertical convolution, and what Table 3 puts in its place."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# "vcn": K kernels a channel over the pooled rows. Without horizontal pooling: "vcn_2d", kernels
# over the whole map, or "vcn_columns", vertical kernels in every column. "shared": the same K
# kernels for all channels. "gp": mean plus maximum. "fc": the same through a fully connected layer
# of K * C outputs. "mgn": two and three stripes.
Head = Literal["vcn", "vcn_2d", "vcn_columns", "shared", "gp", "fc", "mgn"]


def vertical_convolution(rows: Tensor, kernels: Tensor) -> Tensor:
    """VCN Eq. 7 for all channels in one contraction: [N, C, H], [C, K, H] to [N, C, K]."""
    return torch.bmm(rows.transpose(0, 1), kernels.transpose(1, 2)).transpose(0, 1)


def row_pool(maps: Tensor) -> Tensor:
    """VCN Eq. 6: mean plus maximum over the width, [N, C, H, W] to [N, C, H]."""
    return maps.mean(3) + maps.amax(3)


class SpatialHead(nn.Module):
    """Maps [N, C, H, W] to the spatial feature [N, ``features``], before its batch norm."""

    def __init__(self, channels: int, height: int, width: int, kind: Head, kernels: int) -> None:
        super().__init__()
        self.kind = kind
        self.features = channels * kernels
        cells = height * width if kind == "vcn_2d" else height
        if kind == "vcn_columns":
            self.features *= width
        if kind in ("vcn", "vcn_2d", "vcn_columns", "shared"):
            shape = (1 if kind == "shared" else channels, kernels, cells)
            self.kernels = nn.Parameter(torch.empty(shape))
            bound = 1 / math.sqrt(cells)  # as torch starts a convolution
            nn.init.uniform_(self.kernels, -bound, bound)
        elif kind == "gp":
            self.features = channels
        elif kind == "fc":
            self.longer = nn.Linear(channels, self.features)
        else:
            self.features = 5 * 256
            self.reduce = nn.ModuleList(nn.Linear(channels, 256, bias=False) for _ in range(5))

    def forward(self, maps: Tensor) -> Tensor:
        if self.kind in ("vcn", "shared"):
            rows = row_pool(maps)
            kernels = self.kernels.expand(rows.shape[1], -1, -1)
            return vertical_convolution(rows, kernels.to(rows.dtype)).flatten(1)
        if self.kind == "vcn_2d":
            flat = maps.flatten(2)
            return vertical_convolution(flat, self.kernels.to(flat.dtype)).flatten(1)
        if self.kind == "vcn_columns":
            kernels = self.kernels.to(maps.dtype)
            return torch.einsum("nchw,ckh->nckw", maps, kernels).flatten(1)
        if self.kind == "mgn":
            parts = [F.adaptive_max_pool2d(maps, (n, 1)).squeeze(3) for n in (2, 3)]
            stripes = torch.cat(parts, 2).unbind(2)
            return torch.cat([r(s) for r, s in zip(self.reduce, stripes, strict=True)], 1)
        pooled = maps.mean((2, 3)) + maps.amax((2, 3))
        return self.longer(pooled) if self.kind == "fc" else pooled
