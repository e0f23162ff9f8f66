"""Curves and tables of numbers: training, CMC, where time went, a metric against settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import NAMES, Metrics
from reidlib.visualize.style import DARK

BESIDE: dict[str, Any] = {
    "loc": "center left",
    "bbox_to_anchor": (1, 0.5),
    "frameon": False,
}  # of a legend
TRAINING = {
    "loss": "Loss",
    "accuracy": "Accuracy in the batch (%)",
    "lr": "Learning rate",
    "images_per_s": "Images per second",
}


def training_curves(
    histories: Mapping[str, pd.DataFrame], columns: Mapping[str, str] = TRAINING
) -> Figure:
    """A panel each for some columns of the history of one or several runs, against the step.

    columns: name -> title, by default loss, accuracy on the batch, learning rate and images/s; what
    no run has logged is left out. Of a single run the parts of the loss are drawn beside it.
    """
    shown = [c for c in columns if any(c in history.columns for history in histories.values())]
    figure, axes = plt.subplots(
        1, len(shown), figsize=(3.5 * len(shown), 3.2), layout="constrained", squeeze=False
    )
    named: dict[
        str, Line2D
    ] = {}  # a run that logs no column of the first panel is in the legend too
    for axis, column in zip(axes[0], shown, strict=True):
        scale = 100 if columns[column].endswith("(%)") else 1
        for i, (name, history) in enumerate(histories.items()):
            parts = ["id", "triplet"] if column == "loss" and len(histories) == 1 else []
            for k, part in enumerate(c for c in (column, *parts) if c in history.columns):
                label = part if parts else name
                [line] = axis.plot(history.step, scale * history[part], f"C{i + k}", label=label)
                named.setdefault(label, line)
        axis.set(title=columns[column], xlabel="step", ylim=(0, None))
    axes[0, 0].legend(handles=list(named.values()))
    return figure


def cmc_curves(metrics: Mapping[str, Metrics], max_rank: int = 20) -> Figure:
    """Cumulative matching characteristic of one or several evaluations, in percent."""
    figure, axis = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for name, value in metrics.items():
        ranks = np.arange(1, min(max_rank, len(value.cmc)) + 1)
        label = f"{name}: rank-1 {100 * value.rank(1):.1f}, mAP {100 * value.mAP:.1f}"
        axis.plot(ranks, 100 * value.cmc[: len(ranks)], "o-", ms=3, label=label)
    axis.set(title="CMC", xlabel="rank", ylabel="queries with a match (%)", ylim=(0, 101))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(**BESIDE)
    return figure


def time_shares(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Where a training step's time went, one bar a run: data, forward, backward, optimiser."""
    frame = 100 * pd.DataFrame(shares).T
    figure, axis = plt.subplots(figsize=(9, 1.2 + 0.5 * len(frame)), layout="constrained")
    if frame.empty:  # a run that had no step left to do when it was resumed
        axis.set(title="Where the time went: not measured")
        axis.set_axis_off()
        return figure
    frame.plot.barh(stacked=True, ax=axis, xlabel="share of a step (%)", xlim=(0, 100))
    for bars in axis.containers:
        axis.bar_label(bars, fmt="%.0f", label_type="center", color="white")  # type: ignore[arg-type]
    axis.set_title("Where the time went")
    axis.grid(False)
    axis.legend(**BESIDE)
    return figure


def metrics_table(metrics: Mapping[str, Metrics]) -> pd.DataFrame:
    """One row an evaluation, values in percent: rank-1, 5, 10, both mAPs, mINP, valid queries."""
    rows = {}
    for name, value in metrics.items():
        ranks = {f"rank-{k}": 100 * value.rank(k) for k in (1, 5, 10) if k <= len(value.cmc)}
        rows[name] = {
            **ranks,
            "mAP": 100 * value.mAP,
            "mAP (trapezoidal)": 100 * value.mAP_trapezoidal,
            "mINP": 100 * value.mINP,
            "valid queries": value.num_valid,
        }
    return pd.DataFrame(rows).T.astype({"valid queries": int}).rename_axis("evaluated on")


