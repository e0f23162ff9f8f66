"""Images of people, side by side: as mosaics of pixels, as grids of panels, with boxes on them."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from reidlib.data import Dataset
from reidlib.data.bank import denormalise
from reidlib.data.decode import decode
from reidlib.data.sampler import generator
from reidlib.visualize.style import legend, side

TILE = (160, 80)  # H, W of an image in a grid
PARTS = {
    "body": "#ffffff",
    "head": "#ffd166",
    "torso": "#ef476f",
    "legs": "#118ab2",
    "feet": "#06d6a0",
}
RGB = tuple[int, int, int]
Box = Tensor | Sequence[float]


def framed(image: np.ndarray, colour: RGB | None, width: int = 4) -> np.ndarray:
    """An image [H, W, 3] with a border [H + 2 * width, W + 2 * width, 3]; white if no colour."""
    out = np.empty((image.shape[0] + 2 * width, image.shape[1] + 2 * width, 3), np.uint8)
    out[:] = colour or (255, 255, 255)
    out[width:-width, width:-width] = image
    return out


def mosaic(rows: Sequence[Sequence[np.ndarray | None]], gap: int = 4) -> np.ndarray:
    """Images of one size, row by row, on white [H, W, 3]; ``None`` leaves a place empty."""
    first = next(tile for row in rows for tile in row if tile is not None)
    height, width = first.shape[0] + gap, first.shape[1] + gap
    columns = max(len(row) for row in rows)
    out = np.full((height * len(rows) - gap, width * columns - gap, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            if tile is not None:
                y, x = r * height, c * width
                out[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return out


def pictures(images: Tensor) -> np.ndarray:
    """Normalised images [..., 3, H, W] as they are shown: [..., H, W, 3] from 0 to 1."""
    shown: np.ndarray = denormalise(images.cpu()).clamp(0, 1).movedim(-3, -1).numpy()
    return shown


def show(axis: Axes, image: np.ndarray) -> None:
    """An image without axes, ticks or grid."""
    axis.imshow(image, interpolation="bilinear")
    axis.set_axis_off()


def image_grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    *,
    titles: Sequence[str] = (),
    sides: Sequence[str] = (),
    width: float = 1.15,
) -> tuple[Figure, np.ndarray]:
    """A panel an image [H, W, 3], row by row; ``None`` leaves one empty: (figure, axes [R, C]).

    titles: above the first row; sides: at the left of the rows. width: of a panel, in inches.
    """
    columns = max(len(row) for row in rows)
    first = next(image for row in rows for image in row if image is not None)
    high = width * first.shape[0] / first.shape[1]
    size = (width * columns + 0.3, (high + 0.1) * len(rows) + 0.5)
    figure, axes = plt.subplots(
        len(rows), columns, figsize=size, layout="constrained", squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        for axis, image in zip(line, [*row, *[None] * (columns - len(row))], strict=True):
            if image is None:
                axis.set_axis_off()
            else:
                show(axis, image)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title, fontsize="small", weight="normal", loc="center")
    for axis, text in zip(axes[:, 0], sides, strict=False):
        side(axis, text)
    return figure, axes


def pixels(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Points (x, y) [..., 2] in [-1, 1] as pixels of an image of ``size`` (H, W)."""
    return (points.cpu().float() + 1) * torch.tensor([size[1], size[0]]) / 2 - 0.5


def outline(axis: Axes, box: Box, colour: str, style: str = "-", lw: float = 1.8) -> None:
    """A box [4] in [-1, 1] over the panel's image, cut at the image's edge."""
    points = torch.as_tensor(box, dtype=torch.float32).reshape(2, 2).clamp(-1, 1)
    low, high = pixels(points, _size(axis)).numpy()
    axis.add_patch(
        Rectangle(low, *(high - low), fill=False, ec=colour, ls=style, lw=lw, clip_on=False)
    )


def polygon(axis: Axes, points: Tensor, colour: str, style: str = "-", lw: float = 1.8) -> None:
    """Corners (x, y) [P, 2] in [-1, 1], joined over the panel's image; what is beyond is hidden."""
    xy = pixels(points, _size(axis)).numpy()
    axis.add_patch(Polygon(xy, fill=False, ec=colour, ls=style, lw=lw))


def _size(axis: Axes) -> tuple[int, int]:
    height, width = axis.images[0].get_size()
    return height, width


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


def spread(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """``n`` rows from all over a table; all, if there are fewer."""
    return table.iloc[:: max(1, len(table) // n)][:n]


def partial_probes(dataset: Dataset, n: int = 8, tile: tuple[int, int] = TILE) -> Figure:
    """Partial probes: the image with the kept box marked (above), and what a model is given.

    tile: (H, W) that an image is shown at, such as a square for faces.
    """
    table = spread(dataset.query, n)
    whole = [decode(path, tile) for path in table.path]
    if "box" not in table.columns:  # what was cut away was never there
        return image_grid([whole], sides=["given"])[0]
    boxes = table["box"].tolist()
    given = [decode(path, tile, box) for path, box in zip(table.path, boxes, strict=True)]
    figure, axes = image_grid([whole, given], sides=["kept", "given"])
    for axis, box in zip(axes[0], boxes, strict=True):
        outline(axis, box, "#ffd166")
    return figure


def true_boxes(dataset: Dataset, n: int = 8) -> Figure:
    """Embedded people with the true box of the body and of its parts."""
    table = spread(dataset.query, n)
    parts = {name: colour for name, colour in PARTS.items() if name in table.columns}
    figure, axes = image_grid([[decode(path, TILE) for path in table.path]])
    for row, axis in zip(table.to_dict("records"), axes[0], strict=True):
        for name, colour in parts.items():
            outline(axis, row[name], colour)
    legend(figure, parts, frameon=True, facecolor="#999")
    return figure
