"""Where the cells of a map lie in the image and how much they see, from the layers before it.

A convolution or pooling with kernel k, dilation d, stride s and padding p has the reach
r = d (k - 1) + 1. With pixels counted from 0 at their centres, cell i of a map is centred at

    offset + stride * i    with    stride = product of all s,    offset = sum of ((r - 1) / 2 - p) j

and sees ``size`` = 1 + sum of (r - 1) j pixels (RMGL Eq. 5), where j is the product of the strides
before that layer (Araujo et al. 2019, "Computing receptive fields of convolutional networks").
A padded kernel of odd length adds nothing to the offset: in a ResNet cell i of the last map lies at
pixel 16 i, not at 16 (i + 1/2); in a VGG, whose 2x2 poolings are not padded, at 16 i + 7.5.
The branches of a residual block have one centre, so the longest path says it all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from reidlib.errors import ReidError, nearest
from reidlib.models.backbone import STAGES, Backbone

SPLITS = ("input", *STAGES)
BESIDE = {"downsample", "mask"}  # names of what lies beside the longest path: shortcuts, attention
Layer = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


class Field(NamedTuple):
    """Along either side, in pixels: what a cell sees, from cell to cell, the centre of cell 0."""

    size: int
    stride: int
    offset: float

    def centres(self, cells: int) -> Tensor:
        """Where the cells of a row or column of the map are centred: pixels [cells]."""
        return self.offset + self.stride * torch.arange(cells, dtype=torch.float32)


def stages_to(end: str = "conv5") -> tuple[str, ...]:
    """The stages up to ``end``, included; none for "input". Raises ReidError for another name."""
    if end not in SPLITS:
        raise ReidError(f'unknown stage "{end}"{nearest(end, SPLITS)}')
    return STAGES[: SPLITS.index(end)]


def path_to(net: Backbone, end: str = "conv5") -> list[nn.Module]:
    """What an image passes in a backbone up to the map of stage ``end``."""
    return [getattr(net, stage) for stage in stages_to(end)]


def _steps(path: tuple[nn.Module, ...]) -> Iterator[tuple[int, int, int]]:
    """Reach, stride and padding of each convolution and pooling of the longest path, in order."""
    for part in path:
        for name, layer in part.named_modules():
            if isinstance(layer, Layer) and BESIDE.isdisjoint(name.split(".")):
                kernel, stride, padding = map(
                    _side, (layer.kernel_size, layer.stride, layer.padding)
                )
                yield _side(getattr(layer, "dilation", 1)) * (kernel - 1) + 1, stride, padding


def _side(value: Any) -> int:
    """A setting that is the same along both sides. Raises ReidError if it is not."""
    sides = set(value) if isinstance(value, tuple) else {value}
    if len(sides) > 1:
        raise ReidError(f"a layer's setting is {value}: cells are placed for square layers alone")
    return int(sides.pop())


def receptive_field(*path: nn.Module) -> Field:
    """Of the map that ``path`` makes, modules in the order in which an image passes them.

    No module: the image itself, (1, 1, 0).
    """
    size, jump, offset = 1, 1, 0.0
    for reach, stride, padding in _steps(path):
        size += (reach - 1) * jump
        offset += ((reach - 1) / 2 - padding) * jump
        jump *= stride
    return Field(size, jump, offset)


def map_length(length: int, *path: nn.Module) -> int:
    """Rows of the map that ``path`` makes of an image with ``length`` rows; columns likewise."""
    for reach, stride, padding in _steps(path):
        length = (length + 2 * padding - reach) // stride + 1
    return length


def edges(centres: Tensor, length: int) -> Tensor:
    """Where cells with these ``centres`` [n] begin and end in ``length`` pixels: [n + 1].

    In pixels from the image's edge (the centre of the first pixel is 0.5): half-way between two
    centres; the outermost cells reach to the image's edge.
    """
    ends = centres.new_tensor([0.0, length])
    return torch.cat([ends[:1], (centres[1:] + centres[:-1]) / 2 + 0.5, ends[1:]])


def overlay(
    maps: Tensor, field: Field, size: tuple[int, int], rows: Tensor | None = None
) -> Tensor:
    """Maps [..., h, w] laid over an image of ``size`` (H, W), every cell at its place: [..., H, W].

    Between the centres of the cells values are interpolated, beyond the outermost ones constant.
    rows: centres [h] of the map's rows, where they are not evenly spaced.
    """
    down = field.centres(maps.shape[-2]) if rows is None else rows
    weights = (_weights(down, size[0]), _weights(field.centres(maps.shape[-1]), size[1]))
    high, wide = (weight.to(maps.device) for weight in weights)
    return high @ maps.float() @ wide.T


def _weights(centres: Tensor, length: int) -> Tensor:
    """How much each cell counts at each pixel: [length, cells], every row sums to 1."""
    pixel = torch.arange(length, dtype=torch.float32).clamp(centres[0], centres[-1])
    after = torch.searchsorted(centres, pixel).clamp(max=len(centres) - 1)
    before = (after - 1).clamp(min=0)
    gap = (centres[after] - centres[before]).clamp(min=1e-9)
    share = ((pixel - centres[before]) / gap).clamp(0, 1)
    one_hot = torch.eye(len(centres))
    return one_hot[before] * (1 - share)[:, None] + one_hot[after] * share[:, None]
