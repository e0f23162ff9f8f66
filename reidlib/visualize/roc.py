"""ROC curves: how many right pairs are accepted for how many wrong ones."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reidlib.errors import ReidError


def roc_curves(curves: Mapping[str, pd.DataFrame], at: float = 1e-2) -> Figure:
    """Receiver operating characteristic of one or several rows, rates in percent, x logarithmic.

    curves: by name, what ``evaluate.roc_curve`` returns. at: the false accept rate whose true
    accept rate stands in the legend. The axis begins where one wrong pair is accepted; the dashed
    line is what a random distance gives.
    """
    if not curves:
        raise ReidError("roc_curves: there is no curve to draw")
    low = max(
        max(float(curve.fpr.min()), 1 / float(curve.num_different.iloc[0]))
        for curve in curves.values()
    )
    figure, axis = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for name, curve in curves.items():
        rate = float(np.interp(np.log(at), np.log(curve.fpr), curve.tpr))
        label = f"{name}: {100 * rate:.1f} at {100 * at:g} %"
        axis.plot(100 * curve.fpr, 100 * curve.tpr, drawstyle="steps-post", label=label)
    chance = np.geomspace(low, 1, 50)
    axis.plot(100 * chance, 100 * chance, "--", color="0.6", lw=1, label="random distance")
    axis.set(
        title="ROC",
        xscale="log",
        xlabel="false accept rate: wrong pairs accepted (%)",
        ylabel="true accept rate (%)",
        xlim=(100 * low, 100),
        ylim=(0, 101),
    )
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure
