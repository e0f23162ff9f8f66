"""Two figures of the summary: printed against measured effects, and which claims came again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from reidlib.workbook.collected import PAPERS, POINTS
from reidlib.workbook.words import DRAWN, REAL, VERDICTS, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gains_figure(frame: pd.DataFrame) -> Figure:
    """Printed against measured gain of every claim that has both, in points: a dot with its 95 %
    interval, drawn people left, real people right; on the dashed diagonal they are equal."""
    import matplotlib.pyplot as plt

    from reidlib.visualize.style import note

    known = frame[
        frame["low"].notna() & frame["printed"].notna() & frame["unit"].str.fullmatch(POINTS)
    ]
    figure, panels = plt.subplots(1, 2, figsize=(12, 6), sharex=True, sharey=True)
    for axes, data in zip(panels, (DRAWN, REAL), strict=True):
        _gains(axes, known[known["data"] == data])
        axes.set_title(f"{data}, {int((known['data'] == data).sum())} claims")
        axes.set_xlabel("printed effect (points)")
    panels[0].set_ylabel("measured effect (points)")
    marks, names = panels[0].get_legend_handles_labels()
    figure.legend(marks, names, loc="upper center", ncols=len(names), fontsize="small")
    note(figure, under(frame))
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    return figure


def _gains(axes: Axes, some: pd.DataFrame) -> None:
    ticks = [-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20]
    axes.axhline(0, color="#999999", lw=1)
    axes.plot([-35, 35], [-35, 35], "--", color="#555555", lw=1)
    for verdict, (_, colour) in VERDICTS.items():
        one = some[some["verdict"] == verdict]
        if len(one):
            bars = [one["measured"] - one["low"], one["high"] - one["measured"]]
            axes.errorbar(one["printed"], one["measured"], yerr=bars, fmt="o", ms=6, color=colour,
                          alpha=0.85, elinewidth=1.2, label=verdict)  # fmt: skip
    axes.set_xscale("symlog", linthresh=2)
    axes.set_yscale("symlog", linthresh=2)
    axes.set_xticks(ticks, [f"{t:+d}" if t else "0" for t in ticks], fontsize="small")
    axes.set_yticks(ticks, [f"{t:+d}" if t else "0" for t in ticks], fontsize="small")
    axes.set_xlim(-30, 35)
    axes.set_ylim(-30, 40)
    axes.minorticks_off()


def verdicts_figure(frame: pd.DataFrame) -> Figure:
    """Which claims came again: a tile for each claim, numbered as in the table, in the colour and
    with the sign of its verdict; drawn people above, real people below."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch, Rectangle

    from reidlib.visualize.style import note

    per_line = 20
    longest = {name: int(frame[frame["paper"] == name]["number"].max()) for name in PAPERS}
    heights = [2 * -(-longest[name] // per_line) for name in PAPERS]
    figure, panels = plt.subplots(
        len(PAPERS), 1, figsize=(11, 0.42 * sum(heights) + 3.5), height_ratios=heights
    )
    for axes, (name, paper), height in zip(panels, PAPERS.items(), heights, strict=True):
        for _, claim in frame[frame["paper"] == name].iterrows():
            place, column = divmod(int(claim["number"]) - 1, per_line)
            y = 2.4 * place + (claim["data"] == REAL)
            sign, colour = VERDICTS[claim["verdict"]]
            axes.add_patch(Rectangle((column, y), 0.94, 0.92, color=colour))
            dark = claim["verdict"] in ("not testable here", "too short to judge")
            axes.text(column + 0.47, y + 0.48, f"{claim['number']} {sign}", ha="center",
                      va="center", fontsize=8, color="black" if dark else "white")  # fmt: skip
        axes.set_xlim(0, per_line)
        axes.set_ylim(1.2 * height, -0.1)
        axes.set_title(paper.label)
        axes.set_xticks([])
        places = [2.4 * (line // 2) + line % 2 + 0.45 for line in range(height)]
        axes.set_yticks(places, ["drawn", "real"] * (height // 2), fontsize=8)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    marks = [Patch(color=c, label=f"{sign} {name}") for name, (sign, c) in VERDICTS.items()]
    figure.legend(handles=marks, loc="upper center", ncols=len(marks), fontsize="small")
    note(figure, under(frame))
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    return figure


def under(frame: pd.DataFrame) -> str:
    """What a picture of claims rests on: data, network, steps and seeds of each paper."""
    lines = []
    trained = frame[frame["setting"] != ""]
    for data, some in trained.groupby("data", sort=True):
        parts = []
        for name, one in some.groupby("paper", sort=False):
            seeds = count(one["seeds"].max(), "seeds")
            parts.append(f"{PAPERS[str(name)].label} {one['setting'].iloc[0]}, {seeds}")
        middle = -(-len(parts) // 2)
        lines += [f"{data}: {'; '.join(parts[:middle])};", f"    {'; '.join(parts[middle:])}"]
    return "\n".join(lines)
