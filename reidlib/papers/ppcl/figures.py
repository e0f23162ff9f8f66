"""What PPCL's two modules do to images (PPCL, Figs. 1, 4, 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.errors import ReidError
from reidlib.models import Encoding
from reidlib.models.base import device_of, evaluating
from reidlib.papers.ppcl.constraints import negative_regions
from reidlib.papers.ppcl.model import PPCL, in_image
from reidlib.visualize.style import show

BLUE, RED, GREEN = "#1f6fd6", "#d1352b", "#2a9d4a"
TILE = 1.15  # inches of width
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
    (blue), the same on all of them, and the region that CRLoc finds in it (red). true [P, 4]: what
    the first reference shows of the partial image (green). captions: a probe's; names: a
    reference's.
    """
    rows, columns = references.shape[:2]
    partial, references = (x.to(device_of(model)) for x in (partial, references))
    with evaluating(model):
        rectified, box = model.rectify(partial)
        query = model.encode(partial)
        found = [_regions(model, query, model.encode(references[:, r])) for r in range(columns)]
    figure, axes = _grid(rows, columns + 2, partial)
    for p in range(rows):
        _image(axes[p, 0], partial[p])
        _image(axes[p, 1], rectified[p])
        for r in range(columns):
            _image(axes[p, r + 2], references[p, r])
            _box(axes[p, r + 2], box[p], partial, BLUE, lw=WIDE)
            _box(axes[p, r + 2], found[r][p], partial, RED)
            if true is not None and r == 0:
                _box(axes[p, 2], true[p], partial, GREEN, "--")
        if captions:
            _side(axes[p, 0], captions[p])
    _titles(axes[0], ["partial", "rectified", *(names or [""] * columns)])
    lines = {"GLRec": BLUE, "CRLoc": RED} | ({"true region": GREEN} if true is not None else {})
    _legend(figure, lines)
    return figure


def constraints(model: PPCL, images: Tensor, partial: Tensor, other: Tensor) -> Figure:
    """Figs. 1 and 4: what one training step looks at, a triple of images [N, 3, H, W] a row.

    The whole image x and what was cut of it; the rectified cut with its region, PP-Triplet's anchor
    (blue); y with the region found in it, the positive one (green), and a negative one of its size
    (red); the way back to x, PP-Cycle: where the region came from (blue) and where it returns to
    (green, dashed). As in training x and y are not rectified.
    """
    images, partial, other = (some.to(device_of(model)) for some in (images, partial, other))
    with evaluating(model), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rectified, box = model.rectify(partial)
        query = model.encode(partial)
        y, x = ({"maps": model.reid.backbone(some)} for some in (other, images))
        there = model.regions(query, y)
        back = model.regions({**y, "box": there}, x)
        negative = negative_regions(there)
    figure, axes = _grid(len(images), 5, images)
    for n in range(len(images)):
        for axis, image in zip(axes[n], (images, partial, rectified, other, images), strict=True):
            _image(axis, image[n])
        _box(axes[n, 2], box[n], images, BLUE)
        _box(axes[n, 3], there[n], images, GREEN, lw=WIDE)
        _box(axes[n, 3], negative[n], images, RED)
        _box(axes[n, 4], box[n], images, BLUE, lw=WIDE)
        _box(axes[n, 4], back[n], images, GREEN, "--")
    _titles(axes[0], ["x", "partial", "rectified", "y", "back in x"])
    _legend(figure, {"anchor": BLUE, "found: positive": GREEN, "negative": RED})
    return figure


def _regions(model: PPCL, query: Encoding, reference: Encoding) -> Tensor:
    return in_image(model.regions(query, reference), reference["box"])


def _grid(rows: int, columns: int, images: Tensor) -> tuple[Figure, np.ndarray]:
    height, width = images.shape[-2:]
    size = (TILE * columns + 0.3, TILE * height / width * rows + 0.6)
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def _image(axis: Axes, image: Tensor) -> None:
    show(axis, denormalise(image.cpu()).clamp(0, 1).permute(1, 2, 0).numpy())


def _box(
    axis: Axes, box: Tensor, images: Tensor, colour: str, style: str = "-", lw: float = 1.8
) -> None:
    """A box in [-1, 1], cut at the image's edge; a wide line stays visible below another one."""
    height, width = images.shape[-2:]
    x0, y0, x1, y1 = ((box.cpu().clamp(-1, 1) + 1) / 2).tolist()
    corner = (x0 * width - 0.5, y0 * height - 0.5)
    size = ((x1 - x0) * width, (y1 - y0) * height)
    axis.add_patch(Rectangle(corner, *size, fill=False, ec=colour, lw=lw, ls=style, clip_on=False))


def _side(axis: Axes, text: str) -> None:
    axis.text(-0.08, 0.5, text, rotation=90, ha="right", va="center", fontsize="x-small",
              transform=axis.transAxes)  # fmt: skip


def _titles(axes: np.ndarray, names: Sequence[str]) -> None:
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize="small", weight="normal", loc="center")


def _legend(figure: Figure, colours: dict[str, str]) -> None:
    lines = [Line2D([], [], color=colour, lw=2) for colour in colours.values()]
    figure.legend(lines, list(colours), ncols=len(lines), loc="outside lower center",
                  frameon=False, fontsize="small")  # fmt: skip


def region_overlaps(table: pd.DataFrame) -> Figure:
    """Mean IoU with the true region by row, a colour for each kind of reference.

    table: of ``regions.region_table``. Of a row with a locator CRLoc's region is shown, of another
    one GLRec's box. Dotted: the whole frame. Bars: 95 % interval over pairs.
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
        axis.axhline(own.loc["whole frame", "mean"], color=colour, ls=":", lw=1)
    axis.set_xticks(range(len(names)), [name.replace(" w/ ", "\nw/ ") for name in names])
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set(ylabel="IoU with the true region", title="Are the true regions found?")
    axis.grid(axis="x", visible=False)
    axis.plot([], [], ":", color="#555555", lw=1, label="the whole frame")
    axis.legend(title="reference image", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def cycle_overlaps(tables: dict[str, pd.DataFrame]) -> Figure:
    """Overlap of CRLoc's region by the cycle error of its pairs, sorted by it in parts of one size,
    a line a row.

    tables: name -> ``regions.cycle_table``. Bars: 95 % interval over the pairs of a part.
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
    axis.legend(title="mean cycle error", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def roc_curves(curves: Mapping[str, pd.DataFrame], at: float = 1e-2) -> Figure:
    """Receiver operating characteristic of one or several rows, rates in percent, x logarithmic.

    curves: by name, what ``verification.roc_curve`` returns. at: the false accept rate whose true
    accept rate stands in the legend. The axis begins where one wrong pair is accepted; the dashed
    line is what a random distance gives.
    """
    if not curves:
        raise ReidError("roc_curves: there is no curve to draw")
    low = max(
        max(float(curve.fpr.min()), 1 / float(curve.num_different.iloc[0]))
        for curve in curves.values()
    )
    figure, axis = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for name, curve in curves.items():
        rate = float(np.interp(np.log(at), np.log(curve.fpr), curve.tpr))
        label = f"{name}: {100 * rate:.1f} at {100 * at:g} %"
        axis.plot(100 * curve.fpr, 100 * curve.tpr, drawstyle="steps-post", label=label)
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
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure
