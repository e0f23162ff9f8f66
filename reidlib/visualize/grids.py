"""A table over two settings as a heat map, printed beside measured (PPCL, Tables 1b and 1c)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from reidlib.errors import ReidError


def beside(grids: dict[str, pd.DataFrame], measure: str = "rank-1 (%)") -> Figure:
    """Heat maps side by side, values in percent in their cells, each with colours of its own.

    grids: title -> values; index and columns are the settings, their names the labels of the axes.
    Raises ReidError if there is none.
    """
    if not grids:
        raise ReidError("beside: there is no table to draw")
    widths = [1.6 + 0.75 * max(grid.shape[1], 2) for grid in grids.values()]
    rows = max(len(grid) for grid in grids.values())
    figure, axes = plt.subplots(
        1, len(grids), figsize=(sum(widths), 1.4 + 0.6 * max(rows, 2)), width_ratios=widths,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for axis, (title, grid) in zip(axes[0], grids.items(), strict=True):
        sns.heatmap(grid, annot=True, fmt=".1f", cmap="viridis", linewidths=1, cbar=False, ax=axis)
        axis.set_title(title, fontsize="small")
        axis.set(xlabel=grid.columns.name, ylabel=grid.index.name)
        axis.tick_params(axis="y", rotation=0)
    figure.supxlabel(f"{measure}; in each panel brighter is higher", fontsize="small")
    return figure
