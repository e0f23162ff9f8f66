"""What happens inside a spatial transformer, step by step (VCN Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor, nn

from reidlib.data.bank import denormalise
from reidlib.data.drawn.synthetic import NOMINAL
from reidlib.errors import ReidError
from reidlib.geometry import box_to_theta, collapsed, invert, sample, transform_points
from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating
from reidlib.papers.rmgl.figures import responses
from reidlib.papers.vcn.measure import FACTORS, UNMOVED, correlation, factors
from reidlib.papers.vcn.model import VCN
from reidlib.visualize.style import show

NAMES = ("$s_w - 1$", "$s_h - 1$", "$t_w$", "$t_h$", "$r_h$", "$r_w$")


def transformer_steps(models: Mapping[str, VCN], image: Tensor) -> Figure:
    """One row a model: what its transformer makes of one image, from its own calls.

    image: [3, H, W] normalised. The mean of the map over its channels (Eq. 3); the factors that
    the two layers make of it (Eqs. 4 and 5), with the range (-eps, eps) that SC-STN allows itself;
    what these factors read, as a frame on the image; the mean of the moved map; the image so moved.
    """
    figure, axes = plt.subplots(
        len(models), 5, figsize=(11, 2.9 * len(models) + 0.5), layout="constrained", squeeze=False,
        width_ratios=(1, 2.4, 1, 1, 1),
    )  # fmt: skip
    for row, (name, model) in zip(axes, models.items(), strict=True):
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
        show(row[2], denormalise(image).permute(1, 2, 0).cpu().numpy())
        x, y = pixels(corners(theta)[0], size).T.numpy()
        row[2].plot(x, y, color=BODY, lw=2.5)
        row[2].set(xlim=(min(-1, *x) - 1, max(size[1], *x) + 1),
                   ylim=(max(size[0], *y) + 1, min(-1, *y) - 1))  # fmt: skip
        row[3].imshow(after, **scale)
        show(row[4], denormalise(sample(image[None].cpu(), theta))[0].permute(1, 2, 0).numpy())
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
    axis.axvline(0, color="#30343b", lw=1)
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


def readings(model: VCN, channel: int = 0, kernel: int = 0, stripes: int = 3) -> list[Reading]:
    """The four panels of Fig. 4 with the weights of this model.

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
    alone[channel] = kernels[channel, kernel]
    here, own_rows = f"3 rows of {height}", f"{end - first} rows of {height}"
    number = f"{kernels[0].numel()} weights a channel (K = {kernels.shape[1]})"
    return [
        Reading("(a) regular convolution", regular, f"{here}, all channels",
                f"{own[0].numel():,} weights a channel"),
        Reading("(b) depthwise convolution", depthwise, f"{here}, own channel",
                "9 weights a channel"),
        Reading("(c) stripe", stripe, f"{own_rows}, own channel", "nothing is learned"),
        Reading("(d) vertical convolution", alone, f"all {height} rows, own channel", number),
    ]  # fmt: skip


