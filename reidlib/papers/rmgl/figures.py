"""Which rows of the image each stripe sees, calculated and measured (RMGL Figs. 1 and 3a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor

from reidlib.data.augment import Placed, random_shift
from reidlib.data.bank import ImageBank, denormalise
from reidlib.data.read import read
from reidlib.data.sampler import generator
from reidlib.geometry import identity
from reidlib.models.base import evaluating
from reidlib.papers.rmgl.model import RMGL
from reidlib.papers.rmgl.receptive import PARTITIONS, extent, regions
from reidlib.papers.rmgl.stripes import activation_histogram, balanced_cuts
from reidlib.visualize.style import show


def footprints(
    model: RMGL, found: Mapping[str, Tensor], image: Tensor, share: float = 0.95
) -> Figure:
    """One panel a partition beside the image: for each stripe the gradient over the image's rows.

    found: of ``receptive.profiles``. image: [3, H, W] normalised. A curve is scaled to its largest
    value. The light bar is the region of Eq. 6, the dark one in it the rows that hold ``share`` of
    the gradient.
    """
    height = image.shape[1]
    figure, axes = plt.subplots(
        1, 1 + len(found), figsize=(1.6 * (1 + len(found)), 4.4), layout="constrained", sharey=True
    )
    show(axes[0], denormalise(image).permute(1, 2, 0).cpu().numpy())
    axes[0].set_title("image", loc="center")
    palette = sns.color_palette("deep")
    for axis, (name, profile) in zip(axes[1:], found.items(), strict=True):
        n = len(profile)
        expected = regions(model, PARTITIONS[name], n, height)
        for k in range(n):
            values, colour, x = (
                (profile[k] / profile[k].max()).cpu(),
                palette[k % 10],
                1.2 + 0.2 * k,
            )
            axis.fill_betweenx(range(height), values, color=colour, alpha=0.25, lw=0)
            axis.plot(values, range(height), color=colour, lw=1.2)
            for (first, last), alpha in ((expected[k], 0.35), (extent(profile[k], share), 1.0)):
                axis.bar(x, last - first + 1, 0.12, first - 0.5, color=colour, alpha=alpha, lw=0)
            if k:
                axis.axhline(k * height / n - 0.5, color="#999999", lw=0.8, ls="--")
        axis.set(xlim=(0, 1.2 + 0.2 * n), ylim=(height - 0.5, -0.5), xticks=[0, 1])
        axis.set_title(name, loc="center")
        axis.grid(visible=False)
    axes[1].set_ylabel("row of the image (pixels)")
    axes[1].tick_params(labelleft=True)
    figure.supxlabel(
        "mean absolute gradient of a stripe with respect to a row (largest = 1)", fontsize="small"
    )
    bars = [
        Patch(color="#777777", alpha=0.35, lw=0, label="can be seen (Eq. 6)"),
        Patch(color="#777777", lw=0, label=f"{100 * share:g} % of the gradient"),
        Line2D([], [], color="#999999", lw=0.8, ls="--", label="equal stripes"),
    ]
    figure.legend(handles=bars, ncols=3, loc="outside upper center", frameon=False)
    return figure


STEPS = ("image, crop", "cropped", "resized", "shifted")
BOX = "#ffd166"


def shifted(
    bank: ImageBank, rows: Sequence[int], seed: int = 0, **options: float
) -> tuple[Placed, Tensor]:
    """One draw of random shifting for the bank's ``rows``, and the images training would see.

    options: of ``augment.random_shift``. The images [n, 3, H, W] are normalised.
    """
    placed = random_shift(len(rows), generator(seed), bank.size, **options)
    index = torch.tensor(list(rows))
    return placed, read(bank, index, identity(len(rows)), placed)


def shifting_steps(bank: ImageBank, rows: Sequence[int], seed: int = 0, **options: float) -> Figure:
    """One column an image: with the box of its crop; the crop; the crop resized; put into the grey
    frame, which is what training sees.

    rows: of the bank. options: of ``augment.random_shift``. Everything is drawn on the pixels of
    the frame, at one scale. r_c is the share of the height that is kept, r_h and r_w are the rates
    of resizing.
    """
    placed, images = shifted(bank, rows, seed, **options)
    height, width = bank.size
    before = bank.raw(torch.tensor(list(rows))).permute(0, 2, 3, 1).cpu().numpy()
    after = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    n, wide = len(rows), 2.2 * width / height + 0.15
    figure, axes = plt.subplots(
        4, n, figsize=(n * wide + 0.5, 9.4), layout="constrained", squeeze=False
    )
    length = np.array([width, height] * 2)
    for i in range(n):
        x0, y0, x1, y1 = np.rint((placed.source[i].numpy() + 1) / 2 * length).astype(int)
        left, top, right, bottom = placed.window[i].tolist()
        crop, patch = before[i, y0:y1, x0:x1], after[i, top:bottom, left:right]
        for axis, picture, (x, y) in zip(
            axes[:, i],
            (before[i], crop, patch, after[i]),
            ((0, 0), (x0, y0), (0, 0), (0, 0)),
            strict=True,
        ):
            _put(axis, picture, x, y, bank.size)
        axes[0, i].add_patch(
            Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=BOX, lw=2.5)
        )
        r_c, r_h, r_w = (y1 - y0) / height, (bottom - top) / (y1 - y0), (right - left) / (x1 - x0)
        axes[0, i].set_title(
            f"$r_c$ {r_c:.2f}\n$r_h$ {r_h:.2f}\n$r_w$ {r_w:.2f}", loc="center", fontsize="small"
        )
    for axis, name in zip(axes[:, 0], STEPS, strict=True):
        axis.text(-0.12, 0.5, name, rotation=90, ha="right", va="center", transform=axis.transAxes)
    return figure


def _put(axis: Axes, picture: np.ndarray, x: int, y: int, size: tuple[int, int]) -> None:
    """A picture at pixel (x, y) of an empty frame of ``size``, whose edge is drawn."""
    height, width = size
    extent = (x - 0.5, x + picture.shape[1] - 0.5, y + picture.shape[0] - 0.5, y - 0.5)
    axis.imshow(picture, extent=extent, interpolation="nearest")
    axis.set(xlim=(-1.5, width + 0.5), ylim=(height + 0.5, -1.5), aspect="equal")
    axis.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, ec="#bbbbbb", lw=0.8))
    axis.set_axis_off()


SHORT = {"original": "O", "receptive": "RP"}  # the paper's names of the paths


def responses(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean over the channels of maps [N, C, h, w], from 0 to 1 in each image: [N, H, W]."""
    mean = maps.float().mean(1, keepdim=True)
    low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
    scaled = (mean - low) / (high - low).clamp(min=1e-12)
    return F.interpolate(scaled, size, mode="bilinear", align_corners=False).squeeze(1)


