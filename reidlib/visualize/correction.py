"""What transformers do against what they should do, image by image."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reidlib.detector import FACTORS, correlation

LINE = "#30343b"
LABELS = dict(zip((*FACTORS, "eps"), ("$s_w$", "$s_h$", "$t_w$", "$t_h$", "$\\epsilon$"),
                  strict=True))  # fmt: skip


def correction(images: pd.DataFrame) -> Figure:
    """One row a transformer, one column a factor; last the learned eps against the true error.

    images: of ``detector.measure``; of several seeds the first is drawn. r: correlation over
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