def convolutions(model: VCN, shown: int = 12, channel: int = 4) -> Figure:
    """For each kind the weights that make one value: rows of the map against ``shown`` channels."""
    found = readings(model, channel)
    figure, axes = plt.subplots(1, len(found), figsize=(13, 3.9), layout="constrained", sharey=True)
    for axis, reading in zip(axes, found, strict=True):
        weights = reading.weights[:shown].T.numpy()
        seen = np.ma.masked_equal(weights, 0)  # white: not read at all
        reach = float(np.abs(weights).max())
        axis.set_facecolor("#f4f4f4")
        axis.imshow(seen, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        axis.set_title(reading.name, loc="center")
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


def neighbours(kernels: Tensor) -> float:
    """Correlation of a kernel's weight with the next row's, over all kernels [C, K, H]: 0 where
    every row is drawn for itself, as at the start."""
    pair = torch.stack([kernels[..., :-1].flatten(), kernels[..., 1:].flatten()])
    return float(torch.corrcoef(pair)[0, 1])


def vertical_kernels(model: VCN, images: Tensor, shown: int = 8) -> Figure:
    """The learned kernels of ``shown`` channels, those with the largest weights: a picture each,
    K columns, its rows those of the map; at the left the mean of ``images`` [N, 3, H, W], so that
    rows can be read as parts of the body."""
    kernels = vertical(model)
    strongest = kernels.norm(dim=(1, 2)).argsort(descending=True)[:shown]
    height = kernels.shape[2]
    figure, axes = plt.subplots(
        1, 1 + len(strongest), figsize=(1.5 + 1.35 * len(strongest), 3.8), layout="constrained"
    )
    mean = denormalise(images.mean(0)).permute(1, 2, 0).cpu().numpy()
    show(axes[0], mean)
    for k in range(1, height):
        axes[0].axhline(k * mean.shape[0] / height - 0.5, color="white", lw=0.8)
    axes[0].set_title("mean image", loc="center", fontsize="small")
    reach = float(kernels[strongest].abs().max())
    for axis, c in zip(axes[1:], strongest.tolist(), strict=True):
        drawn = axis.imshow(
            kernels[c].T.numpy(), cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto"
        )
        axis.set_title(f"channel {c}", loc="center", fontsize="small")
        axis.set(xticks=range(kernels.shape[1]), yticks=[])
        axis.set_xticklabels(range(1, kernels.shape[1] + 1), fontsize="x-small")
        axis.grid(visible=False)
    figure.colorbar(drawn, ax=axes[-1], shrink=0.8).ax.tick_params(labelsize="x-small")
    figure.supxlabel(
        f"kernel k; rows of the map from head to feet. Correlation of neighbouring rows over all "
        f"kernels: {round(neighbours(kernels), 2) + 0:.2f} (0 at the start)", fontsize="small",
    )  # fmt: skip
    return figure


BODY, TARGET = "#ffd166", "#118ab2"


def corners(theta: Tensor) -> Tensor:
    """The corners [N, 5, 2] (x, y; the first again at the end) of what ``theta`` reads."""
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    return transform_points(theta.cpu().float(), square.expand(len(theta), 5, 2))


def pixels(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Points (x, y) [..., 2] in [-1, 1] as pixels of an image of ``size`` (H, W)."""
    return (points + 1) * torch.tensor([size[1], size[0]]) / 2 - 0.5


def aligned(images: Tensor, thetas: Mapping[str, Tensor], body: Tensor | None = None) -> Figure:
    """One column an image: as it is, and as each transformer shows it.

    images: [N, 3, H, W] normalised. thetas: name -> [N, 2, 3], which the images are read through
    (what a map's transformer does to the map, done to the image); grey is beyond the image. body:
    true boxes [N, 4] where they are known: drawn with the box in which a perfect detector would
    have put them.
    """
    images = images.cpu()
    size = (images.shape[2], images.shape[3])
    identity = torch.eye(2, 3).expand(len(images), 2, 3)
    rows = {"image": identity, **thetas}
    n, wide = len(images), 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        len(rows), n, figsize=(n * wide + 0.6, len(rows) * 2.4 + 0.4), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for line, (name, theta) in zip(axes, rows.items(), strict=True):
        theta = theta.cpu().float()
        moved = denormalise(sample(images, theta)).permute(0, 2, 3, 1).numpy()
        for axis, picture in zip(line, moved, strict=True):
            show(axis, picture)
        line[0].text(-0.1, 0.5, name, rotation=90, ha="right", va="center",
                     transform=line[0].transAxes)  # fmt: skip
        if body is not None:
            flat = collapsed(theta)  # shows no box
            there = invert(torch.where(flat[:, None, None], identity, theta))
            boxed = transform_points(there, corners(box_to_theta(body)))
            nominal = corners(box_to_theta(torch.tensor([NOMINAL])))[0]
            for axis, box, none in zip(line, boxed, flat, strict=True):
                _outline(axis, nominal, size, TARGET, "--")
                if not none:
                    _outline(axis, box, size, BODY, "-")
    if body is not None:
        lines = [
            Line2D([], [], color=BODY, lw=2, label="the body's true box"),
            Line2D([], [], color=TARGET, lw=2, ls="--", label="where a perfect detector puts it"),
        ]
        figure.legend(handles=lines, ncols=1, loc="outside lower center", frameon=False,
                      fontsize="small")  # fmt: skip
    return figure


def _outline(axis: Axes, box: Tensor, size: tuple[int, int], colour: str, style: str) -> None:
    """A polygon [5, 2] over a picture, whose limits stay."""
    limits = axis.get_xlim(), axis.get_ylim()
    x, y = pixels(box, size).T.numpy()
    axis.plot(x, y, style, color=colour, lw=1.8, scalex=False, scaley=False)
    axis.set(xlim=limits[0], ylim=limits[1])


LINE = "#30343b"
LABELS = dict(zip((*FACTORS, "eps"), ("$s_w$", "$s_h$", "$t_w$", "$t_h$", "$\\epsilon$"),
                  strict=True))  # fmt: skip


def correction(images: pd.DataFrame) -> Figure:
    """One row a transformer, one column a factor; last the learned eps against the true error.

    images: of ``measure.all_corrections``; of several seeds the first is drawn. r: correlation over
    images, with its 95 % interval.
    """
    rows = list(dict.fromkeys(images.row))
    figure, axes = plt.subplots(
        len(rows), len(LABELS), figsize=(2.7 * len(LABELS), 2.5 * len(rows) + 0.4),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, name in zip(axes, rows, strict=True):
        own = images[images.row == name]
        own = own[own.seed == own.seed.iloc[0]]
        for axis, factor in zip(line, LABELS, strict=True):
            _panel(axis, own, factor)
        line[0].set_ylabel(f"{name}\nlearned", fontsize="small")
    for axis, label in zip(axes[0], LABELS.values(), strict=True):
        axis.set_title(label, loc="center")
    lines = [
        Line2D([], [], color=LINE, ls="--", label="the detector's error is undone"),
        Line2D([], [], color=LINE, ls=":", label="nothing is moved"),
    ]
    figure.legend(handles=lines, ncols=2, loc="outside upper center", frameon=False)
    return figure


def _panel(axis: Axes, own: pd.DataFrame, factor: str) -> None:
    true, found = own[f"{factor}_true"].to_numpy(), own[factor].to_numpy()
    if factor == "eps" and own[factor].isna().any():
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no $\\epsilon$ is learned", ha="center", va="center",
                  transform=axis.transAxes, fontsize="small")  # fmt: skip
        return
    axis.scatter(true, found, s=9, color="#4c72b0", alpha=0.5, lw=0)
    low, high = true.min(), true.max()
    axis.plot([low, high], [low, high], "--", color=LINE, lw=1.2)
    if factor != "eps":
        axis.axhline(1.0 if factor.startswith("s") else 0.0, color=LINE, ls=":", lw=1)
    r, below, above = correlation(found, true)
    text = "constant" if r != r else f"r = {r:.2f} [{below:.2f}, {above:.2f}]"
    axis.set_xlabel(f"{'size of the true error' if factor == 'eps' else 'true'}\n{text}",
                    fontsize="small")  # fmt: skip
    axis.tick_params(labelsize="x-small")


def heat_maps(models: Mapping[str, ReIDModel], images: Tensor) -> Figure:
    """One column an image: the image, then for each model the response of its backbone's last map.

    images: [N, 3, H, W] normalised. The response is the mean over the channels, scaled in each map.
    """
    size = (images.shape[2], images.shape[3])
    shown = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    n, wide = len(images), 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        1 + len(models), n, figsize=(n * wide + 0.6, 2.4 * (1 + len(models)) + 0.3),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for axis, picture in zip(axes[0], shown, strict=True):
        show(axis, picture)
    for row, model in zip(axes[1:], models.values(), strict=True):
        backbone: Any = model.backbone
        with evaluating(model):
            heat = responses(backbone(images.to(device_of(model))), size).cpu().numpy()
        for axis, picture, one in zip(row, shown, heat, strict=True):
            show(axis, show_cam_on_image(picture, one, use_rgb=True))
    for row, name in zip(axes, ["image", *models], strict=True):
        row[0].text(-0.1, 0.5, name, rotation=90, ha="right", va="center",
                    transform=row[0].transAxes)  # fmt: skip
    figure.supxlabel(
        "mean over channels, blue lowest\nto red highest in each map", fontsize="small"
    )
    return figure
