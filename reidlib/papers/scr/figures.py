"""SCR's figures: how a map is cut (Fig. 1), what its parts look at (Fig. 2), its branches (Fig. 3),
and what a linear probe reads of the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor, nn

from reidlib.models.base import device_of, evaluating
from reidlib.models.receptive import edges, map_length, receptive_field
from reidlib.papers.scr.attributes import PRIMARY
from reidlib.papers.scr.model import SCR, Part, Partition
from reidlib.visualize.architecture import Box, boxes_of, draw_boxes, stages, totals
from reidlib.visualize.maps import Similarity, grad_cam, heat_grid

SLANT = (0.8, 0.5)  # how far a unit of depth goes to the right and up
HEIGHT, DEPTH, GAP = 1.5, 1.6, 0.16  # of a drawn map; GAP lies between parts
Corner = tuple[float, float, float]  # x, y, depth of a block's lower left front corner


def architecture(model: SCR, image_size: tuple[int, int] | None = None) -> Figure:
    """Fig. 3: a lane for each branch, with how it is partitioned, its layers and its losses.

    image_size: (H, W), default the model's.
    """
    table, size = stages(model, image_size), image_size or model.size
    boxes = _boxes(model, boxes_of(table, size, {}))
    length = model.width * len(model.part_names)
    return draw_boxes(boxes, f"SCR, {totals(table, size)}, representation of {length:,} values")


def _boxes(model: SCR, boxes: list[Box]) -> list[Box]:
    """An SCR's boxes with the paper's names and, before the heads, what is pooled (SCR Fig. 3)."""
    found = []
    for box in boxes:
        stage, *rest = box.name.split(".")
        if stage not in ("branches", "heads"):
            name = box.name.removeprefix("trunk.")
            found.append(replace(box, name=f"{name}_1" if name == "conv4" else name))
            continue
        number = int(rest[0])
        partition = model.partitions[number]
        if stage == "branches":
            blocks = len(getattr(model.branches[number], rest[1]))
            last = f"_2 to _{blocks + 1}" if rest[1] == "conv4" and blocks > 1 else ""
            found.append(replace(box, name=f"{partition.name} {rest[1]}{last}"))
            continue
        lengths = partition.lengths(model.channels)
        pooled: tuple[str, ...] = (f"{lengths[0]}",)
        if partition.rows > 1:
            pooled += (f"s{partition.rows}: {partition.rows} × {lengths[0]}",)
        if partition.channels > 1:
            groups = " + ".join(str(length) for length in lengths[-partition.channels :])
            pooled += (f"c{partition.channels}: {groups}",)
        high = next(b.rows for b in reversed(found) if b.lane == box.lane)
        found.append(
            replace(box, name="max pooling", lines=pooled, rows=high, pieces=partition.rows)
        )
        pieces = len(partition.parts)
        layers = f"1×1 conv, BN: {pieces} × {model.width}"
        losses = f"losses: {pieces} identity" + ", 1 triplet" * model.triplet
        found.append(
            replace(
                box, column=box.column + 1, name=f"{pieces} head{'s' * (pieces > 1)}",
                pieces=pieces, lines=(layers, losses, *box.lines[1:]),
            )
        )  # fmt: skip
    return found


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
    shape = f"{channels}×{height}×{width} (C×H×W), of an image of {size[0]}×{size[1]}"
    figure.suptitle(f"Spatial-channel partition of maps of {shape}", fontsize="medium")
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


class _Output(nn.Module):
    """A model as Grad-CAM wants it: images in, one part's feature or its classifier's logits."""

    def __init__(self, model: SCR, part: str, logits: bool) -> None:
        super().__init__()
        self.model, self.part, self.logits = model, part, logits

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model.part_logits if self.logits else self.model.part_features
        return outputs(images)[self.part]


def part_cam(model: SCR, images: Tensor, part: str, others: Tensor | None = None) -> np.ndarray:
    """Maps [N, H, W] in [0, 1] of what in ``images`` drives one part of the representation.

    images: [N, 3, H, W] normalised. part: "p1", "p2.s1", "p2.c2", ... (``SCR.part_names``). What is
    differentiated: with ``others`` [N, 3, H, W] the cosine between the part's feature and that of
    the other image, pair by pair, which says what makes two images of an unseen person alike;
    without, the largest logit of the part's classifier, as the authors' code does: an unseen
    person's image is explained by the training person whom it resembles most. After 200 steps on
    drawn people the map was 0 everywhere (nothing speaks for the target) in 9 of 90 cases without
    ``others``, in 17 with them.

    Each channel is weighted by its mean gradient. A channel group has no gradient from other
    channels; the map of a spatial part is 0 outside of its rows. Each map is scaled by its maximum.
    """
    path, own, device = [model.trunk, model.branch(part)], _part(model, part), device_of(model)
    wrapped, targets = _Output(model, part, logits=others is None), None
    rows = own.rows(map_length(images.shape[2], *path)) if own.kind == "rows" else None
    with evaluating(model, gradients=True):
        if others is not None:
            with torch.no_grad():
                targets = [Similarity(feature) for feature in wrapped(others.to(device))]
        maps = grad_cam(wrapped, path, images.to(device), targets, rows)
    model.zero_grad()
    return maps


def _part(model: SCR, name: str) -> Part:
    return next(p for branch in model.partitions for p in branch.parts if p.name == name)


def part_cams(
    columns: Mapping[str, tuple[SCR, str]],
    images: Tensor,
    others: Tensor | None = None,
    captions: Sequence[str] | None = None,
) -> Figure:
    """One row an image, one column a network's part; spatial parts are bordered in white (Fig. 2).

    columns: by title a model and the name of a part, as in the paper: (a) a plain network's "p1",
    (b), (c) "p2.s1", "p2.s2" and (d), (e) "p2.c1", "p2.c2" of one with partition, (f), (g) "p1" of
    those with attention. images, others: as in ``part_cam``.
    """
    found = {t: part_cam(model, images, part, others) for t, (model, part) in columns.items()}
    figure, axes = heat_grid(images, found, captions or (), partners=others)
    first = axes.shape[1] - len(columns)
    for column, (title, (model, part)) in enumerate(columns.items(), first):
        path = [model.trunk, model.branch(part)]
        cells = map_length(images.shape[2], *path)
        ends = edges(receptive_field(*path).centres(cells), images.shape[2])
        inner = [end for end in _part(model, part).rows(cells) if 0 < end < cells]
        for axis, heat in zip(axes[:, column], found[title], strict=True):
            for end in inner:
                axis.axhline(float(ends[end]) - 0.5, color="white", lw=1.5)
            if not heat.any():
                axis.text(0.5, 0.5, "nothing\nspeaks for it", color="white", ha="center",
                          va="center", fontsize="x-small", transform=axis.transAxes)  # fmt: skip
    what = (
        "likeness to its partner, another image of the person"
        if others is not None
        else "largest logit"
    )
    figure.supxlabel(f"Grad-CAM of each part's {what}, red highest in each map", fontsize="small")
    return figure


def cam_numbers(
    columns: Mapping[str, tuple[SCR, str]],
    images: Tensor,
    others: Tensor | None = None,
    body: Tensor | None = None,
) -> pd.DataFrame:
    """What the maps of ``part_cams`` look at, as means over images: a row a column of it.

    body: boxes [N, 4] of the person in [-1, 1], where they are known. Columns, in percent: on the
    person (share of the heat inside of the box; the box's own share of the image is what looking
    everywhere would give), above half (share of the image that is hotter than half of the hottest
    place), overlap (of the places above half with those of the row above it: intersection over
    union), nothing (maps that are 0 everywhere, which the others leave out).
    """
    height, width = images.shape[2:]
    y = (torch.arange(height) + 0.5) / height * 2 - 1
    x = (torch.arange(width) + 0.5) / width * 2 - 1
    inside = None
    if body is not None:
        x0, y0, x1, y1 = (side[:, None, None] for side in body.unbind(1))
        inside = (x >= x0) & (x <= x1) & (y[:, None] >= y0) & (y[:, None] <= y1)
    lines, before = {}, None
    for title, (model, part) in columns.items():
        maps = torch.from_numpy(part_cam(model, images, part, others))
        heat, hot = maps.sum((1, 2)), maps > 0.5
        seen = heat > 0
        line = {"above half": hot[seen].float().mean()}
        if inside is not None:
            line["on the person"] = ((maps * inside).sum((1, 2)) / heat)[seen].mean()
            line["box of the person"] = inside.float().mean()
        if before is not None:
            both, either = (hot & before).sum((1, 2)), (hot | before).sum((1, 2))
            line["overlap"] = (both / either)[either > 0].mean()
        line["nothing"] = (~seen).float().mean()
        lines[title] = {name: 100 * float(value) for name, value in line.items()}
        before = hot
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("map")


def probed(table: pd.DataFrame) -> Figure:
    """A heat map of the rows of ``attributes.attribute_probe``, in their order.

    Each cell: balanced accuracy in percent and its interval; its colour how much of the way from
    guessing to always right that is, on a scale that ends at the best cell. Where the interval
    reaches chance the numbers are grey. Below each attribute its chance. A line parts small things
    from large areas.
    """
    order = {name: list(dict.fromkeys(table[name])) for name in ("feature", "attribute")}

    def grid(values: pd.Series) -> pd.DataFrame:
        given = table.assign(value=values).pivot(
            index="feature", columns="attribute", values="value"
        )
        return given.loc[order["feature"], order["attribute"]]

    way = grid((table.accuracy - table.chance) / (100 - table.chance))
    text = grid(table.apply(lambda r: f"{r.accuracy:.0f}\n{r.low:.0f}–{r.high:.0f}", axis=1))
    chance = table.drop_duplicates("attribute").set_index("attribute").chance
    rows, columns = way.shape
    figure, axis = plt.subplots(
        figsize=(1.0 * columns + 3.0, 0.75 * rows + 1.6), layout="constrained"
    )
    sns.heatmap(
        100 * way, annot=text, fmt="", vmin=0, cmap="viridis", linewidths=1, ax=axis,
        annot_kws={"fontsize": "small"},
        cbar_kws={"label": "way from guessing (0) to always right (100)"},
    )  # fmt: skip
    if 0 < (small := sum(name not in PRIMARY for name in way.columns)) < columns:
        axis.axvline(small, color="black", lw=2)
    within = grid(table.low <= table.chance).to_numpy().ravel()
    for label, weak in zip(axis.texts, within, strict=True):
        if weak:
            label.set(color="0.65", style="italic")
    names = [f"{name}\n(chance {chance[name]:.0f})" for name in way.columns]
    axis.set_xticklabels(names, rotation=35, ha="right")
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure
