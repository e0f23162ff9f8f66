"""PPCL's figures: what its two modules do to images (Figs. 1, 4, 6 and 7), and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from reidlib.errors import ReidError
from reidlib.models.base import device_of, evaluating
from reidlib.papers.ppcl.constraints import negative_regions
from reidlib.papers.ppcl.decisive import COORDINATES, FIXED
from reidlib.papers.ppcl.model import PPCL, in_image
from reidlib.papers.ppcl.pooling import frame
from reidlib.visualize.architecture import INPUT, Box, boxes_of, called, draw_boxes
from reidlib.visualize.curves import BESIDE
from reidlib.visualize.images import image_grid, outline, pictures
from reidlib.visualize.style import legend

BLUE, RED, GREEN = "#1f6fd6", "#d1352b", "#2a9d4a"
TICKS = (-20, -5, 0, 5, 20)  # of gains, in points
WIDE = 4.0  # points: of a box below another one


def located(
    model: PPCL,
    partial: Tensor,
    references: Tensor,
    true: Tensor | None = None,
    captions: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Figure:
    """Figs. 6 and 7: a probe a row: the partial image, as it is rectified, and its references.

    partial [P, 3, H, W], references [P, R, 3, H, W] normalised. On every reference GLRec's box
    (blue), the same on all of them that the gate leaves as they are, and the region that CRLoc
    finds in it (red); both where they lie in the image as it is. true [P, 4]: what
    the first reference shows of the partial image (green). captions: a probe's; names: a
    reference's.
    """
    rows, columns = references.shape[:2]
    partial, references = (x.to(device_of(model)) for x in (partial, references))
    with evaluating(model):
        rectified, box = model.rectify(partial)
        query = model.encode(partial)
        seen = [model.encode(references[:, r]) for r in range(columns)]
        found = [in_image(model.regions(query, some), some["place"]) for some in seen]
        fixed = [in_image(box, some["place"]) for some in seen]
    shown, whole, straight = pictures(partial), pictures(references), pictures(rectified)
    titles = ["partial", "rectified", *(names or [""] * columns)]
    grid = [[shown[p], straight[p], *whole[p]] for p in range(rows)]
    figure, axes = image_grid(grid, titles=titles, sides=captions)
    for p in range(rows):
        for r in range(columns):
            outline(axes[p, r + 2], fixed[r][p], BLUE, lw=WIDE)
            outline(axes[p, r + 2], found[r][p], RED)
        if true is not None:
            outline(axes[p, 2], true[p], GREEN, "--")
    lines = {"GLRec": BLUE, "CRLoc": RED} | ({"true region": GREEN} if true is not None else {})
    legend(figure, lines, "upper")
    return figure


def locator_stages(model: PPCL) -> pd.DataFrame:
    """What one pair of F's maps passes in CRLoc, with the columns of ``visualize.stages``; the
    correlation (Eq. 8) has no parameters."""
    locator = model.locator
    assert locator is not None
    channels = model.reid.backbone.out_channels
    maps = torch.zeros(1, channels, *locator.cells, device=device_of(model))
    box = frame(1, maps.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        found = locator.correlate(maps, box, maps)
    shape = "x".join(str(length) for length in found.shape[1:])
    first = {"stage": "correlation", "call": 1, "output": shape, "parameters (M)": 0.0,
             "GMACs": counter.get_total_flops() / 2e9}  # fmt: skip
    return pd.concat([pd.DataFrame([first]), called(locator, lambda: locator.read(found, box))])


def locator(model: PPCL) -> Figure:
    """CRLoc's part of Fig. 2, read off the built module: its stages for one pair of maps."""
    table = locator_stages(model)
    assert model.locator is not None
    height, width = model.locator.cells
    size = model.reid.backbone.out_channels, height, width
    maps = Box(0, 0, "two maps", ("×".join(map(str, size)),), height, 1, INPUT)
    drawn = [maps, *boxes_of(table, (height, width), {})[1:]]
    total, cost = table["parameters (M)"].sum(), table["GMACs"].sum()
    return draw_boxes(
        drawn, f"CRLoc: {1000 * total:.1f} k parameters, {1000 * cost:.1f} MMACs a pair"
    )