def stripe_responses(model: RMGL, images: Tensor, captions: Sequence[str] | None = None) -> Figure:
    """One row an image: the image, then the response of each branch and path, with its stripes.

    images: [N, 3, H, W] normalised, on the model's device. O-2 is the original path of the branch
    with 2 stripes, RP-2 the receptive one.
    """
    size = (images.shape[2], images.shape[3])
    with evaluating(model):
        maps = {
            (f"{SHORT[path]}-{model.stripes[branch]}", model.stripes[branch]): responses(last, size)
            for (branch, path), last in model.maps(images).items()
        }
    n, wide = len(images), 2.5 * size[1] / size[0] + 0.1
    shape = ((1 + len(maps)) * wide + 0.4, n * 2.5 + 0.5)
    figure, axes = plt.subplots(
        n, 1 + len(maps), figsize=shape, layout="constrained", squeeze=False
    )
    shown = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    for row in range(n):
        show(axes[row, 0], shown[row])
        for axis, ((name, stripes), heat) in zip(axes[row, 1:], maps.items(), strict=True):
            show(axis, show_cam_on_image(shown[row], heat[row].cpu().numpy(), use_rgb=True))
            for k in range(1, stripes):
                axis.axhline(k * size[0] / stripes - 0.5, color="white", lw=1.5)
            if row == 0:
                axis.set_title(name, loc="center")
        if captions:
            axes[row, 0].text(-0.08, 0.5, captions[row], rotation=90, ha="right", va="center",
                              fontsize="small", transform=axes[row, 0].transAxes)  # fmt: skip
    axes[0, 0].set_title("image", loc="center")
    figure.supxlabel("mean over channels, blue lowest to red highest in each map", fontsize="small")
    return figure


EQUAL, BALANCED = "#ffd166", "#d1352b"  # colours of the cuts


def maxima(maps: Tensor) -> Tensor:
    """How many channels have their maximum at each place of maps [N, C, H, W]: int64 [N, H, W].

    Summed over the columns this is ``activation_histogram`` (RMGL Eq. 8).
    """
    places = maps.flatten(2).unsqueeze(3)  # every place a row of its own
    return activation_histogram(places).view(len(maps), *maps.shape[2:])


