"""RMGL's figures from the model's own maps: its lanes (Figs. 1 to 3), what a stripe sees (Fig. 3a),
what paths respond to (Fig. 4), where balanced stripes are cut (Fig. 5), shifted people (Fig. 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from reidlib.data.augment import Placed, random_shift
from reidlib.data.bank import ImageBank
from reidlib.data.read import read
from reidlib.data.sampler import generator
from reidlib.geometry import box_area, identity
from reidlib.models.backbone import STAGES
from reidlib.models.base import evaluating
from reidlib.models.receptive import SPLITS, edges
from reidlib.papers.rmgl.measure import stripe_share
from reidlib.papers.rmgl.model import RMGL, SHARED
from reidlib.papers.rmgl.receptive import (
    PARTITIONS,
    extent,
    field,
    map_height,
    regions,
    row_centres,
)
from reidlib.papers.rmgl.stripes import activation_histogram, balanced_cuts
from reidlib.visualize.architecture import (
    Box,
    draw_boxes,
    image_box,
    lines_of,
    rows_of,
    stages,
    totals,
)
from reidlib.visualize.images import image_grid, outline, pictures, show
from reidlib.visualize.style import legend, side

GREY, YELLOW, RED = "#555555", "#ffd166", "#d1352b"


def architecture(model: RMGL, image_size: tuple[int, int] | None = None) -> Figure:
    """Figs. 1 to 3: a lane for each branch and path, with the map in pieces from its cut on; below
    the heads the losses that they end in (Eq. 4).

    image_size: (H, W), default the model's.
    """
    table, size = stages(model, image_size), image_size or model.size

    def sources(boxes: Sequence[Box], box: Box) -> list[Box]:
        before = [other for other in boxes if other.column == box.column - 1]
        if box.column == 7:  # all paths of the branch
            return [other for other in before if abs(other.lane - box.lane) < 1]
        original = box.lane // len(model.paths) * len(model.paths)  # of this branch: the cut map
        own = [other for other in before if other.lane == box.lane]
        return (own or [o for o in before if o.lane in (original, boxes[0].lane)])[-1:]

    return draw_boxes(_boxes(model, table, size), f"RMGL, {totals(table, size)}", sources)


def calls(model: RMGL) -> Iterator[tuple[int | None, str, str]]:
    """(branch or None, path, stage) in the order in which RMGL's ``maps`` calls its stages."""
    cut = SPLITS.index(model.split)
    whole = "original" in model.paths
    for stage in SHARED:
        if whole or SPLITS.index(stage) <= cut:
            yield None, "original", stage
    for branch in range(len(model.stripes)):
        for stage in STAGES:
            if stage not in SHARED and (whole or SPLITS.index(stage) <= cut):
                yield branch, "original", stage
        for stage in STAGES:
            if "receptive" in model.paths and SPLITS.index(stage) > cut:
                yield branch, "receptive", stage


def _lane(model: RMGL, branch: int | None, path: str) -> float:
    """Lanes of branch 0, of branch 1, ...; the trunk in the middle of them."""
    if branch is None:
        if "original" in model.paths and model.split in ("input", "stem"):
            return -1  # the middle is not free: the receptive paths run beside the trunk
        return (len(model.stripes) * len(model.paths) - 1) / 2
    number = model.paths.index(path) if path in model.paths else 0
    return branch * len(model.paths) + number


def _boxes(model: RMGL, table: pd.DataFrame, size: tuple[int, int]) -> list[Box]:
    palette = sns.color_palette("deep")
    rows = table.to_dict("records")
    heads = rows[-len(model.stripes) :]
    boxes = [image_box(size, _lane(model, None, ""))]
    where = list(calls(model))
    for (branch, path, stage), row in zip(where, rows[: -len(heads)], strict=True):
        n = model.stripes[branch] if branch is not None and path == "receptive" else 1
        colour = GREY if branch is None else palette[branch % 10]
        lane, column = _lane(model, branch, path), 1 + STAGES.index(stage)
        if not row["stage"].endswith(stage):
            raise AssertionError(f"{row['stage']} is called where {stage} was expected")
        first = path == "receptive" and SPLITS.index(stage) == SPLITS.index(model.split) + 1
        lines = (f"cut into {n}", *lines_of(row)) if first else lines_of(row)
        boxes.append(Box(column, lane, stage, lines, rows_of(row["output"]), n, colour))
    for branch, (n, head) in enumerate(zip(model.stripes, heads, strict=True)):
        reduction: Tensor = model.heads[branch].reduction  # type: ignore[assignment]
        parts, channels = reduction.shape[:2]
        for path in model.paths:
            lane, colour = _lane(model, branch, path), palette[branch % 10]
            high = next(box.rows for box in boxes if box.column == 5)
            name = f"{path}, {n} stripe{'s' * (n > 1)}"
            lines = (f"1 global + {n} × {channels}",)
            boxes.append(Box(6, lane, name, lines, high, n, colour))
        middle = sum(_lane(model, branch, path) for path in model.paths) / len(model.paths)
        lines = (*lines_of(head), f"{parts} × $L_{{cls}}$ (Eq. 2)", "1 × $L_{dis}$ (Eq. 3)")
        boxes.append(Box(7, middle, "heads", lines, 1, parts, palette[branch % 10]))
    return boxes


def footprints(
    model: RMGL, found: Mapping[str, Tensor], image: Tensor, share: float = 0.95, network: str = ""
) -> Figure:
    """Fig. 3a: a panel a partition beside the image: a stripe's gradient over the image's rows.

    found: of ``receptive.profiles``. image: [3, H, W] normalised. A curve is scaled to its largest
    value. The light bar is the region of Eq. 6, the dark one in it the rows that hold ``share`` of
    the gradient. network: in words, for the line below.
    """
    height = image.shape[1]
    figure, axes = plt.subplots(
        1, 1 + len(found), figsize=(1.6 * (1 + len(found)), 4.4), layout="constrained", sharey=True
    )
    show(axes[0], pictures(image))
    axes[0].set_title("image", loc="center")
    palette = sns.color_palette("deep")
    for axis, (name, profile) in zip(axes[1:], found.items(), strict=True):
        n = len(profile)
        split = PARTITIONS[name]
        expected = regions(model, split, n, height)
        ends = edges(field(model, split).centres(map_height(model, split, height)), height)
        cuts = np.interp(np.arange(n + 1) / n * (len(ends) - 1), np.arange(len(ends)), ends)
        for k in range(n):
            values = (profile[k] / profile[k].max()).cpu()
            colour, x = palette[k % 10], 1.2 + 0.2 * k
            axis.fill_betweenx(range(height), values, color=colour, alpha=0.25, lw=0)
            axis.plot(values, range(height), color=colour, lw=1.2)
            for (first, last), alpha in ((expected[k], 0.35), (extent(profile[k], share), 1.0)):
                axis.bar(x, last - first + 1, 0.12, first - 0.5, color=colour, alpha=alpha, lw=0)
            if k:
                axis.axhline(cuts[k] - 0.5, color="#999999", lw=0.8, ls="--")
        axis.set(xlim=(0, 1.2 + 0.2 * n), ylim=(height - 0.5, -0.5), xticks=[0, 1])
        axis.set_title(name, loc="center")
        axis.grid(visible=False)
    axes[1].set_ylabel("row of the image (pixels)")
    axes[1].tick_params(labelleft=True)
    words = "mean absolute gradient of a stripe with respect to a row (largest = 1)"
    figure.supxlabel("\n".join(filter(None, [words, network])), fontsize="small")
    bars = {
        "can be seen (Eq. 6)": Patch(color="#777777", alpha=0.35, lw=0),
        f"{100 * share:g} % of the gradient": Patch(color="#777777", lw=0),
        "where the map is cut": Line2D([], [], color="#999999", lw=0.8, ls="--"),
    }
    legend(figure, bars, "upper")
    return figure