def constraints(model: PPCL, images: Tensor, partial: Tensor, other: Tensor) -> Figure:
    """Figs. 1 and 4: what one training step looks at, a triple of images [N, 3, H, W] a row.

    The whole image x and what was cut of it; the rectified cut with its region, PP-Triplet's anchor
    (blue); y with the region found in it, the positive one (green), and a negative one (red), where
    there is a legal one; the way back to x, PP-Cycle: where the region came from (blue) and where
    it returns to (green, dashed). As in training x and y are not rectified.
    """
    images, partial, other = (some.to(device_of(model)) for some in (images, partial, other))
    with evaluating(model), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rectified, box = model.rectify(partial)
        query = model.encode(partial)
        y, x = ({"maps": model.reid.backbone(some)} for some in (other, images))
        there = model.regions(query, y)
        back = model.regions({**y, "box": there}, x)
        negative, legal = negative_regions(there)
    grid = zip(*map(pictures, (images, partial, rectified, other, images)), strict=True)
    titles = ["x", "partial", "rectified", "y", "back in x"]
    figure, axes = image_grid(list(grid), titles=titles)
    for n, (_, _, anchor, found, returned) in enumerate(axes):
        outline(anchor, box[n], BLUE)
        outline(found, there[n], GREEN, lw=WIDE)
        if legal[n]:
            outline(found, negative[n], RED)
        outline(returned, box[n], BLUE, lw=WIDE)
        outline(returned, back[n], GREEN, "--")
    legend(figure, {"anchor": BLUE, "found: positive": GREEN, "negative": RED}, "upper")
    return figure


def region_overlaps(table: pd.DataFrame) -> Figure:
    """Mean IoU with the true region by row, a colour for each kind of reference.

    table: of ``measure.region_table``. Of a row with a locator CRLoc's region is shown, and hollow
    beside it the region that is fixed at GLRec's; of another one GLRec's box. Dotted: the whole
    frame. Bars: 95 % interval over pairs.
    """
    figure, axis = plt.subplots(figsize=(9.5, 3.8), layout="constrained")
    kinds = list(dict.fromkeys(table["of"]))
    found = table[table["measure"].isin(["rectified", "located"])]
    found = found.sort_values("measure", kind="stable").drop_duplicates(["row", "of"])
    names = [name for name in dict.fromkeys(table["row"]) if name != "whole frame"]
    for k, (of, colour) in enumerate(zip(kinds, sns.color_palette("deep"), strict=False)):
        own = found[found["of"] == of].set_index("row")
        line = own.loc[names]
        x = np.arange(len(names)) + 0.16 * (k - (len(kinds) - 1) / 2)
        bars = np.clip([line["mean"] - line["low"], line["high"] - line["mean"]], 0, None)
        axis.errorbar(x, line["mean"], yerr=bars, fmt="o", color=colour, capsize=3, label=of)
        fixed = table[(table["of"] == of) & (table["measure"] == "fixed")].set_index("row")["mean"]
        at = [place for place, name in zip(x, names, strict=True) if name in fixed.index]
        start = fixed[[name for name in names if name in fixed.index]]
        axis.plot(np.array(at) - 0.07, start, "o", mfc="none", color=colour)
        axis.axhline(own.loc["whole frame", "mean"], color=colour, ls=":", lw=1)
    axis.set_xticks(range(len(names)), [name.replace(" w/ ", "\nw/ ") for name in names])
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set(ylabel="IoU with the true region", title="Are the true regions found?")
    axis.grid(axis="x", visible=False)
    axis.plot([], [], "o", mfc="none", color="#555555", label="fixed at GLRec's region")
    axis.plot([], [], ":", color="#555555", lw=1, label="the whole frame")
    axis.legend(title="reference image", **BESIDE)
    return figure


def cycle_overlaps(tables: dict[str, pd.DataFrame]) -> Figure:
    """Overlap of CRLoc's region by the cycle error of its pairs, sorted by it in parts of one size,
    a line a row.

    tables: name -> ``measure.cycle_table``. Bars: 95 % interval over the pairs of a part.
    """
    figure, axis = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
    parts = max(len(table) for table in tables.values())
    for k, (name, table) in enumerate(tables.items()):
        bars = np.clip([table["located"] - table["low"], table["high"] - table["located"]], 0, None)
        x = np.arange(len(table)) + 0.08 * (k - (len(tables) - 1) / 2)
        label = f"{name}: {table['cycle'].iloc[0]:.2g} to {table['cycle'].iloc[-1]:.2g}"
        axis.errorbar(x, table["located"], yerr=bars, fmt="o-", capsize=3, label=label)
    axis.set_xticks(range(parts), ["least", *[""] * (parts - 2), "largest"])
    axis.set(
        xlabel=f"cycle error of the pairs, in {parts} parts", ylabel="IoU with the true region"
    )
    axis.set_title("Does a small cycle error mean a right region?")
    axis.legend(title="mean cycle error", **BESIDE)
    return figure


