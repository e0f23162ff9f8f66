"""A metric against a setting (RMGL Figs. 7 to 11), from the tables of ``Report.reproduce``."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from numbers import Real
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from reidlib.errors import ReidError
from reidlib.workbook.tables import NAMES

NEEDED = ("x", "metric", "mean", "low", "high", "sd", "n")


def sweep(
    frames: Mapping[str, pd.DataFrame],
    xlabel: str,
    logx: bool = False,
    marks: Mapping[str, Any] | None = None,
) -> Figure:
    """One panel a metric, one line a series, against the column ``x``.

    frames: name of the series -> tidy table as ``Report.reproduce`` returns it, with a column
    ``x``: numbers, or words (all values are then categories, in the order of the tables, and "0.2"
    may stand beside "soft"). Bars are the 95 % interval over queries (low, high), the band is the
    standard deviation over seeds where there are several. marks: what a dotted vertical line says
    -> its x, such as {"paper": 0.6}.
    Raises ReidError for a missing column, and for a mark that is not among the categories.
    """
    for name, frame in frames.items():
        if missing := [column for column in NEEDED if column not in frame.columns]:
            raise ReidError(f'the table of "{name}" lacks the columns {missing}')
    together = pd.concat(frames.values(), ignore_index=True)
    metrics = list(dict.fromkeys(together.metric))
    places = _places(together.x)
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(5.6 * len(metrics), 3.9), layout="constrained", squeeze=False
    )
    for axis, metric in zip(axes[0], metrics, strict=True):
        if places is None and logx:
            axis.set_xscale("log")
        for k, (name, frame) in enumerate(frames.items()):
            _line(axis, frame[frame.metric == metric], places, k - (len(frames) - 1) / 2, name,
                  sns.color_palette("deep")[k % 10])  # fmt: skip
        label = NAMES.get(str(metric), str(metric))
        axis.set(title=label, xlabel=xlabel, ylabel=f"{label} (%)")
        if places is not None:
            axis.set_xticks(range(len(places)), [str(value) for value in places])
            axis.set_xlim(-0.5, len(places) - 0.5)
        elif logx:
            ticks = sorted(set(together.x))
            axis.set_xticks(ticks, [f"{value:g}" for value in ticks])
            axis.minorticks_off()
        for text, x in (marks or {}).items():
            _mark(axis, text, x, places)
    several = bool((together.n > 1).any())
    band = ", band: standard deviation over seeds" if several else ""
    figure.supxlabel(f"bars: 95 % interval over queries{band}", fontsize="small")
    if len(frames) > 1:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure


def _places(x: pd.Series) -> dict[str, int] | None:
    """Where each category stands, or None if all values are numbers."""
    if all(isinstance(value, Real) for value in x):
        return None
    return {name: place for place, name in enumerate(dict.fromkeys(_word(value) for value in x))}


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) else str(value)


def _line(
    axis: Axes,
    frame: pd.DataFrame,
    places: Mapping[str, int] | None,
    offset: float,
    name: Hashable,
    colour: tuple[float, float, float],
) -> None:
    """One series; ``offset`` sets it aside by some points, so that bars do not cover each other."""
    figure = axis.figure
    aside = ScaledTranslation(5 * offset / 72, 0, figure.dpi_scale_trans)
    if places is None:
        frame = frame.sort_values("x")
        x = frame.x.to_numpy(float)
    else:
        x = np.array([places[_word(value)] for value in frame.x], float)
        order = np.argsort(x)
        frame, x = frame.iloc[order], x[order]
    mean = frame["mean"].to_numpy(float)
    # an interval from resampling may miss the mean by a hair, a bar cannot be negative
    below = np.clip(mean - frame.low, 0, None)
    above = np.clip(frame.high - mean, 0, None)
    move = axis.transData + aside
    axis.errorbar(x, mean, yerr=[below, above], fmt="o-", ms=5, capsize=3, elinewidth=1.2,
                  color=colour, label=str(name), transform=move)  # fmt: skip
    # what is set aside does not count for the limits by itself
    axis.update_datalim(np.column_stack([np.tile(x, 2), np.r_[mean - below, mean + above]]))
    axis.margins(x=0.08, y=0.12)  # above, there is room for what a mark says
    axis.autoscale_view()
    if (frame.n > 1).all():
        sd = frame.sd.to_numpy(float)
        axis.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.18, lw=0, transform=move)


def _mark(axis: Axes, text: str, x: Any, places: Mapping[str, int] | None) -> None:
    if places is not None:
        if _word(x) not in places:
            raise ReidError(f'the mark "{text}" is at {_word(x)}, not one of {list(places)}')
        x = places[_word(x)]
    axis.axvline(x, color="#30343b", ls=":", lw=1.5, zorder=0)
    axis.annotate(text, (x, 1), (3, -2), xycoords=("data", "axes fraction"), fontsize="small",
                  textcoords="offset points", ha="left", va="top")  # fmt: skip
