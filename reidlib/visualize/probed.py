"""What a linear probe reads of people's attributes, features x attributes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure


def probed(table: pd.DataFrame) -> Figure:
    """A heat map of the rows of ``attributes.attribute_probe``, in their order.

    Each cell: balanced accuracy in percent and its interval; its colour how much of the way from
    chance to 100 that is. Where the interval reaches chance the numbers are grey. Below each
    attribute its chance.
    """
    order = {name: list(dict.fromkeys(table[name])) for name in ("feature", "attribute")}

    def grid(values: pd.Series) -> pd.DataFrame:
        given = table.assign(value=values).pivot(
            index="feature", columns="attribute", values="value"
        )
        return given.loc[order["feature"], order["attribute"]]

    way = grid((table.accuracy - table.chance) / (100 - table.chance))
    text = grid(table.apply(lambda r: f"{r.accuracy:.0f}\n{r.low:.0f}–{r.high:.0f}", axis=1))
    chance = table.drop_duplicates("attribute").set_index("attribute").chance
    rows, columns = way.shape
    figure, axis = plt.subplots(
        figsize=(1.0 * columns + 3.0, 0.75 * rows + 1.6), layout="constrained"
    )
    sns.heatmap(
        way, annot=text, fmt="", vmin=0, vmax=1, cmap="viridis", linewidths=1, ax=axis,
        annot_kws={"fontsize": "small"}, cbar_kws={"label": "from chance (0) to 100 % (1)"},
    )  # fmt: skip
    within = grid(table.low <= table.chance).to_numpy().ravel()
    for label, weak in zip(axis.texts, within, strict=True):
        if weak:
            label.set(color="0.65", style="italic")
    names = [f"{name}\n(chance {chance[name]:.0f})" for name in way.columns]
    axis.set_xticklabels(names, rotation=35, ha="right")
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="y", rotation=0)
    return figure
