"""A table as plain cells, which notebooks and the site draw alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reidlib.workbook.words import DRAWN, REAL, VERDICTS, dashed

TEMPLATES = Path(__file__).with_name("templates")


@dataclass
class Cell:
    """What a cell shows: text, small lines below it, a value to sort by, a tool tip, a mark."""

    text: str = ""
    sub: str = ""
    sort: float | str | None = None
    cls: str = ""
    title: str = ""
    colour: str = ""
    mark: str = ""  # "gain" or "loss"


@dataclass
class Row:
    cells: list[Cell]
    cls: str = ""
    data: dict[str, str] = field(default_factory=dict)


@dataclass
class Column:
    head: str
    cls: str = "num"
    word: str = ""  # left away where the page is narrow


@dataclass
class WebTable:
    """A table with a caption of one line. ``groups``: names over columns, with how many each spans.
    ``outcome``: sentences that say what came of it; ``note``: how to read it. Both stand below."""

    caption: str
    columns: list[Column]
    rows: list[Row]
    groups: list[tuple[str, int]] = field(default_factory=list)
    outcome: Sequence[str] = ()
    note: str = ""
    badge: str = ""  # "drawn", "real" or "both"
    id: str = ""
    sources: list[str] = field(default_factory=list)  # the files that it shows

    @property
    def badge_text(self) -> str:
        return {"drawn": DRAWN, "real": REAL, "both": f"{DRAWN} and {REAL}"}.get(self.badge, "")

    @property
    def quoted(self) -> int:
        return sum(row.cls == "quoted" for row in self.rows)

    def to_html(self) -> str:
        """The table for a notebook, with its style."""
        return str(_template("notebook.html").render(table=self))

    _repr_html_ = to_html

    def __repr__(self) -> str:
        lines = [" | ".join(cell.text for cell in row.cells) for row in self.rows]
        return "\n".join([self.caption, " | ".join(c.head for c in self.columns), *lines])


def verdict_cell(verdict: str, sub: str = "", title: str = "") -> Cell:
    """A verdict with its sign and in its colour."""
    sign, colour = VERDICTS[verdict]
    return Cell(f"{sign} {verdict}", dashed(sub), verdict, title=title, colour=colour)


@cache
def _template(name: str) -> Any:
    return environment().get_template(name)


@cache
def environment() -> Any:
    """Jinja's, of this folder's templates; a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
