"""What spatial transformers make of pairs of images (STNReID, Figs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.geometry import box_iou, sample, theta_to_box, transform_points
from reidlib.models.stnreid import STNReID
from reidlib.patches import Pairs, thetas
from reidlib.visualize.style import show

TRUE, READ = "#2a9d4a", "#d1352b"
TILE = 0.95  # inches of width


def affined_by_row(models: Mapping[str, STNReID], pairs: Pairs) -> Figure:
    """Fig. 4: a pair a row, a model a column: what its STN shows of the holistic image.

    First the holistic image with the true patch (green), then the partial image, then the affined
    images with their overlap (IoU) with the true patch.
    """
    columns = ["holistic", "partial", *models]
    figure, axes = _grid(len(pairs), len(columns), pairs.holistic)
    found = {name: thetas(model, pairs) for name, model in models.items()}
    for r in range(len(pairs)):
        _image(axes[r, 0], pairs.holistic[r])
        _box(axes[r, 0], pairs.true[r], pairs.holistic)
        _image(axes[r, 1], pairs.partial[r])
        for c, theta in enumerate(found.values(), start=2):
            _image(axes[r, c], sample(pairs.holistic[r : r + 1], theta[r : r + 1])[0])
            overlap = box_iou(theta_to_box(theta[r]), pairs.true[r])
            axes[r, c].set_title(f"IoU {overlap:.2f}", fontsize="x-small", weight="normal",
                                 loc="center", pad=2)  # fmt: skip
    for axis, name in zip(axes[-1], columns, strict=True):
        axis.text(0.5, -0.04, name, transform=axis.transAxes, ha="center", va="top",
                  fontsize="small", weight="bold")  # fmt: skip
    return figure


def affined_grid(
    model: STNReID, partial: Tensor, holistic: Tensor, names: Sequence[str] = ()
) -> Figure:
    """Fig. 5: every partial image (columns) with every holistic one (rows).

    partial [P, 3, H, W], holistic [N, 3, H, W] normalised. In the margins the images themselves;
    within, the affined image, and on the holistic one, in the first column, all that is read of it.
    names: of the holistic images.
    """
    rows, columns = len(holistic), len(partial)
    figure, axes = _grid(rows + 1, columns + 1, holistic)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0.5, 0.5, "partial \u2192\nholistic \u2193", ha="center", va="center",
                    transform=axes[0, 0].transAxes, fontsize="small")  # fmt: skip
    for c in range(columns):
        _image(axes[0, c + 1], partial[c])
    for r in range(rows):
        pairs = Pairs(partial, holistic[r].expand_as(partial), torch.zeros(columns, 4))
        theta = thetas(model, pairs)
        affined = sample(pairs.holistic, theta)
        _image(axes[r + 1, 0], holistic[r])
        if names:
            axes[r + 1, 0].text(-0.08, 0.5, names[r], rotation=90, ha="right", va="center",
                                transform=axes[r + 1, 0].transAxes, fontsize="small")  # fmt: skip
        for c in range(columns):
            _image(axes[r + 1, c + 1], affined[c])
            _outline(axes[r + 1, 0], theta[c], holistic)
    return figure


def _grid(rows: int, columns: int, images: Tensor) -> tuple[Figure, np.ndarray]:
    height, width = images.shape[-2:]
    size = (columns * TILE, rows * (TILE * height / width + 0.18))
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def _image(axis: Axes, image: Tensor) -> None:
    show(axis, denormalise(image).permute(1, 2, 0).cpu().numpy())


def _pixels(points: Tensor, images: Tensor) -> np.ndarray:
    """Points [P, 2] in [-1, 1] as pixel positions on an image that is drawn."""
    height, width = images.shape[-2:]
    scale = torch.tensor([width, height])
    found: np.ndarray = ((points.cpu() + 1) * scale / 2 - 0.5).numpy()
    return found


def _box(axis: Axes, box: Tensor, images: Tensor) -> None:
    low, high = _pixels(box.reshape(2, 2).clamp(-1, 1), images)
    axis.add_patch(Rectangle(tuple(low), *(high - low), fill=False, ec=TRUE, lw=2))


def _outline(axis: Axes, theta: Tensor, images: Tensor) -> None:
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    points = _pixels(transform_points(theta.cpu(), corners), images)
    axis.add_patch(Polygon(points.tolist(), fill=False, ec=READ, lw=1, clip_on=True))
