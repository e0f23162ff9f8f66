"""A notebook as a page of the site: its text, its code folded, and the committed figures and tables
where its cells make them."""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.system.files import root
from reidlib.workbook import published, summary_tables, tables
from reidlib.workbook.cells import WebTable
from reidlib.workbook.collected import (
    PAPERS,
    Paper,
    Table,
    is_tidy,
    once,
    table_title,
    trained_under,
)
from reidlib.workbook.markup import code, local, markdown
from reidlib.workbook.summary import sentences
from reidlib.workbook.words import DRAWN, NOTHING_TRAINED, REAL, VERDICTS, count

NAMES = {"00_quickstart": "Quickstart", **{p.notebook: p.label for p in PAPERS.values()}}
NOTEBOOKS = tuple(NAMES)
LONG = 20  # a table that is no paper's is folded if it has more rows
# figures of the papers that no page shows: (paper, figure) -> why
NOT_SHOWN: dict[tuple[str, str], str] = {}


@dataclass
class Picture:
    """A figure on a page: its file below the site, what it shows, and what lies under it."""

    file: str
    alt: str
    caption: str
    under: str
    width: int
    height: int
    badge: str = ""


@dataclass
class Part:
    """A piece of a notebook's page; ``kind`` says which of the others is filled."""

    kind: str  # html, card, code, figure, table
    html: str = ""
    figure: Picture | None = None
    table: WebTable | None = None
    fold: bool = False


def not_shown(base: Path | None = None) -> dict[tuple[str, str], str]:
    """The papers' figures that no page shows, and why: (paper, figure) -> reason."""
    base = base or root()
    missing = {}
    for paper, figure in zip(*(_figures()[c] for c in ("paper", "figure")), strict=True):
        if not any(figure in numbers for numbers in _numbers(base, PAPERS[paper].notebook)):
            missing[paper, figure] = NOT_SHOWN.get((paper, figure), "")
    return missing


def notebook_parts(
    base: Path, to: Path, notebook: str, found: Sequence[Table], claims: pd.DataFrame
) -> Iterator[Part | dict[str, Any]]:
    """A notebook's page in order: what is known of the paper, then its cells with what they made,
    then what no cell names, then printed tables that were not measured."""
    cells = cells_of(base, notebook)
    paper = notebook[3:]
    mine = [table for table in found if table.notebook == notebook and table.name != "claims"]
    pictures = sorted(path.stem for path in (to / "figures").glob(f"{notebook}_*.png"))
    names = dict.fromkeys(table.name for table in mine)
    figures = {name.removeprefix(f"{notebook}_"): name for name in pictures}
    made = places(cells, [*names, *figures])
    known = {f"{name}.html" for name in (*NOTEBOOKS, "summary", "index")}
    heading = NAMES[notebook]
    printed: set[tuple[str, str]] = set()
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            source = "".join(cell["source"])
            if title := re.search(r"^#+ (.+)$", source, re.M):
                heading = title[1]
            yield Part("html", local(markdown(source), known))
            if number == 0 and paper in PAPERS:
                card = card_of(PAPERS[paper], claims)
                claimed = [t for t in found if t.notebook == notebook and t.name == "claims"]
                card["claims"].sources = [table.path.name for table in claimed]
                yield card
            continue
        yield Part("code", code("".join(cell["source"])))
        for name in made.get(number, []):
            measured = _measured(cell, name)
            if name in figures:
                under = _under(found, notebook, name, measured)
                picture = _picture(to, figures[name], heading, under, measured)
                yield Part("figure", figure=picture)
            if name in names:
                said = _said(cell, name)
                yield from _table_parts(paper, name, mine, printed, said, measured)
    left = [name for name in [*names, *figures] if not any(name in some for some in made.values())]
    if left:
        yield Part("html", "<h2>More of the study</h2>")
    for name in left:
        if name in figures:
            under = _under(found, notebook, name, True)
            yield Part("figure", figure=_picture(to, figures[name], "", under, True))
        if name in names:
            yield from _table_parts(paper, name, mine, printed, "", True)
    yield from _printed_only(paper, printed)


def places(cells: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[int, list[str]]:
    """Which cell makes which figure or table: number of the cell -> names, in order.

    A name belongs to the first cell that gives it to a call as a text (an f-string is read as a
    pattern), a call of ``report`` before any other. Names that no cell gives are left out.
    """
    best: dict[str, tuple[int, int, int]] = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        for call in ast.walk(_tree(cell)):
            if not isinstance(call, ast.Call):
                continue
            of_report = "report" in ast.dump(call.func)
            for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
                for name in names:
                    if _gives(argument, name):
                        place = (not of_report, number, call.lineno)
                        best[name] = min(best.get(name, place), place)
    cell_of: dict[int, list[str]] = {}
    for name, (_, number, _) in sorted(best.items(), key=lambda item: (item[1][1:], item[0])):
        cell_of.setdefault(number, []).append(name)
    return cell_of


def _gives(argument: ast.expr, name: str) -> bool:
    if isinstance(argument, ast.Constant):
        return argument.value == name
    if isinstance(argument, ast.JoinedStr):
        pieces = [
            re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else ".+"
            for piece in argument.values
        ]
        pattern = "".join(pieces)
        return len(pattern.replace(".+", "")) >= 3 and re.fullmatch(pattern, name) is not None
    return False


def _said(cell: Mapping[str, Any], name: str) -> str:
    """The title that a cell gives to a table: the sentence in the call that names it, else the
    cell's variable ``title``; "" if there is none."""
    for node in ast.walk(_tree(cell)):
        if isinstance(node, ast.Call) and any(_gives(a, name) for a in node.args):
            titles = [keyword.value for keyword in node.keywords if keyword.arg == "title"]
            for argument in [*titles, *node.args]:
                if isinstance(argument, ast.Constant) and " " in str(argument.value):
                    return str(argument.value)
        titled = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "title"
        if titled and isinstance(node.value, ast.Constant):  # type: ignore[attr-defined]
            return str(node.value.value)  # type: ignore[attr-defined]
    return ""


def _measured(cell: Mapping[str, Any], name: str) -> bool:
    """Whether the call that names a table or figure does not say ``measured=False``."""
    for node in ast.walk(_tree(cell)):
        if isinstance(node, ast.Call) and any(_gives(a, name) for a in node.args):
            for keyword in node.keywords:
                if keyword.arg == "measured" and isinstance(keyword.value, ast.Constant):
                    return bool(keyword.value.value)
    return True


def _tree(cell: Mapping[str, Any]) -> ast.Module:
    lines = "".join(cell["source"]).splitlines()
    return ast.parse("\n".join("" if re.match(r"\s*[%!]", line) else line for line in lines))


def cells_of(base: Path, notebook: str) -> list[Mapping[str, Any]]:
    import nbformat

    read = nbformat.read(base / "notebooks" / f"{notebook}.ipynb", as_version=4)
    return list(read.cells)


def _table_parts(
    paper: str,
    name: str,
    mine: Sequence[Table],
    printed: set[tuple[str, str]],
    said: str,
    measured: bool,
) -> Iterator[Part]:
    """A table as the site shows it; notes in ``printed`` which printed values stand in it."""
    here = [table for table in mine if table.name == name]
    title = said or name.replace("_", " ").capitalize()
    source = f"{paper}_{name.split('_')[0]}"
    tidy, others = {}, []
    for table in here:
        twice = sum(other.data == table.data for other in here) > 1
        frame = table.read()
        if is_tidy(frame):
            tidy[f"{table.data}, {table.profile}" if twice else table.data] = frame
        else:
            others.append((table, frame))
    if tidy:
        theirs = None
        on = list({str(d) for frame in tidy.values() for d in frame["published_on"].dropna()})
        if source in published.files() and len(on) == 1:
            theirs = published.table(source, on[0])
            printed.add((source, on[0]))
        shown = tables.results(title, tidy, theirs)
        shown.sources = [t.path.name for t in here if t.path.name not in
                         [other.path.name for other, _ in others]]  # fmt: skip
        shown.sources += [f"{source}.csv"] * (theirs is not None)
        yield Part("table", table=shown, fold=theirs is None and len(shown.rows) > LONG)
    for number, (table, frame) in enumerate(others):
        shown = tables.plain(title, frame, table.data if measured else "")
        shown.sources = [table.path.name]
        yield Part("table", table=shown, fold=number > 0 or len(shown.rows) > LONG)


def _printed_only(paper: str, seen: set[tuple[str, str]]) -> Iterator[Part]:
    """What a paper prints and no table above shows."""
    files = {n: f for n, f in sorted(published.files().items()) if n.startswith(f"{paper}_")}
    if files:
        text = "Values as they are printed, on other datasets or never measured here."
        yield Part("html", f"<h2>Also printed</h2><p>{text}</p>")
    for name in files:
        frame = pd.read_csv(files[name])
        label = "Numbers in the text" if name.endswith("_text") else table_title(name)
        shown: list[WebTable] = []
        if name.endswith("_text") or not {"row", "dataset", "metric", "value"} <= set(frame):
            shown.append(tables.plain(f"{label}, as printed", frame))
        else:
            for dataset, some in frame.groupby("dataset", sort=False):
                if (name, dataset) not in seen:
                    on = "" if dataset == "none" else f" on {dataset}"
                    shown.append(tables.results(f"{label} as printed{on}", {}, some))
        for table in shown:
            table.sources = [f"{name}.csv"]
            yield Part("table", table=table, fold=True)


def card_of(paper: Paper, claims: pd.DataFrame) -> dict[str, Any]:
    """A paper's verdicts on drawn and on real people, three sentences, and its table of claims."""
    mine = once(claims[claims["paper"] == paper.name])
    halves = []
    for data, badge in ((DRAWN, "drawn"), (REAL, "real")):
        some = mine[mine["data"] == data]
        trained = some[some["setting"] != ""]
        under = ""
        if len(trained):
            one = trained.iloc[0]
            seeds = count(trained["seeds"].max(), "seeds")
            under = f"{one['setting']}, {one['regime']}, {seeds}"
        counts = some["verdict"].value_counts().reindex(list(VERDICTS), fill_value=0)
        halves.append({"data": data, "badge": badge, "under": under, "counts": dict(counts)})
    caption = f"Claims of {paper.label}"
    table = summary_tables.claims(mine, f"claims-{paper.name}", caption, with_paper=False)
    return {
        "kind": "card",
        "paper": paper,
        "halves": halves,
        "sentences": sentences(claims, paper.name),
        "claims": table,
    }


def _picture(to: Path, stem: str, heading: str, under: str, measured: bool) -> Picture:
    """A committed figure: what the paper's figure of that number shows, else its section."""
    paper, name = stem[3:].split("_", 1)
    match = re.match(r"fig(\d+)", name)
    number = match[1] if match else ""
    shows = _figures()
    known = shows[(shows["paper"] == paper) & (shows["figure"] == number)]
    if len(known):
        caption = f"Fig. {number}: {known.iloc[0]['shows']}"
    else:
        caption = f"{heading or NAMES[stem.split('_' + name)[0]]}: {name.replace('_', ' ')}"
    size = size_of(to / "figures" / f"{stem}.png")
    alt = f"{caption}. Measured on drawn people." if measured else f"{caption}."
    badge = "drawn" if measured else ""
    return Picture(f"figures/{stem}.png", alt, f"{caption}.", under, *size, badge)


def _under(found: Sequence[Table], notebook: str, name: str, measured: bool) -> str:
    """The line below a figure: network, size, steps and seeds of what it shows, which is the table
    of its name if there is one."""
    if not measured:
        return NOTHING_TRAINED
    mine = [table for table in found if table.notebook == notebook and table.data == DRAWN]
    own = [table for table in mine if table.name == name and is_tidy(table.read())]
    about = trained_under(mine[0], own or found)
    seeds = count(about["seeds"], "seeds")
    under = f"{about['setting']}, {about['regime']}, {seeds}"
    return f"Drawn people; {'' if own else 'where trained networks are shown: '}{under}."


@cache
def _figures() -> pd.DataFrame:
    """The papers' figures: paper, figure, shows, kind."""
    return pd.read_csv(Path(__file__).with_name("figures.csv"), dtype=str)


def _numbers(base: Path, notebook: str) -> list[list[str]]:
    """The figures that the headings of a notebook name."""
    sources = [
        "".join(c["source"]) for c in cells_of(base, notebook) if c["cell_type"] == "markdown"
    ]
    headings = [h for source in sources for h in re.findall(r"^#+ (.+)$", source, re.M)]
    return [_figure_numbers(heading) for heading in headings]


def _figure_numbers(heading: str) -> list[str]:
    """``["1", "3", "4"]`` of "(Figs. 1, 3 and 4)", all of "(Figs. 7 to 11)"."""
    match = re.search(r"\bFigs?\. ([\d, andto]+)", heading)
    if not match:
        return []
    numbers = [int(n) for n in re.findall(r"\d+", match[1])]
    if " to " in match[1]:
        numbers = list(range(numbers[0], numbers[-1] + 1))
    return [str(n) for n in numbers]


def size_of(png: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    with png.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:24])
    return int(width), int(height)
