"""How well PPCL's modules find true regions: overlap by row, and against the cycle error."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure


def region_overlaps(table: pd.DataFrame) -> Figure:
    """Mean IoU with the true region by row, a colour for each kind of reference.

    table: of ``regions.region_table``. Of a row with a locator CRLoc's region is shown, of another
    one GLRec's box. Dotted: the whole frame. Bars: 95 % interval over pairs.
    """
    figure, axis = plt.subplots(figsize=(9.5, 3.8), layout="constrained")
    kinds = list(dict.fromkeys(table["of"]))
    found = table[table["measure"].isin(["rectified", "located"])]
    found = found.sort_values("measure", kind="stable").drop_duplicates(["row", "of"])
    names = [name for name in dict.fromkeys(table["row"]) if name != "whole frame"]
    for k, (of, colour) in enumerate(zip(kinds, sns.color_palette("deep"), strict=False)):
        own = found[found["of"] == of].set_index("row")
        line = own.loc[names]
        x = np.arange(len(names)) + 0.16 * (k - (len(kinds) - 1) / 2)
        bars = np.clip([line["mean"] - line["low"], line["high"] - line["mean"]], 0, None)
        axis.errorbar(x, line["mean"], yerr=bars, fmt="o", color=colour, capsize=3, label=of)
        axis.axhline(own.loc["whole frame", "mean"], color=colour, ls=":", lw=1)
    axis.set_xticks(range(len(names)), [name.replace(" w/ ", "\nw/ ") for name in names])
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.set(ylabel="IoU with the true region", title="Are the true regions found?")
    axis.grid(axis="x", visible=False)
    axis.plot([], [], ":", color="#555555", lw=1, label="the whole frame")
    axis.legend(title="reference image", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def cycle_overlaps(tables: dict[str, pd.DataFrame]) -> Figure:
    """Overlap of CRLoc's region by the cycle error of its pairs, sorted by it in parts of one size,
    a line a row.

    tables: name -> ``regions.cycle_table``. Bars: 95 % interval over the pairs of a part.
    """
    figure, axis = plt.subplots(figsize=(7.6, 3.6), layout="constrained")
    parts = max(len(table) for table in tables.values())
    for k, (name, table) in enumerate(tables.items()):
        bars = np.clip([table["located"] - table["low"], table["high"] - table["located"]], 0, None)
        x = np.arange(len(table)) + 0.08 * (k - (len(tables) - 1) / 2)
        label = f"{name}: {table['cycle'].iloc[0]:.2g} to {table['cycle'].iloc[-1]:.2g}"
        axis.errorbar(x, table["located"], yerr=bars, fmt="o-", capsize=3, label=label)
    axis.set_xticks(range(parts), ["least", *[""] * (parts - 2), "largest"])
    axis.set(
        xlabel=f"cycle error of the pairs, in {parts} parts", ylabel="IoU with the true region"
    )
    axis.set_title("Does a small cycle error mean a right region?")
    axis.legend(title="mean cycle error", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure
