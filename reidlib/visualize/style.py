"""One look for all figures, and mosaics of images with coloured borders."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

RIGHT, WRONG, QUERY = "#2a9d4a", "#d1352b", "#30343b"  # borders of images in ranked lists
RGB = tuple[int, int, int]


def use_style() -> None:
    """Sets the workbook's look for all figures drawn from here on."""
    sns.set_theme(style="whitegrid", context="notebook", palette="deep")
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def file_of(figure: Figure, suffix: str) -> bytes:
    """A figure as the content of a ``png`` or ``svg`` file; the same picture is the same file."""
    buffer = io.BytesIO()
    meta = {"Date": None} if suffix == "svg" else {"Software": "reidlib"}  # no date, a fixed salt
    with plt.rc_context({"svg.hashsalt": "reidlib"}):
        figure.savefig(buffer, format=suffix, dpi=110, bbox_inches="tight", metadata=meta)
    return buffer.getvalue()


def rgb(colour: str) -> RGB:
    """``"#2a9d4a"`` as (42, 157, 74)."""
    value = colour.lstrip("#")
    return (int(value[0:2], 16), int(value[2:4], 16), int(value[4:6], 16))


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


def show(axes: Axes, image: np.ndarray) -> None:
    """An image without axes, ticks or grid."""
    axes.imshow(image, interpolation="bilinear")
    axes.set_axis_off()
