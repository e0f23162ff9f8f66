"""How activation balanced pooling finds its stripes (RMGL Fig. 5)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.encode import evaluating
from reidlib.models.rmgl import RMGL
from reidlib.models.stripes import activation_histogram, balanced_cuts
from reidlib.visualize.style import show

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
