"""What a dataset looks like: people by camera, counts, partial probes, true boxes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reidlib.data import Dataset
from reidlib.data.decode import decode
from reidlib.data.sampler import generator
from reidlib.visualize.style import mosaic, show

TILE = (160, 80)  # H, W of an image in a grid
PARTS = {
    "body": "#ffffff",
    "head": "#ffd166",
    "torso": "#ef476f",
    "legs": "#118ab2",
    "feet": "#06d6a0",
}


def _boxes(table: pd.DataFrame) -> list:
    return list(table["box"]) if "box" in table.columns else [None] * len(table)


def people_grid(dataset: Dataset, ids: int = 10, seed: int = 0) -> Figure:
    """Test identities (columns) as each camera (rows) saw them; empty where one did not."""
    table = pd.concat([dataset.query, dataset.gallery])
    table = table[table.pid > 0]
    rng = generator(seed)
    pids = np.sort(rng.permutation(table.pid.unique())[:ids])
    cams = sorted(table.cam.unique())
    first = table.groupby(["cam", "pid"]).path.first()
    rows = [
        [decode(first[cam, pid], TILE) if (cam, pid) in first.index else None for pid in pids]
        for cam in cams
    ]
    image = mosaic(rows)
    figure, axes = plt.subplots(figsize=(len(pids) * 0.85 + 0.8, len(cams) * 1.6 + 0.4))
    show(axes, image)
    height, width = TILE[0] + 4, TILE[1] + 4
    for r, cam in enumerate(cams):
        axes.text(-8, (r + 0.5) * height, f"camera {cam}", ha="right", va="center")
    for c, pid in enumerate(pids):
        axes.text((c + 0.5) * width, -8, f"id {pid}", ha="center", va="bottom", fontsize="small")
    return figure


def statistics(dataset: Dataset) -> Figure:
    """Images per camera and split, and how many cameras and images an identity has."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    counts = pd.DataFrame({k: t.cam.value_counts() for k, t in dataset.splits.items()}).sort_index()
    both = pd.concat([dataset.query, dataset.gallery])
    tables = {"train": dataset.train, "test": both[both.pid > 0]}
    images = {name: table.groupby("pid").size() for name, table in tables.items()}
    cameras = {name: table.groupby("pid").cam.nunique() for name, table in tables.items()}
    seen = 100 * pd.DataFrame({k: v.value_counts(normalize=True) for k, v in cameras.items()})
    counts.plot.bar(ax=axes[0], rot=0, xlabel="camera", ylabel="images", title="Images by camera")
    long = pd.concat(images, names=["split"]).rename("images").reset_index()
    sns.histplot(long, x="images", hue="split", multiple="dodge", bins=12, shrink=0.9, ax=axes[1])
    axes[1].set(title="Images of an identity", ylabel="identities")
    seen.sort_index().plot.bar(ax=axes[2], rot=0, xlabel="cameras", ylabel="identities (%)")
    axes[2].set_title("Cameras that saw an identity")
    for axis in axes:
        axis.grid(axis="x", visible=False)
    axes[0].set_ylim(0, 1.25 * float(counts.max().max()))  # room for the legend
    axes[0].legend(ncols=3, loc="upper center", frameon=False)
    return figure


def partial_probes(dataset: Dataset, n: int = 8, tile: tuple[int, int] = TILE) -> Figure:
    """Partial probes: the image with the kept box marked (above), and what a model is given.

    tile: (H, W) that an image is shown at, such as a square for faces.
    """
    table = _spread(dataset.query, n)
    n = len(table)
    high = 2.3 * tile[0] / tile[1]
    figure, axes = plt.subplots(2, n, figsize=(n * 1.1, high), layout="constrained", squeeze=False)
    for column, (path, box) in enumerate(zip(table.path, _boxes(table), strict=True)):
        show(axes[0, column], decode(path, tile))
        axes[0, column].add_patch(_outline(box, "#ffd166", tile))
        show(axes[1, column], decode(path, tile, box))
    axes[0, 0].set_title("kept")
    axes[1, 0].set_title("given")
    return figure


def true_boxes(dataset: Dataset, n: int = 8) -> Figure:
    """Embedded people with the true box of the body and of its parts."""
    table = _spread(dataset.query, n)
    n = len(table)
    parts = {name: colour for name, colour in PARTS.items() if name in table.columns}
    figure, axes = plt.subplots(1, n, figsize=(n * 1.25, 2.7), layout="constrained", squeeze=False)
    for row, axis in zip(table.to_dict("records"), axes[0], strict=True):
        show(axis, decode(row["path"], TILE))
        for name, colour in parts.items():
            axis.add_patch(_outline(row[name], colour))
    lines = [Rectangle((0, 0), 1, 1, fill=False, ec=c, lw=2) for c in parts.values()]
    figure.legend(
        lines, list(parts), ncols=len(parts), loc="outside lower center", facecolor="#999"
    )
    return figure


def _spread(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """``n`` rows from all over a table; all, if there are fewer."""
    return table.iloc[:: max(1, len(table) // n)][:n]


def _outline(
    box: tuple[float, float, float, float], colour: str, tile: tuple[int, int] = TILE
) -> Rectangle:
    """A box in [-1, 1] as a rectangle over an image of ``tile``'s size, cut at the image's edge."""
    height, width = tile
    x0, y0, x1, y1 = np.clip(box, -1, 1)
    corner = ((x0 + 1) * width / 2 - 0.5, (y0 + 1) * height / 2 - 0.5)
    size = ((x1 - x0) * width / 2, (y1 - y0) * height / 2)
    return Rectangle(corner, *size, fill=False, ec=colour, lw=1.5)