def training_costs(infos: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row a run, out of its ``info``: steps, images a step, minutes, images a second (median),
    the arithmetic's type and the device."""
    rows = {
        name: {
            "steps": info["steps"],
            "images a step": info["batch"],
            "minutes": info["seconds"] / 60,
            "images/s": info["images_per_s"],
            "precision": info["precision"],
            "device": f"{info['device']}, {info['threads']} threads",
        }
        for name, info in infos.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


def beside(grids: dict[str, pd.DataFrame], measure: str = "rank-1 (%)") -> Figure:
    """Tables over two settings as heat maps side by side, such as printed beside measured.

    grids: title -> values in percent, which stand in their cells; index and columns are the
    settings, their names the labels of the axes. Raises ReidError if there is none.
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


def sweep(
    frames: Mapping[str, pd.DataFrame],
    xlabel: str,
    logx: bool = False,
    marks: Mapping[str, Any] | None = None,
    gains: str = "",
    points: Mapping[str, pd.DataFrame] | None = None,
    note: str = "",
) -> Figure:
    """One panel a metric, one line a series, against the column ``x`` (RMGL Figs. 8 to 11).

    frames: name of the series -> tidy table as ``Report.reproduce`` returns it, with a column
    ``x``: numbers, or also words ("0.2" may stand beside "soft"): then all are places in the order
    of the tables, and a line joins those alone that are numbers. Bars are the 95 % interval over
    queries, the band is the standard deviation over seeds where there are several; where a column
    ``seeds`` has each one's value ("49.1 52.0"), they are dots instead. marks: what a dotted
    vertical line says -> its x, such as {"paper": 0.6}. gains: name of the row that the tables'
    gains are over: then these are drawn, with their paired intervals, and that row is the zero.
    points: tables of another run, drawn on the lines of the same names as diamonds, "this run".
    note: a sentence below the figure, such as where the lines are from.
    Raises ReidError for a missing column, and for a mark that is not among the categories.
    """
    points = points or {}
    for tables in (frames, points):
        _check(tables, gains)
    metrics = list(dict.fromkeys(pd.concat(frames.values()).metric))
    figure, axes = plt.subplots(
        1, len(metrics), figsize=(5.6 * len(metrics), 3.9), layout="constrained", squeeze=False
    )
    for axis, metric in zip(axes[0], metrics, strict=True):
        lines = {name: frame[frame.metric == metric] for name, frame in frames.items()}
        over = {name: frame[frame.metric == metric] for name, frame in points.items()}
        _panel(axis, lines, marks or {}, logx, gains, over)
        label = NAMES.get(str(metric), str(metric))
        axis.set(title=label, xlabel=xlabel, ylabel=f"{label} (%)")
        if gains:
            axis.set_ylabel(f"{label}: gain over {gains} (points)")
    _explain(figure, axes, list(frames.values()), gains, len(lines) + len(points) > 1, note)
    return figure


def sweeps(
    panels: Mapping[str, pd.DataFrame],
    marks: Mapping[str, Any] | None = None,
    points: Mapping[str, pd.DataFrame] | None = None,
    note: str = "",
) -> Figure:
    """One panel a setting, one line a metric, on one axis of percent (RMGL Fig. 7).

    panels: label of the x axis -> tidy table with a column ``x``; marks: the same label -> where
    the paper's choice is; points: the same label -> table of another run. All else as in ``sweep``.
    """
    points = points or {}
    for tables in (panels, points):
        _check(tables, "")
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.9), layout="constrained", squeeze=False,
        sharey=True,
    )  # fmt: skip
    for axis, (label, frame) in zip(axes[0], panels.items(), strict=True):
        lines = _by_metric(frame)
        over = _by_metric(points[label]) if points else {}
        _panel(axis, lines, {"paper": marks[label]} if marks else {}, False, "", over)
        axis.set_xlabel(label)
    axes[0, 0].set_ylabel("rank-1 and mAP (%)" if len(lines) > 1 else f"{next(iter(lines))} (%)")
    _explain(figure, axes, list(panels.values()), "", len(lines) + len(points) > 1, note)
    return figure


def _by_metric(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {NAMES.get(str(m), str(m)): one for m, one in frame.groupby("metric", sort=False)}


VALUE, GAIN = ("mean", "low", "high"), ("gain", "gain_low", "gain_high")  # and its interval


def _check(frames: Mapping[str, pd.DataFrame], gains: str) -> None:
    for name, frame in frames.items():
        needed = ("x", "metric", *(GAIN if gains else VALUE), "sd", "n")
        if missing := [column for column in needed if column not in frame.columns]:
            raise ReidError(f'the table of "{name}" lacks the columns {missing}')


def _panel(
    axis: Axes,
    lines: Mapping[str, pd.DataFrame],
    marks: Mapping[str, Any],
    logx: bool,
    gains: str,
    points: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    points = points or {}
    x = pd.concat([*lines.values(), *points.values()]).x
    places = _places(x)
    if places is None and logx:
        axis.set_xscale("log")
    if gains:
        axis.axhline(0, color=DARK, lw=1)
        lines = {name: frame for name, frame in lines.items() if name != gains}
        points = {name: frame for name, frame in points.items() if name != gains}
    names = list(dict.fromkeys([*lines, *points]))
    columns = GAIN if gains else VALUE
    for own, shown in ((False, lines), (True, points)):
        for name, frame in shown.items():
            k = names.index(name)
            label = f"{name}, this run" if own and len(names) > 1 else "this run" if own else name
            aside = k - (len(names) - 1) / 2 + 1.5 * (own and len(names) == 1)
            colour = sns.color_palette("deep")[k % 10]
            _line(axis, frame, places, aside, label, colour, columns, own)
    if places is not None:
        axis.set_xticks(range(len(places)), list(places))
        axis.set_xlim(-0.5, len(places) - 0.5)
    elif logx:
        ticks = sorted(set(x))
        axis.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axis.minorticks_off()
    for text, at in marks.items():
        _mark(axis, text, at, places)


def _explain(
    figure: Figure,
    axes: np.ndarray,
    frames: Sequence[pd.DataFrame],
    gains: str,
    several: bool,
    note: str = "",
) -> None:
    """What bars, bands and dots are, and which line is which."""
    together = pd.concat(frames)
    words = "bars: 95 % interval over queries" + (", paired" if gains else "")
    if "seeds" in together and not gains:
        words += ", dots: seeds"
    elif (together.n > 1).any() and not gains and _joined(together.x):
        words += ", band: standard deviation over seeds"
    figure.supxlabel("\n".join(filter(None, (words, note))), fontsize="small")
    if several:
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", frameon=False)


def _places(x: pd.Series) -> dict[str, int] | None:
    """Where each category stands, or None if all values are numbers."""
    if all(isinstance(value, Real) for value in x):
        return None
    return {name: place for place, name in enumerate(dict.fromkeys(_word(value) for value in x))}


def _joined(x: pd.Series) -> bool:
    """Whether a line and a band join some of the values: they do where these are numbers."""
    return _places(x) is None or any(_is_number(_word(value)) for value in x)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, Real) else str(value)


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def _line(
    axis: Axes,
    frame: pd.DataFrame,
    places: Mapping[str, int] | None,
    offset: float,
    name: str,
    colour: tuple[float, float, float],
    columns: Sequence[str],
    own: bool = False,
) -> None:
    """One series; ``offset`` sets it aside by some points, so that bars do not cover each other.

    columns: those of its value, its lower and its upper end. own: drawn as diamonds, above others.
    """
    figure = axis.figure
    aside = ScaledTranslation(5 * offset / 72, 0, figure.dpi_scale_trans)
    words = [_word(value) for value in frame.x]
    x = np.array([value if places is None else places[word]
                  for value, word in zip(frame.x, words, strict=True)], float)  # fmt: skip
    order = np.argsort(x)
    frame, x = frame.iloc[order], x[order]
    value, low, high = (frame[column].to_numpy(float) for column in columns)
    # an interval from resampling may miss the mean by a hair, a bar cannot be negative
    below, above = np.clip(value - low, 0, None), np.clip(high - value, 0, None)
    move = axis.transData + aside
    marker: dict[str, Any] = {"fmt": "o", "ms": 5}
    if own:
        marker = {"fmt": "D", "ms": 8, "mec": DARK, "zorder": 3}
    axis.errorbar(x, value, yerr=[below, above], capsize=3, elinewidth=1.2, color=colour,
                  label=name, transform=move, **marker)  # fmt: skip
    number = np.array([places is None or _is_number(words[i]) for i in order])
    axis.plot(x[number], value[number], "-", color=colour, transform=move)
    # what is set aside does not count for the limits by itself
    axis.update_datalim(np.column_stack([np.tile(x, 2), np.r_[value - below, value + above]]))
    axis.margins(x=0.08, y=0.12)  # above, there is room for what a mark says
    axis.autoscale_view()
    if columns[0] != "mean":
        return
    if "seeds" in frame.columns:
        for at, text in zip(x, frame["seeds"], strict=True):
            values = [float(one) for one in str(text).split()]
            axis.plot([at] * len(values), values, "o", ms=3, mfc="none", color=colour,
                      transform=move)  # fmt: skip
    elif (frame.n > 1).all():
        sd = frame.sd.to_numpy(float)
        axis.fill_between(x, value - sd, value + sd, color=colour, alpha=0.18, lw=0, transform=move,
                          where=number)  # fmt: skip


def _mark(axis: Axes, text: str, x: Any, places: Mapping[str, int] | None) -> None:
    if places is not None:
        if _word(x) not in places:
            raise ReidError(f'the mark "{text}" is at {_word(x)}, not one of {list(places)}')
        x = places[_word(x)]
    axis.axvline(x, color=DARK, ls=":", lw=1.5, zorder=0)
    axis.annotate(text, (x, 1), (3, -2), xycoords=("data", "axes fraction"), fontsize="small",
                  textcoords="offset points", ha="left", va="top")  # fmt: skip