def activation_balance(
    model: RMGL, images: Tensor, branch: int = 0, path: str = "original"
) -> Figure:
    """For each image the places of the channels' maxima, and their number in each row of the map.

    images: [N, 3, H, W] normalised, on the model's device. The area of a dot is the number of
    channels; bars have the colour of their balanced stripe, whose share of all maxima is written
    beside it. Equal stripes are cut at the dashed, balanced ones at the solid lines.
    """
    n, height = model.stripes[branch], images.shape[2]
    with evaluating(model):
        last = model.maps(images)[branch, path]
        counts = maxima(last).cpu().numpy()
        cuts = balanced_cuts(last, n).cpu().numpy() * height / last.shape[2]  # in pixels
    shown = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    columns = [width for _ in images for width in (1.0, 1.15)]
    figure, axes = plt.subplots(
        1, 2 * len(images), figsize=(sum(columns) * 1.45, 3.9), layout="constrained",
        width_ratios=columns, squeeze=False,
    )  # fmt: skip
    most = counts.sum(2).max()
    for i in range(len(images)):
        picture, bars = axes[0, 2 * i], axes[0, 2 * i + 1]
        show(picture, shown[i])
        _dots(picture, counts[i], (height, images.shape[3]))
        _bars(bars, counts[i].sum(1), cuts[i], height)
        bars.set_xlim(0, 1.5 * most)
        for axis in (picture, bars):
            for cut in cuts[i][1:-1]:
                axis.axhline(cut - 0.5, color=BALANCED, lw=2.5)
            for k in range(1, n):
                axis.axhline(k * height / n - 0.5, color=EQUAL, lw=1.8, ls="--")
    lines = [
        Line2D([], [], color=EQUAL, lw=1.8, ls="--", label="equal stripes"),
        Line2D([], [], color=BALANCED, lw=2.5, label="balanced stripes"),
        Line2D(
            [],
            [],
            color="white",
            marker="o",
            mec="black",
            lw=0,
            label="places of the channels' maxima",
        ),
    ]
    figure.legend(handles=lines, ncols=3, loc="outside lower center", frameon=False)
    return figure


def _dots(axis: Axes, counts: np.ndarray, size: tuple[int, int]) -> None:
    rows, columns = np.nonzero(counts)
    y = (rows + 0.5) * size[0] / counts.shape[0] - 0.5
    x = (columns + 0.5) * size[1] / counts.shape[1] - 0.5
    area = 160 * counts[rows, columns] / counts.max()
    axis.scatter(x, y, s=area, color="white", edgecolor="black", lw=0.6, alpha=0.8)


def _bars(axis: Axes, counts: np.ndarray, cuts: np.ndarray, height: int) -> None:
    """Counts of the map's rows over the image's rows, in the colours of the stripes."""
    step = height / len(counts)
    middle = (np.arange(len(counts)) + 0.5) * step
    stripe = np.searchsorted(cuts, middle) - 1
    palette = sns.color_palette("deep")
    axis.barh(middle - 0.5, counts, 0.9 * step, color=[palette[k % 10] for k in stripe])
    for k in range(len(cuts) - 1):
        share = counts[stripe == k].sum() / max(1, counts.sum())
        axis.text(0.98, 1 - (cuts[k] + cuts[k + 1]) / 2 / height, f"{100 * share:.0f} %",
                  color=palette[k % 10], ha="right", va="center", fontweight="bold",
                  transform=axis.transAxes,
                  bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
    axis.set(ylim=(height - 0.5, -0.5), xlabel="channels with\nmaximum in this row")
    axis.tick_params(labelleft=False)
    axis.grid(axis="y", visible=False)


COLUMNS = {
    "share": "share of a stripe on its part (%)",
    "cut_spread": "spread of the cuts (% of body)",
}


def stripe_shares(table: pd.DataFrame) -> Figure:
    """One column a number of stripes, one line a path and way of cutting.

    table: rows of ``measure.alignment_table`` with a column ``x``, the detector's error. Above:
    how much of a stripe lies on the part it is meant to show (mean over images and stripes, higher
    is better); below: by how much the cuts wander over the body from image to image (lower is).
    """
    numbers = sorted(table.stripes.unique())
    figure, axes = plt.subplots(
        len(COLUMNS), len(numbers), figsize=(5.2 * len(numbers), 6.4), layout="constrained",
        squeeze=False, sharex=True, sharey="row",
    )  # fmt: skip
    colours = dict(zip(("uniform", "balanced"), sns.color_palette("deep"), strict=False))
    for row, (column, label) in zip(axes, COLUMNS.items(), strict=True):
        for axis, n in zip(row, numbers, strict=True):
            some = table[table.stripes == n]
            for (path, partition), line in some.groupby(["path", "partition"], sort=False):
                if partition == "uniform" and path != some.path.iloc[0]:
                    continue  # equal stripes do not depend on the path
                name = "equal stripes" if partition == "uniform" else f"balanced, {path} path"
                style = "--" if path == "receptive" else "-"
                axis.plot(line.x, 100 * line[column], style, marker="o", ms=4, label=name,
                          color=colours[str(partition)])  # fmt: skip
            axis.set(ylabel=label if axis is row[0] else "", ylim=(0, None))
            if row is axes[0]:
                axis.set_title(f"{n} stripes")
    for axis in axes[-1]:
        axis.set_xlabel("detector's error (s.d., widths and heights)")
    axes[0, -1].legend(fontsize="small")
    return figure
