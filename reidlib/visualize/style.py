"""One look for all figures: theme, file, and the words around a drawing."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

DARK = "#30343b"
NOTE = "note"  # the name of the line below a figure


def use_style() -> None:
    """Sets the workbook's look for all figures drawn from here on."""
    sns.set_theme(style="whitegrid", context="notebook", palette="deep")
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )


def file_of(figure: Figure, suffix: str) -> bytes:
    """A figure as the content of a ``png`` or ``svg`` file; the same picture is the same file."""
    buffer = io.BytesIO()
    meta = {"Date": None} if suffix == "svg" else {"Software": "reidlib"}  # no date, a fixed salt
    with plt.rc_context({"svg.hashsalt": "reidlib"}):
        figure.savefig(buffer, format=suffix, dpi=110, bbox_inches="tight", metadata=meta)
    return buffer.getvalue()


def note(figure: Figure, text: str) -> Text:
    """A line below the whole figure, such as its data, network, steps and seeds.

    It lies beneath the canvas, where it covers nothing; ``file_of`` and notebooks show it.
    """
    wide = max(40, int(14 * figure.get_figwidth()))  # characters of this size
    text = "\n".join(textwrap.fill(line, wide) for line in text.splitlines())
    look: dict[str, Any] = {
        "ha": "left",
        "va": "top",
        "fontsize": "x-small",
        "color": "#555555",
        "gid": NOTE,
    }
    return figure.text(0.01, -0.01, text, **look)


def has_note(figure: Figure) -> bool:
    """Whether ``note`` wrote below the figure."""
    return any(text.get_gid() == NOTE for text in figure.texts)


def side(axis: Axes, text: str, at: float = 0.5, *, x: float = -0.08, **options: Any) -> Text:
    """Words at the left of a panel, turned upwards; at, x: where, (0, 0) is its lower left corner.

    options: of matplotlib's text.
    """
    look: dict[str, Any] = {"fontsize": "small", "rotation": 90, "ha": "right", "va": "center"}
    return axis.text(x, at, text, transform=axis.transAxes, **look | options)


def legend(figure: Figure, lines: Mapping[str, Any], place: str = "lower", **options: Any) -> None:
    """A legend across the ``lower`` or ``upper`` edge: what it says -> a colour, or what is shown.

    options: of ``figure.legend``.
    """
    handles = [Line2D([], [], color=x, lw=2) if isinstance(x, str) else x for x in lines.values()]
    look: dict[str, Any] = {"ncols": len(lines), "frameon": False, "fontsize": "small"}
    look |= {"loc": f"outside {place} center"} | options
    figure.legend(handles, list(lines), **look)
