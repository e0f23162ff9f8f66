"""Attention for any backbone: what SCR's partition is compared with (Table 1, Fig. 2 (f), (g)).

``insert_attention`` changes a built backbone, after its weights are loaded, so that the same
pre-trained weights serve with and without.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.models.backbone import Backbone, Bottleneck

Attention = Literal["none", "se", "residual"]
DEPTHS = {"conv2": 3, "conv3": 2, "conv4": 1}  # halvings in the mask, as in Attention-56


class SqueezeExcitation(nn.Module):
    """Every channel times a factor in (0, 1) read from the mean of all (Hu et al. 2018).

    In a residual block it stands behind the last batch norm, before the sum with the shortcut.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.down, self.up = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        factor = self.up(self.down(x.mean((2, 3))).relu()).sigmoid()
        return x * factor[:, :, None, None]


class Scale(nn.Module):
    """Half the size, ``depth - 1`` further halvings inside, back to the size: [N, C, H, W] kept."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.down, self.up = (_unit(channels) for _ in range(2))
        self.skip = _unit(channels) if depth > 1 else None
        self.inner = Scale(channels, depth - 1) if depth > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(F.max_pool2d(x, 3, 2, 1))
        if self.inner is not None and self.skip is not None:
            y = self.skip(y) + self.inner(y)
        y = self.up(y)
        return F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)


class ResidualAttention(nn.Module):
    """H = (1 + M) T (Wang et al. 2017, Eq. 3): the blocks T of a stage, weighted by a mask M.

    The mask has values in (0, 1) for each place and channel and comes from the same input, by way
    of a smaller map. trunk: blocks that keep the shape of their input.
    """

    def __init__(self, trunk: nn.Sequential, channels: int, depth: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.mask = nn.Sequential(
            Scale(channels, depth),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        mask = self.mask(x)  # first: a block of the trunk may write into its input
        out: Tensor = (1 + mask) * self.trunk(x)
        return out


def insert_attention(net: Backbone, kind: Attention) -> None:
    """Puts attention into a backbone, in place; its own weights stay as they are.

    "se": squeeze-and-excitation in every residual block. "residual": in each of conv2, conv3 and
    conv4 one residual attention module around those last blocks that keep the map's shape (where
    there are none, the trunk is the identity). "none" changes nothing.
    """
    if kind == "se":
        for module in list(net.modules()):
            _squeeze(module)
    elif kind == "residual":
        for stage, depth in DEPTHS.items():
            blocks = list(getattr(net, stage))
            first = len(blocks)
            while first and _keeps_shape(blocks[first - 1]):
                first -= 1
            trunk = nn.Sequential(*blocks[first:])
            module = ResidualAttention(trunk, net.channels[stage], depth)
            setattr(net, stage, nn.Sequential(*blocks[:first], module))


def _unit(channels: int) -> Bottleneck:
    return Bottleneck(channels, max(1, channels // 4), channels)


def _squeeze(block: Any) -> None:
    """Squeeze-and-excitation into ``block`` if it is a residual one."""
    if hasattr(block, "downsample"):  # of a ResNet
        name = "bn3" if hasattr(block, "bn3") else "bn2"
        norm = getattr(block, name)
        squeeze = SqueezeExcitation(norm.num_features)
        setattr(block, name, nn.Sequential(OrderedDict(norm=norm, squeeze=squeeze)))
    elif getattr(block, "use_res_connect", False):  # of a MobileNet
        block.conv.append(SqueezeExcitation(block.out_channels))


def _keeps_shape(block: Any) -> bool:
    if hasattr(block, "downsample"):
        return block.downsample is None or isinstance(block.downsample, nn.Identity)
    return bool(getattr(block, "use_res_connect", False))
