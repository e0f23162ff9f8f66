"""How well stripes meet the true parts of the body, against the detector's error."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

COLUMNS = {
    "share": "share of a stripe on its part (%)",
    "cut_spread": "spread of the cuts (% of body)",
}


def stripe_shares(table: pd.DataFrame) -> Figure:
    """One column a number of stripes, one line a path and way of cutting.

    table: rows of ``alignment.alignment_table`` with a column ``x``, the detector's error. Above:
    how much of a stripe lies on the part it is meant to show (mean over images and stripes, higher
    is better); below: by how much the cuts wander over the body from image to image (lower is).
    """
    numbers = sorted(table.stripes.unique())
    figure, axes = plt.subplots(
        len(COLUMNS), len(numbers), figsize=(5.2 * len(numbers), 6.4), layout="constrained",
        squeeze=False, sharex=True, sharey="row",
    )  # fmt: skip
    colours = dict(zip(("uniform", "balanced"), sns.color_palette("deep"), strict=False))
    for row, (column, label) in zip(axes, COLUMNS.items(), strict=True):
        for axis, n in zip(row, numbers, strict=True):
            some = table[table.stripes == n]
            for (path, partition), line in some.groupby(["path", "partition"], sort=False):
                if partition == "uniform" and path != some.path.iloc[0]:
                    continue  # equal stripes do not depend on the path
                name = "equal stripes" if partition == "uniform" else f"balanced, {path} path"
                style = "--" if path == "receptive" else "-"
                axis.plot(line.x, 100 * line[column], style, marker="o", ms=4, label=name,
                          color=colours[str(partition)])  # fmt: skip
            axis.set(ylabel=label if axis is row[0] else "", ylim=(0, None))
            if row is axes[0]:
                axis.set_title(f"{n} stripes")
    for axis in axes[-1]:
        axis.set_xlabel("detector's error (s.d., widths and heights)")
    axes[0, -1].legend(fontsize="small")
    return figure