def roc_curves(curves: Mapping[str, Sequence[pd.DataFrame]], at: float = 1e-2) -> Figure:
    """Receiver operating characteristic of one or several rows, rates in percent, x logarithmic.

    curves: by name, what ``verification.roc_curve`` returns, one a seed and all of the same rates:
    drawn is their mean, with a band from the least to the largest. at: the false accept rate whose
    true accept rate stands in the legend. The axis begins where one wrong pair is accepted; the
    dashed line is what a random distance gives.
    """
    if not curves:
        raise ReidError("roc_curves: there is no curve to draw")
    low = max(
        max(float(seeds[0].fpr.min()), 1 / float(seeds[0].num_different.iloc[0]))
        for seeds in curves.values()
    )
    figure, axis = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for name, seeds in curves.items():
        fpr, tpr = seeds[0].fpr.to_numpy(), np.stack([curve.tpr for curve in seeds])
        rate = float(np.interp(np.log(at), np.log(fpr), tpr.mean(0)))
        label = f"{name}: {100 * rate:.1f} at {100 * at:g} %"
        (line,) = axis.plot(100 * fpr, 100 * tpr.mean(0), drawstyle="steps-post", label=label)
        axis.fill_between(100 * fpr, 100 * tpr.min(0), 100 * tpr.max(0), step="post", alpha=0.2,
                          color=line.get_color(), lw=0)  # fmt: skip
    chance = np.geomspace(low, 1, 50)
    axis.plot(100 * chance, 100 * chance, "--", color="0.6", lw=1, label="random distance")
    axis.set(
        title="ROC",
        xscale="log",
        xlabel="false accept rate: wrong pairs accepted (%)",
        ylabel="true accept rate (%)",
        xlim=(100 * low, 100),
        ylim=(0, 101),
    )
    axis.legend(**BESIDE)
    return figure


def decisive(table: pd.DataFrame) -> Figure:
    """What each locator of the decisive run gains over regions fixed at GLRec's, in points, a panel
    for each metric and condition, a colour for each reading of the output.

    table: of ``decisive.table``. Bars: 95 % interval over people and seeds. The axis is linear
    between -5 and 5 points and logarithmic beyond.
    """
    shown = table[table["row"] != FIXED]
    conditions = list(dict.fromkeys(zip(table["error"], table["noise"], strict=True)))
    names = list(dict.fromkeys(shown["row"]))
    colours = {"": "#000000"}
    colours |= dict(zip(COORDINATES, sns.color_palette("deep").as_hex(), strict=False))
    figure, axes = plt.subplots(2, len(conditions), sharey=True, sharex="row", squeeze=False,
                                figsize=(3.3 * len(conditions) + 2, 8.4),
                                layout="constrained")  # fmt: skip
    for line, metric in zip(axes, ("IoU", "mAP"), strict=True):
        points = 100 if metric == "IoU" else 1
        for axis, (error, noise) in zip(line, conditions, strict=True):
            some = shown[(shown["metric"] == metric) & (shown["error"] == error)]
            some = some[some["noise"] == noise]
            for reading, own in some.groupby("coordinates", sort=False):
                y = np.array([names.index(row) for row in own["row"]])
                off = 0.0 if not reading else 0.22 * (list(COORDINATES).index(reading) - 1)
                gain = points * own["gain"].to_numpy()
                bars = [gain - points * own["low"], points * own["high"] - gain]
                axis.errorbar(gain, y + off, xerr=np.clip(bars, 0, None), fmt="o", ms=4, capsize=2,
                              color=colours[str(reading)])  # fmt: skip
            axis.axvline(0, color="0.6", lw=1)
            axis.set_xscale("symlog", linthresh=5)
            axis.set_xticks(TICKS, [f"{tick:+g}" if tick else "0" for tick in TICKS])
            rectifier = f"noise {noise:g}" if noise else "as it is"
            axis.set_title(f"detector {error:g}, GLRec {rectifier}", fontsize=10)
            axis.set_xlabel(f"{metric} gained, points")
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].invert_yaxis()
    for reading in COORDINATES:
        axes[0, -1].plot([], [], "o", color=colours[reading], label=reading)
    axes[0, -1].legend(title="coordinates", **BESIDE)
    return figure
