"""How a branch's map is cut into spatial parts and channel groups (SCR Fig. 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor, nn

from reidlib.data.bank import denormalise
from reidlib.models.base import device_of, evaluating
from reidlib.papers.scr.model import SCR, Part, Partition
from reidlib.visualize.cam import Similarity
from reidlib.visualize.style import show

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


class _Output(nn.Module):
    """A model as Grad-CAM wants it: images in, one part's feature or its classifier's logits."""

    def __init__(self, model: SCR, part: str, logits: bool) -> None:
        super().__init__()
        self.model, self.part, self.logits = model, part, logits

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model.part_logits if self.logits else self.model.part_features
        return outputs(images)[self.part]


class _PartCAM(GradCAM):
    """Grad-CAM whose map is 0 beyond the rows of a part."""

    part: Part

    def get_cam_image(self, *args: Any, **options: Any) -> np.ndarray:
        cam: np.ndarray = super().get_cam_image(*args, **options)
        return _own_rows(cam, self.part)


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
    layer = model.branch(part)
    own = next(p for branch in model.partitions for p in branch.parts if p.name == part)
    wrapped, device = _Output(model, part, logits=others is None), device_of(model)
    with evaluating(model, gradients=True), _PartCAM(wrapped, target_layers=[layer]) as cam:
        targets = None
        if others is not None:
            with torch.no_grad():
                targets = [Similarity(feature) for feature in wrapped(others.to(device))]
        cam.part = own
        maps: np.ndarray = cam(input_tensor=images.to(device).clone(), targets=targets)
    model.zero_grad()
    return _own_rows(maps, own)  # enlarging a map carries it beyond its rows


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
    n, size = len(images), (images.shape[2], images.shape[3])
    wide = 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        n, 1 + len(columns), figsize=((1 + len(columns)) * wide + 0.4, n * 2.35 + 0.7),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    pictures = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    for row, picture in zip(axes, pictures, strict=True):
        show(row[0], picture)
    axes[0, 0].set_title("image", loc="center", fontsize="small")
    for column, (title, (model, part)) in enumerate(columns.items(), 1):
        heat = part_cam(model, images, part, others)
        own = next(p for branch in model.partitions for p in branch.parts if p.name == part)
        for row, picture, one in zip(axes, pictures, heat, strict=True):
            show(row[column], show_cam_on_image(picture, one, use_rgb=True))
            for edge in own.rows(size[0]):
                if 0 < edge < size[0]:
                    row[column].axhline(edge - 0.5, color="white", lw=1.5)
        axes[0, column].set_title(title, loc="center", fontsize="small")
    for row, caption in zip(axes, captions or [], strict=False):
        row[0].text(-0.08, 0.5, caption, rotation=90, ha="right", va="center", fontsize="small",
                    transform=row[0].transAxes)  # fmt: skip
    what = "likeness to another image of the person" if others is not None else "largest logit"
    figure.supxlabel(f"Grad-CAM of each part's {what}, red highest in each map", fontsize="small")
    return figure


def _own_rows(maps: np.ndarray, part: Part) -> np.ndarray:
    """Maps [N, H, W] with 0 beyond the rows of ``part``."""
    top, bottom = part.rows(maps.shape[1])
    kept = np.zeros_like(maps)
    kept[:, top:bottom] = maps[:, top:bottom]
    return kept


def probed(table: pd.DataFrame) -> Figure:
    """A heat map of the rows of ``attributes.attribute_probe``, in their order.

    Each cell: balanced accuracy in percent and its interval; its colour how much of the way from
    chance to 100 that is. Where the interval reaches chance the numbers are grey. Below each
    attribute its chance.
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
        way, annot=text, fmt="", vmin=0, vmax=1, cmap="viridis", linewidths=1, ax=axis,
        annot_kws={"fontsize": "small"}, cbar_kws={"label": "from chance (0) to 100 % (1)"},
    )  # fmt: skip
    within = grid(table.low <= table.chance).to_numpy().ravel()
    for label, weak in zip(axis.texts, within, strict=True):
        if weak:
            label.set(color="0.65", style="italic")
    names = [f"{name}\n(chance {chance[name]:.0f})" for name in way.columns]
    axis.set_xticklabels(names, rotation=35, ha="right")
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure
