"""VCN's figures: its two branches (Fig. 2), inside a transformer (Fig. 3), four ways to read a map
(Fig. 4), aligned images (Fig. 5), and what is learned beside what a perfect detector does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor, nn

from reidlib import visualize
from reidlib.data.drawn.synthetic import NOMINAL
from reidlib.errors import ReidError
from reidlib.geometry import (
    box_iou,
    box_to_theta,
    collapsed,
    invert,
    sample,
    transform_points,
)
from reidlib.models.base import device_of, evaluating
from reidlib.papers.vcn.measure import FACTORS, UNMOVED, factors, recovery
from reidlib.papers.vcn.model import VCN
from reidlib.visualize.architecture import Box, boxes_of, draw_boxes, lines_of, totals
from reidlib.visualize.images import image_grid, pictures, pixels, polygon, show
from reidlib.visualize.style import DARK, legend

NAMES = ("$s_w - 1$", "$s_h - 1$", "$t_w$", "$t_h$", "$r_h$", "$r_w$")


def architecture(model: VCN) -> Figure:
    """Fig. 2 of a model with both branches: what stands between the map and each branch's losses,
    with the weights of Eq. 8."""
    table = visualize.stages(model)
    shared = table["stage"].str.startswith("backbone.")
    rows = {row["stage"]: row for row in table[~shared].to_dict("records")}
    image, *trunk = boxes_of(table[shared], model.size, {})
    channels, height, _ = (int(n) for n in table[shared]["output"].iloc[-1].split("x"))
    lost = {  # classifiers are counted with their branch
        lane: (f"{ce:g} $L_c^{lane}$ + {ranked:g} $L_r^{lane}$",)
        for lane, ce, ranked in (("g", model.beta, model.gamma), ("s", 1.0, model.alpha))
    }
    branches = (
        {
            "GAP + GMP": (f"{channels}",),
            "batch norm: $f^g$": lines_of(rows["global_branch"]),
            "losses of $f^g$": lost["g"],
        },
        {
            "SC-STN": lines_of(rows["transformer"]),
            "row pooling": (f"{channels}×{height}", "mean + maximum", "(Eq. 6)"),
            "VCN: $f^s$": lines_of(rows["spatial_head"]),
            "batch norm": lines_of(rows["spatial_branch"]),
            "losses of $f^s$": lost["s"],
        },
    )
    palette = sns.color_palette("deep")
    boxes = [replace(box, lane=0.5) for box in (image, *trunk)]
    for lane, steps in enumerate(branches):
        for column, (name, lines) in enumerate(steps.items(), len(trunk) + 1):
            high = height if "×" in lines[0] else 1
            boxes.append(Box(column, lane, name, lines, high, 1, palette[lane + 1]))
    return draw_boxes(boxes, f"SC-STN + VCN, {totals(table, model.size)}")


def transformer_steps(models: Mapping[str, VCN], images: Tensor) -> Figure:
    """One row an image and model: what its transformer makes of the image, from its own calls.

    images: [N, 3, H, W] normalised. The mean of the map over its channels (Eq. 3); the factors that
    the two layers make of it (Eqs. 4 and 5), with the range (-eps, eps) that SC-STN allows itself;
    what these factors read, as a frame on the image; the mean of the moved map; the image so moved.
    """
    number = len(models) * len(images)
    figure, axes = plt.subplots(
        number, 5, figsize=(11, 2.3 * number + 0.5), layout="constrained", squeeze=False,
        width_ratios=(1, 2.4, 1, 1, 1),
    )  # fmt: skip
    pairs = [(name, model, image) for image in images for name, model in models.items()]
    for row, (name, model, image) in zip(axes, pairs, strict=True):
        if model.transformer is None:
            raise ReidError(f"{name}: this model has no spatial transformer")
        with evaluating(model):
            maps = model.backbone(image[None].to(device_of(model)))
            moved, theta, eps = model.transformer(maps)
        theta = theta.cpu().float()
        before, after = (x.mean(1)[0].cpu().float().numpy() for x in (maps, moved))
        scale = {"vmin": 0.0, "vmax": before.max(), "cmap": "magma", "aspect": "auto"}
        row[0].imshow(before, **scale)
        _bars(row[1], theta[0], float(eps[0]))
        size = (image.shape[1], image.shape[2])
        show(row[2], pictures(image))
        x, y = pixels(corners(theta)[0], size).T.numpy()
        row[2].plot(x, y, color=BODY, lw=2.5)
        row[2].set(xlim=(min(-1, *x) - 1, max(size[1], *x) + 1),
                   ylim=(max(size[0], *y) + 1, min(-1, *y) - 1))  # fmt: skip
        row[3].imshow(after, **scale)
        show(row[4], pictures(sample(image[None].cpu(), theta))[0])
        row[0].set_ylabel(name, fontweight="bold")
        for axis in (row[0], row[3]):
            axis.set(xticks=[], yticks=[])
            axis.set_box_aspect(size[0] / size[1])
    titles = ("mean map (Eq. 3)", "factors (Eqs. 4, 5)", "what is read", "moved map", "moved image")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, loc="center")
    return figure


def _bars(axis: Axes, theta: Tensor, eps: float) -> None:
    """The factors of one theta [2, 3] as differences from the identity; a free one has six."""
    values = [*(factors(theta[None])[0] - torch.tensor(UNMOVED)).tolist()]
    if eps == 0:  # the original STN: with rotation
        values += [float(theta[0, 1]), float(theta[1, 0])]
    names = NAMES[: len(values)]
    axis.axvline(0, color=DARK, lw=1)
    axis.barh(names, values, color="#4c72b0")
    reach = 1.15 * max(0.05, eps, *(abs(value) for value in values))
    if eps:
        axis.axvspan(-eps, eps, color="#55a868", alpha=0.2, lw=0)
        label = Patch(color="#55a868", alpha=0.3, label=f"allowed: $\\epsilon$ = {eps:.2f}")
        axis.legend(handles=[label], loc="lower right", fontsize="x-small")
    axis.set(xlim=(-reach, reach))
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.tick_params(labelsize="small")


@dataclass(frozen=True)
class Reading:
    """What one output value reads of a map: its weights [channels, rows], summed over the columns,
    and in words what it sees and how many weights an output channel has."""

    name: str
    weights: Tensor
    sees: str
    number: str


def vertical(model: VCN) -> Tensor:
    """The kernels [C, K, H] of Eq. 7. Raises ReidError if the model has none of a channel's own."""
    head = model.spatial_head
    if head is None or head.kind != "vcn":
        raise ReidError("this model has no vertical convolution with kernels for each channel")
    kernels: Tensor = head.kernels.detach().float().cpu()
    return kernels


