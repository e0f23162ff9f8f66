"""How a branch's map is cut into spatial parts and channel groups (SCR Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from reidlib.encode import device_of, evaluating
from reidlib.models.partition import Part, Partition
from reidlib.models.scr import SCR

SLANT = (0.8, 0.5)  # how far a unit of depth goes to the right and up
HEIGHT, DEPTH, GAP = 1.5, 1.6, 0.16  # of a drawn map; GAP lies between parts
Corner = tuple[float, float, float]  # x, y, depth of a block's lower left front corner


def partitioned(model: SCR, image_size: tuple[int, int] | None = None) -> Figure:
    """One row a branch that is cut: its map, its spatial parts, its channel groups, in their sizes.

    Height and width are to scale, depth stands for the channels. image_size: (H, W), default the
    model's. Where no branch is cut, the maps alone are drawn.
    """
    size = image_size or model.size
    with evaluating(model):
        maps = model.maps(torch.zeros(1, 3, *size, device=device_of(model)))
    shown = [p for p in model.partitions if len(p.parts) > 1] or list(model.partitions)
    figure, axes = plt.subplots(
        len(shown), 3, figsize=(9.5, 2.7 * len(shown)), layout="constrained", squeeze=False
    )
    for row, partition in zip(axes, shown, strict=True):
        _, channels, height, width = maps[partition.name].shape
        for axis, kind in zip(row, ("whole", "rows", "channels"), strict=True):
            parts = [part for part in partition.parts if part.kind == kind]
            _blocks(axis, parts, (channels, height, width))
            axis.set_title(_title(partition, parts, kind), loc="center", fontsize="small")
    figure.suptitle(
        f"Spatial-channel partition of an image of {size[0]}x{size[1]}", fontsize="medium"
    )
    return figure


def _title(partition: Partition, parts: Sequence[Part], kind: str) -> str:
    if kind == "whole":
        return f"{partition.name}: feature map"
    name = "s{0}: {0} spatial parts" if kind == "rows" else "c{0}: {0} channel groups"
    return name.format(len(parts)) if parts else ""


def _blocks(axis: Axes, parts: Sequence[Part], shape: tuple[int, int, int]) -> None:
    """The parts as blocks, the hidden ones first."""
    channels, height, width = shape
    palette = sns.color_palette("deep")
    scale = HEIGHT / height
    for part in reversed(parts):  # the lowest, the deepest first
        (top, bottom), (first, last) = part.rows(height), part.channels(channels)
        gap = GAP * part.number
        down = gap if part.kind == "rows" else 0.0
        deep = gap if part.kind == "channels" else 0.0
        corner = (0.0, (height - bottom) * scale - down, first / channels * DEPTH + deep)
        sides = (width * scale, (bottom - top) * scale, (last - first) / channels * DEPTH)
        colour = "#8d99ae" if part.kind == "whole" else palette[part.number % 10]
        _block(axis, corner, sides, to_rgb(colour))
        label = f"{part.name}\n{last - first}×{bottom - top}×{width}"
        x, y, depth = corner
        if part.kind == "channels":  # what lies behind another block is named above itself
            place = _flat((x - 0.05, y + sides[1], depth + sides[2] / 2))
            axis.text(*place, label, fontsize="x-small", ha="right", va="bottom")
        else:
            place = _flat((x + sides[0] + 0.1, y + sides[1] / 2, depth + sides[2]))
            axis.text(*place, label, fontsize="x-small", ha="left", va="center")
    axis.autoscale_view()
    axis.set_aspect("equal")
    axis.set_axis_off()


def _flat(corner: Corner) -> tuple[float, float]:
    """A point as it lies on the paper."""
    x, y, depth = corner
    return x + SLANT[0] * depth, y + SLANT[1] * depth


def _block(axis: Axes, corner: Corner, sides: Corner, colour: tuple[float, float, float]) -> None:
    """Front, top and right side of a block."""
    (x, y, d), (w, h, c) = corner, sides
    faces = {
        1.0: [(x, y, d), (x + w, y, d), (x + w, y + h, d), (x, y + h, d)],
        0.6: [(x, y + h, d), (x + w, y + h, d), (x + w, y + h, d + c), (x, y + h, d + c)],
        0.8: [(x + w, y, d), (x + w, y + h, d), (x + w, y + h, d + c), (x + w, y, d + c)],
    }
    for share, corners in faces.items():
        tint = tuple(share * v + (1 - share) for v in colour)
        outline = [_flat(point) for point in corners]
        axis.add_patch(Polygon(outline, closed=True, fc=tint, ec="white", lw=0.8))
