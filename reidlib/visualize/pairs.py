"""Partial probes beside whole images, and overlap against the strength of the ReID module."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reidlib.data import Dataset
from reidlib.data.decode import decode
from reidlib.visualize.people import TILE
from reidlib.visualize.style import show

CUT = "#ffd166"


def partial_triples(dataset: Dataset, n: int = 6) -> Figure:
    """STNReID's Fig. 1: a gallery image of a person, the probe's whole image, the partial probe.

    dataset: with partial queries whose column ``box`` says what was cut out (yellow).
    """
    people = dataset.query.drop_duplicates("pid")
    people = people.iloc[:: max(1, len(people) // n)][:n]
    first = dataset.gallery.drop_duplicates("pid").set_index("pid").path
    figure, axes = plt.subplots(
        3, len(people), figsize=(1.15 * len(people), 6.4), layout="constrained", squeeze=False
    )
    height, width = TILE
    for column, row in enumerate(people.to_dict("records")):
        x0, y0, x1, y1 = row["box"]
        show(axes[0, column], decode(first[row["pid"]], TILE))
        show(axes[1, column], decode(row["path"], TILE))
        show(axes[2, column], decode(row["path"], TILE, row["box"]))
        corner = ((x0 + 1) * width / 2, (y0 + 1) * height / 2)
        size = ((x1 - x0) * width / 2, (y1 - y0) * height / 2)
        axes[1, column].add_patch(Rectangle(corner, *size, fill=False, ec=CUT, lw=2.5))
    for axis, label in zip(axes[:, 0], ("gallery", "probe, whole", "probe, partial"), strict=True):
        axis.text(-0.1, 0.5, label, rotation=90, ha="right", va="center", transform=axis.transAxes)
    return figure


def overlap_by_row(table: pd.DataFrame) -> Figure:
    """Mean overlap with the true patch, one line for each kind of pairs, against the rows.

    table: of ``patches.overlap_table``. Dashed: the identity transform, which reads all of it. Bars
    are the 95 % interval over pairs, faint bands the standard deviation over seeds.
    """
    figure, axis = plt.subplots(figsize=(8.4, 4), layout="constrained")
    kinds = list(dict.fromkeys(table["of"]))
    for k, (of, colour) in enumerate(zip(kinds, sns.color_palette("deep"), strict=False)):
        some = table[table["of"] == of]
        line = some[some["row"] != "identity"].reset_index(drop=True)
        x = line.index + 0.06 * (k - (len(kinds) - 1) / 2)
        bars = [line["mean"] - line["low"], line["high"] - line["mean"]]
        axis.errorbar(x, line["mean"], yerr=bars, fmt="o-", color=colour, capsize=3, label=of)
        if line["sd"].notna().all():
            low, high = line["mean"] - line["sd"], line["mean"] + line["sd"]
            axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        same = some.loc[some["row"] == "identity", "mean"].item()
        axis.axhline(same, color=colour, ls="--", lw=1)
        axis.set_xticks(line.index, line["row"])
    axis.plot([], [], "--", color="#555555", lw=1, label="identity transform")
    axis.set(ylabel="overlap (IoU) with the true patch", title="Does the STN find the patch?")
    axis.legend(title="holistic image of the", loc="center left", bbox_to_anchor=(1, 0.5),
                frameon=False)  # fmt: skip
    return figure