STEPS = ("image, crop", "cropped", "resized", "shifted")


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
    after = pictures(images)
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
            Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=YELLOW, lw=2.5)
        )
        r_c, r_h, r_w = (y1 - y0) / height, (bottom - top) / (y1 - y0), (right - left) / (x1 - x0)
        axes[0, i].set_title(
            f"$r_c$ {r_c:.2f}\n$r_h$ {r_h:.2f}\n$r_w$ {r_w:.2f}", loc="center", fontsize="small"
        )
    for axis, name in zip(axes[:, 0], STEPS, strict=True):
        side(axis, name)
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


def stripe_responses(
    model: RMGL,
    images: Tensor,
    captions: Sequence[str] = (),
    body: Tensor | None = None,
) -> Figure:
    """Fig. 4: one row an image: the image, then each branch's and path's map with its stripes.

    images: [N, 3, H, W] normalised, on the model's device. O-2 is the original path of the branch
    with 2 stripes, RP-2 the receptive one. A cell's colour is its mean over the channels; cells are
    drawn as they are, between the places where they lie. body: true boxes [N, 4] in [-1, 1] where
    they are known (dashed): below a map stands how much of its response lies inside, and in
    brackets how much of the image does.
    """
    high, wide = images.shape[2:]
    with evaluating(model):
        maps = model.maps(images)
    names = [f"{SHORT[path]}-{model.stripes[branch]}" for branch, path in maps]
    shown = [[picture] * (1 + len(maps)) for picture in pictures(images)]
    figure, axes = image_grid(shown, titles=["image", *names], sides=captions)
    for column, ((branch, path), last) in enumerate(maps.items(), 1):
        n, height = model.stripes[branch], last.shape[2]
        down = edges(row_centres(model, n, path, high), high)
        across = edges(field(model).centres(last.shape[3]), wide)
        heat = last.float().mean(1).cpu()
        inside = None if body is None else _inside(body, down, across, (high, wide))
        for row, axis in enumerate(axes[:, column]):
            axis.pcolormesh(across - 0.5, down - 0.5, heat[row], cmap="turbo", alpha=0.5)
            axis.set(xlim=(-0.5, wide - 0.5), ylim=(high - 0.5, -0.5))
            for y in down[[k * height // n for k in range(1, n)]].tolist():
                axis.axhline(y - 0.5, color="white", lw=1.5)
            if body is not None and inside is not None:
                outline(axis, body[row], "white", "--", 1.2)
                share = (heat[row] * inside[row]).sum() / heat[row].sum()
                area = box_area(body[row].clamp(-1, 1)) / 4
                axis.text(0.5, -0.02, f"{100 * share:.0f} % ({100 * area:.0f} %)", ha="center",
                          va="top", fontsize="x-small", transform=axis.transAxes)  # fmt: skip
    words = "colour: mean over the channels, lowest blue, highest red in each map"
    if body is not None:
        words += "\ndashed: the body's true box; below: share of the response (of the image) in it"
    figure.supxlabel(words, fontsize="small")
    return figure


def _inside(body: Tensor, down: Tensor, across: Tensor, size: tuple[int, int]) -> Tensor:
    """Share [N, h, w] of each cell that lies in the body's box [N, 4]; ends of cells in pixels."""
    x0, y0, x1, y1 = ((body + 1) / 2 * torch.tensor([*size[::-1], *size[::-1]])).T
    rows = stripe_share(down[None], torch.stack([y0, y1], 1)[:, None])
    columns = stripe_share(across[None], torch.stack([x0, x1], 1)[:, None])
    return rows[:, :, None] * columns[:, None]


def maxima(maps: Tensor) -> Tensor:
    """How many channels have their maximum at each place of maps [N, C, H, W]: int64 [N, H, W].

    Summed over the columns this is ``activation_histogram`` (RMGL Eq. 8).
    """
    places = maps.flatten(2).unsqueeze(3)  # every place a row of its own
    return activation_histogram(places).view(len(maps), *maps.shape[2:])


def activation_balance(
    model: RMGL, images: Tensor, branch: int = 0, path: str = "original"
) -> Figure:
    """Fig. 5: for each image the places of the channels' maxima, and their number in each row of
    the map, both where the map's cells lie in the image.

    images: [N, 3, H, W] normalised, on the model's device. The area of a dot is the number of
    channels; bars have the colour of their balanced stripe, whose share of all maxima is written
    beside it. Equal stripes are cut at the dashed, balanced ones at the solid lines.
    """
    n, height = model.stripes[branch], images.shape[2]
    with evaluating(model):
        last = model.maps(images)[branch, path]
        counts = maxima(last).cpu().numpy()
        cuts = balanced_cuts(last, n).cpu().numpy()
    y = row_centres(model, n, path, height)
    x = field(model).centres(counts.shape[2]).numpy()
    ends = edges(y, height).numpy() - 0.5
    columns = [width for _ in images for width in (1.0, 1.15)]
    figure, axes = plt.subplots(
        1, 2 * len(images), figsize=(sum(columns) * 1.45, 3.9), layout="constrained",
        width_ratios=columns, squeeze=False,
    )  # fmt: skip
    for i, picture in enumerate(pictures(images)):
        left, right = axes[0, 2 * i : 2 * i + 2]
        show(left, picture)
        rows, place = np.nonzero(counts[i])
        area = 160 * counts[i][rows, place] / counts[i].max()
        left.scatter(x[place], y.numpy()[rows], s=area, color="white", edgecolor="black", lw=0.6,
                     alpha=0.8)  # fmt: skip
        _bars(right, counts[i].sum(1), cuts[i], ends)
        right.set_xlim(0, 1.5 * counts.sum(2).max())
        equal = np.interp(np.arange(1, n) * len(y) / n, np.arange(len(ends)), ends)
        for axis in (left, right):
            for cut in cuts[i][1:-1]:
                axis.axhline(ends[cut], color=RED, lw=2.5)
            for cut in equal:
                axis.axhline(cut, color=YELLOW, lw=1.8, ls="--")
    dots = Line2D([], [], color="white", marker="o", mec="black", lw=0)
    dashed = Line2D([], [], color=YELLOW, lw=1.8, ls="--")
    lines = {"equal stripes": dashed, "balanced stripes": RED, "the channels' maxima": dots}
    legend(figure, lines, "upper")
    return figure


def _bars(axis: Axes, counts: np.ndarray, cuts: np.ndarray, ends: np.ndarray) -> None:
    """Counts of the map's rows between their ``ends`` in pixels, in the colours of the stripes."""
    stripe = np.searchsorted(cuts, np.arange(len(counts)), "right") - 1
    palette, high = sns.color_palette("deep"), np.diff(ends)
    axis.barh((ends[1:] + ends[:-1]) / 2, counts, 0.9 * high,
              color=[palette[k % 10] for k in stripe])  # fmt: skip
    for k in range(len(cuts) - 1):
        share = counts[stripe == k].sum() / max(1, counts.sum())
        middle = (ends[cuts[k]] + ends[cuts[k + 1]]) / 2
        axis.text(0.98, middle, f"{100 * share:.0f} %", color=palette[k % 10], ha="right",
                  va="center", fontweight="bold", transform=axis.get_yaxis_transform(),
                  bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
    axis.set(ylim=(ends[-1], ends[0]), xlabel="channels with\nmaximum in this row")
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
    for axis, n in zip(axes[0], numbers, strict=True):
        axis.set_title(f"{n} stripes")
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
    for axis in axes[-1]:
        axis.set_xlabel("detector's error (s.d., widths and heights)")
    axes[0, -1].legend(fontsize="small")
    return figure