def readings(
    model: VCN, channel: int = 0, kernel: int = 0, stripes: int = 3, began: Tensor | None = None
) -> list[Reading]:
    """The four panels of Fig. 4 with the weights of this model.

    began: the kernels [C, K, H] that it began with, which are then taken off: what is left was
    learned.

    A regular convolution: the last 3x3 one of its backbone. The depthwise one is the same, with
    the output channel's own input alone. A stripe is a mean over its rows. Values are those of one
    output channel ``channel`` at the middle of the map.
    """
    kernels = vertical(model)
    height = kernels.shape[2]
    convolutions = [m for m in model.backbone.modules() if isinstance(m, nn.Conv2d)]
    last = [m for m in convolutions if m.kernel_size == (3, 3) and m.groups == 1][-1]
    own = last.weight.detach().float().cpu()  # [out, in, 3, 3]
    regular = torch.zeros(own.shape[1], height)
    rows = slice(height // 2 - 1, height // 2 + 2)
    regular[:, rows] = own[channel].sum(2)
    depthwise = torch.zeros_like(regular)
    depthwise[channel, rows] = own[channel, channel].sum(1)
    stripe, alone = torch.zeros(2, kernels.shape[0], height)
    first, end = stripes // 2 * height // stripes, (stripes // 2 + 1) * height // stripes
    stripe[channel, first:end] = 1 / (end - first)
    alone[channel] = kernels[channel, kernel] - (0 if began is None else began[channel, kernel])
    here, own_rows = f"3 rows of {height}", f"{end - first} rows of {height}"
    number = f"{kernels[0].numel()} weights a channel (K = {kernels.shape[1]})"
    return [
        Reading("(a) regular convolution", regular, f"{here}, all channels",
                f"{own[0].numel():,} weights a channel"),
        Reading("(b) depthwise convolution", depthwise, f"{here}, own channel",
                "9 weights a channel"),
        Reading("(c) stripe", stripe, f"{own_rows}, own channel", "nothing is learned"),
        Reading("(d) vertical convolution" + ("" if began is None else ", minus its start"),
                alone, f"all {height} rows, own channel", number),
    ]  # fmt: skip


def convolutions(
    model: VCN, shown: int = 12, channel: int = 4, began: Tensor | None = None
) -> Figure:
    """For each kind the weights that make one value: rows of the map against ``shown`` channels.

    began: as in ``readings``."""
    found = readings(model, channel, began=began)
    figure, axes = plt.subplots(1, len(found), figsize=(13, 3.9), layout="constrained", sharey=True)
    for axis, reading in zip(axes, found, strict=True):
        weights = reading.weights[:shown].T.numpy()
        seen = np.ma.masked_equal(weights, 0)  # white: not read at all
        reach = float(np.abs(weights).max())
        axis.set_facecolor("#f4f4f4")
        drawn = axis.imshow(seen, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        figure.colorbar(drawn, ax=axis, shrink=0.7).ax.tick_params(labelsize="x-small")
        axis.set_title(reading.name.replace(", ", ",\n"), loc="center")
        axis.set_xlabel(f"channel\n{reading.sees}\n{reading.number}")
        axis.set(xticks=range(0, weights.shape[1], 4), yticks=range(weights.shape[0]))
        axis.grid(visible=False)
        axis.set_xticks(np.arange(weights.shape[1]) + 0.5, minor=True)
        axis.set_yticks(np.arange(weights.shape[0]) + 0.5, minor=True)
        axis.grid(which="minor", color="white", lw=1)
        axis.tick_params(which="minor", length=0)
    axes[0].set_ylabel("row of the map")
    figure.supxlabel("red: positive, blue: negative weight; grey: not read", fontsize="small")
    return figure


BODY, TARGET = "#ffd166", "#118ab2"


def corners(theta: Tensor) -> Tensor:
    """The corners [N, 5, 2] (x, y; the first again at the end) of what ``theta`` reads."""
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    return transform_points(theta.cpu().float(), square.expand(len(theta), 5, 2))


def aligned(images: Tensor, thetas: Mapping[str, Tensor], body: Tensor | None = None) -> Figure:
    """Fig. 5: one column an image: as it is, and as each transformer shows it.

    images: [N, 3, H, W] normalised. thetas: name -> [N, 2, 3], which the images are read through
    (what a map's transformer does to the map, done to the image); grey is beyond the image. body:
    true boxes [N, 4] where they are known: drawn with the box in which a perfect detector would
    have put them, above each image their overlap (IoU).
    """
    identity = torch.eye(2, 3).expand(len(images), 2, 3)
    rows = {"image": identity, **{name: theta.cpu().float() for name, theta in thetas.items()}}
    moved = [pictures(sample(images.cpu(), theta)) for theta in rows.values()]
    figure, axes = image_grid([list(row) for row in moved], sides=list(rows), width=1.3)
    if body is None:
        return figure
    nominal = torch.tensor([NOMINAL])
    target = corners(box_to_theta(nominal))[0]
    for line, theta in zip(axes, rows.values(), strict=True):
        flat = collapsed(theta)  # shows no box
        there = invert(torch.where(flat[:, None, None], identity, theta))
        boxed = transform_points(there, corners(box_to_theta(body)))
        overlap = box_iou(torch.cat([boxed.amin(1), boxed.amax(1)], 1), nominal)
        for axis, box, none, iou in zip(line, boxed, flat, overlap, strict=True):
            polygon(axis, target, TARGET, "--")
            if not none:
                polygon(axis, box, BODY)
                axis.set_title(f"IoU {iou:.2f}", fontsize="x-small", weight="normal", loc="center",
                               pad=2)  # fmt: skip
    dashed = Line2D([], [], color=TARGET, lw=2, ls="--")
    lines = {"the body's true box": BODY, "where a perfect detector puts it": dashed}
    legend(figure, lines, "upper", ncols=1)
    return figure


LABELS = dict(zip((*FACTORS, "eps"), ("$s_w$", "$s_h$", "$t_w$", "$t_h$", "$\\epsilon$"),
                  strict=True))  # fmt: skip


def correction(images: pd.DataFrame) -> Figure:
    """One row a transformer, one column a factor; last the learned eps against the true error.

    images: of ``measure.all_corrections``; a colour a seed. r: correlation over images, mean over
    seeds, with the lowest and the highest of them; of one seed with its 95 % interval.
    """
    rows = list(dict.fromkeys(images.row))
    found = recovery(images).groupby(["row", "quantity"])
    figure, axes = plt.subplots(
        len(rows), len(LABELS), figsize=(2.7 * len(LABELS), 2.5 * len(rows) + 0.4),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, name in zip(axes, rows, strict=True):
        own = images[images.row == name]
        for axis, factor in zip(line, LABELS, strict=True):
            _panel(axis, own, factor, found.get_group((name, factor)))
        line[0].set_ylabel(f"{name}\nlearned", fontsize="small")
    for axis, label in zip(axes[0], LABELS.values(), strict=True):
        axis.set_title(label, loc="center")
    lines = {
        "the detector's error is undone": Line2D([], [], color=DARK, ls="--"),
        "nothing is moved": Line2D([], [], color=DARK, ls=":"),
    }
    legend(figure, lines, "upper")
    return figure


def _panel(axis: Axes, own: pd.DataFrame, factor: str, seeds: pd.DataFrame) -> None:
    true = own[f"{factor}_true"]
    if factor == "eps" and own[factor].isna().any():
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no $\\epsilon$ is learned", ha="center", va="center",
                  transform=axis.transAxes, fontsize="small")  # fmt: skip
        return
    for colour, (_, part) in zip(sns.color_palette("deep"), own.groupby("seed"), strict=False):
        axis.scatter(part[f"{factor}_true"], part[factor], s=7, color=colour, alpha=0.4, lw=0)
    low, high = true.min(), true.max()
    axis.plot([low, high], [low, high], "--", color=DARK, lw=1.2)
    if factor != "eps":
        axis.axhline(1.0 if factor.startswith("s") else 0.0, color=DARK, ls=":", lw=1)
    r, below, above = (seeds[column].mean() for column in ("correlation", "low", "high"))
    if len(seeds) > 1:
        below, above = seeds.correlation.min(), seeds.correlation.max()
    text = "constant" if r != r else f"r = {r:.2f} [{below:.2f}, {above:.2f}]"
    axis.set_xlabel(f"{'size of the true error' if factor == 'eps' else 'true'}\n{text}",
                    fontsize="small")  # fmt: skip
    axis.tick_params(labelsize="x-small")
