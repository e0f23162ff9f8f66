"""Curves of training and evaluation."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reidlib.evaluate.metrics import Metrics


def training_curves(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Losses, accuracy on the batch, learning rate and images/s of one or several runs."""
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained")
    for name, history in histories.items():
        single = len(histories) == 1
        for part in [c for c in ("loss", "id", "triplet") if c in history.columns]:
            if single or part == "loss":
                axes[0].plot(history.step, history[part], label=part if single else name)
        if "accuracy" in history.columns:
            axes[1].plot(history.step, 100 * history.accuracy, label=name)
        axes[2].plot(history.step, history.lr, label=name)
        axes[3].plot(history.step, history.images_per_s, label=name)
    titles = ("Loss", "Accuracy in the batch (%)", "Learning rate", "Images per second")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, xlabel="step", ylim=(0, None))
    axes[0].legend()
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
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
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
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
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
