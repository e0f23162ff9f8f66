"""The site: committed tables and figures as static pages, ``python -m reidlib.workbook.site``.

Nothing is trained and nothing is loaded from a network. A notebook's page is the stored notebook,
its code folded, with the committed study's figures and tables where its cells make them.
"""

from __future__ import annotations

import argparse
import ast
import html
import io
import re
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write, root
from reidlib.workbook import published, summary, webtables
from reidlib.workbook.summary import DRAWN, PAPERS, REAL, Table

TEMPLATES = Path(__file__).with_name("templates")
NAMES = {"00_quickstart": "Quickstart", **{p.notebook: p.label for p in PAPERS.values()}}
NOTEBOOKS = tuple(NAMES)
LONG = 20  # a table that is no paper's is folded if it has more rows
MEANING = {
    "holds": "the effect is there, and chance does not explain it",
    "reversed": "the effect goes the other way, or another number was counted",
    "too small to tell": "chance explains what was measured",
    "too short to judge": "fewer than two trainings, or one that did not get far enough",
    "not testable here": "nothing at hand can decide it",
}
# figures of the papers that no page shows: (paper, figure) -> why
NOT_SHOWN = {
    ("stnreid", "2"): "It is the framework as a diagram. The notebook draws its two stages as "
    "Fig. 3 and lists the transformer layer by layer as Table 1.",
}
REAL_PICTURES = (
    "Figures that a notebook draws of Market-1501 show real people. They stay on the machine that "
    "made them; the tables measured on these people are shown."
)
INTRO = """
<p>Five papers on person re-identification were implemented again and measured again. Their
<strong>claims</strong>, sentences that can be checked, were judged on
<strong>drawn people</strong>, whose true geometry is known, and on <strong>real people</strong>,
the Market-1501 dataset. The networks here are smaller and trained for a shorter time than those of
the papers, and each card says how. Results under “random weights, short training” are from the
earlier, short regime; the papers start from ImageNet weights.</p>
<p><a href="figures/00_quickstart_people.png"><img src="figures/00_quickstart_people.png"
alt="Ten drawn people, each as four cameras saw them" width="{width}" height="{height}"></a></p>
<p><a href="summary.html">The summary</a> lists all claims and all rows.
A plain network is explained step by step in the <a href="00_quickstart.html">quickstart</a>.</p>
"""


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
    table: webtables.WebTable | None = None
    fold: bool = False


def build(to: Path, base: Path | None = None) -> list[Path]:
    """Writes the site into a folder, which it empties first; the pages, sorted.

    Raises ReidError if the folder holds something that is no site.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    base = base or root()
    if to.exists() and any(to.iterdir()) and not (to / "site.js").is_file():
        raise ReidError(f"{to} is not empty and holds no site: name another folder")
    shutil.rmtree(to, ignore_errors=True)
    (to / "figures").mkdir(parents=True)
    for name in ("style.css", "site.js"):
        shutil.copyfile(TEMPLATES / name, to / name)
    for picture in sorted((base / "figures" / "study").glob("*.png")):
        if not picture.name.startswith("90_"):  # the summary is drawn anew
            shutil.copyfile(picture, to / "figures" / picture.name)
    documents = sorted((base / "docs").glob("*.md"))
    titles = {path: _title(path) for path in documents}
    pages = [("index.html", "Overview"), ("summary.html", "Summary")]
    pages += [(f"{notebook}.html", name) for notebook, name in NAMES.items()]
    pages += [(f"{path.stem}.html", titles[path]) for path in documents]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    template = environment.get_template("page.html")
    found = summary.tables(base=base / "reports")
    claims = summary.claims(found)

    def write(file: str, **content: Any) -> None:
        text = template.render(here=file, pages=pages, verdicts=summary.VERDICTS,
                               meaning=MEANING, papers={n: p.label for n, p in PAPERS.items()},
                               **content)  # fmt: skip
        atomic_write(to / file, text)

    write("index.html", **_index(to, claims))
    write("summary.html", **_summary(to, found, claims))
    for notebook in NOTEBOOKS:
        title = f"{NAMES[notebook]}: tables, figures and code"
        parts = list(notebook_parts(base, to, notebook, found, claims))
        write(f"{notebook}.html", kind="paper", title=title, parts=parts)
    known = {file for file, _ in pages}
    for path in documents:
        body = _local(_markdown(path.read_text(encoding="utf-8")), known)
        write(f"{path.stem}.html", kind="text", title=titles[path], body=body)
    _colours(to)
    return sorted(to.glob("*.html"))


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
    cells = _cells(base, notebook)
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
            yield Part("html", _local(_markdown(source), known))
            if number == 0 and paper in PAPERS:
                card = _card(PAPERS[paper], claims)
                claimed = [t for t in found if t.notebook == notebook and t.name == "claims"]
                card["claims"].sources = [table.path.name for table in claimed]
                yield card
            continue
        yield Part("code", _code("".join(cell["source"])))
        for name in made.get(number, []):
            if name in figures:
                under = _under(found, notebook)
                yield Part("figure", figure=_picture(to, figures[name], heading, under))
            if name in names:
                yield from _table_parts(paper, name, mine, printed, _said(cell, name))
    left = [name for name in [*names, *figures] if not any(name in some for some in made.values())]
    if left:
        yield Part("html", "<h2>More of the study</h2>")
    for name in left:
        if name in figures:
            under = _under(found, notebook)
            yield Part("figure", figure=_picture(to, figures[name], "", under))
        if name in names:
            yield from _table_parts(paper, name, mine, printed, "")
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


def _tree(cell: Mapping[str, Any]) -> ast.Module:
    lines = "".join(cell["source"]).splitlines()
    return ast.parse("\n".join("" if re.match(r"\s*[%!]", line) else line for line in lines))


def _cells(base: Path, notebook: str) -> list[Mapping[str, Any]]:
    import nbformat

    read = nbformat.read(base / "notebooks" / f"{notebook}.ipynb", as_version=4)
    return list(read.cells)


def _table_parts(
    paper: str, name: str, mine: Sequence[Table], printed: set[tuple[str, str]], said: str
) -> Iterator[Part]:
    """A table as the site shows it; notes in ``printed`` which printed values stand in it."""
    here = [table for table in mine if table.name == name]
    title = said or name.replace("_", " ").capitalize()
    source = f"{paper}_{name.split('_')[0]}"
    tidy, others = {}, []
    for table in here:
        twice = sum(other.data == table.data for other in here) > 1
        frame = table.read()
        if summary.is_tidy(frame):
            tidy[f"{table.data}, {table.profile}" if twice else table.data] = frame
        else:
            others.append((table, frame))
    if tidy:
        theirs = None
        on = list({str(d) for frame in tidy.values() for d in frame["published_on"].dropna()})
        if source in published.files() and len(on) == 1:
            theirs = published.table(source, on[0])
            printed.add((source, on[0]))
        shown = webtables.results(title, tidy, theirs)
        shown.sources = [t.path.name for t in here if t.path.name not in
                         [other.path.name for other, _ in others]]  # fmt: skip
        shown.sources += [f"{source}.csv"] * (theirs is not None)
        yield Part("table", table=shown, fold=theirs is None and len(shown.rows) > LONG)
    for number, (table, frame) in enumerate(others):
        shown = webtables.plain(title, frame, table.data)
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
        label = "Numbers in the text" if name.endswith("_text") else summary.table_title(name)
        tables = []
        if name.endswith("_text") or not {"row", "dataset", "metric", "value"} <= set(frame):
            tables.append(webtables.plain(f"{label}, as printed", frame))
        else:
            for dataset, some in frame.groupby("dataset", sort=False):
                if (name, dataset) not in seen:
                    on = "" if dataset == "none" else f" on {dataset}"
                    tables.append(webtables.results(f"{label} as printed{on}", {}, some))
        for table in tables:
            table.sources = [f"{name}.csv"]
            yield Part("table", table=table, fold=True)


def _index(to: Path, claims: pd.DataFrame) -> dict[str, Any]:
    width, height = _size(to / "figures" / "00_quickstart_people.png")
    missing = "".join(
        f"<li>{PAPERS[paper].label}, Fig. {figure}: {html.escape(why)}</li>"
        for (paper, figure), why in not_shown().items()
    )
    after = f"<h2>What is not shown</h2><ul>{missing}<li>{REAL_PICTURES}</li></ul>"
    cards = [{"file": f"{p.notebook}.html", **_card(p, claims)} for p in PAPERS.values()]
    return {
        "kind": "index",
        "title": "Five re-identification papers, measured again",
        "intro": INTRO.format(width=width, height=height),
        "cards": cards,
        "after": after,
    }


def _card(paper: summary.Paper, claims: pd.DataFrame) -> dict[str, Any]:
    """A paper's verdicts on drawn and on real people, three sentences, and its table of claims."""
    mine = summary.once(claims[claims["paper"] == paper.name])
    halves = []
    for data, badge in ((DRAWN, "drawn"), (REAL, "real")):
        some = mine[mine["data"] == data]
        trained = some[some["setting"] != ""]
        under = ""
        if len(trained):
            one = trained.iloc[0]
            seeds = summary.seeds_of(trained["seeds"].max())
            under = f"{one['setting']}, {one['regime']}, {seeds}"
        counts = some["verdict"].value_counts().reindex(list(summary.VERDICTS), fill_value=0)
        halves.append({"data": data, "badge": badge, "under": under, "counts": dict(counts)})
    caption = f"Claims of {paper.label}"
    table = webtables.claims(mine, f"claims-{paper.name}", caption, with_paper=False)
    return {
        "kind": "card",
        "paper": paper,
        "halves": halves,
        "sentences": summary.sentences(claims, paper.name),
        "claims": table,
    }


def _summary(to: Path, found: Sequence[Table], claims: pd.DataFrame) -> dict[str, Any]:
    import matplotlib.pyplot as plt

    from reidlib.visualize.style import file_of, use_style

    drawings = {
        "gains": (
            summary.gains_figure,
            "Printed against measured effect of each claim: a dot with its 95 % interval. On the "
            "dashed line both are equal; below zero the effect goes the other way",
        ),
        "verdicts": (
            summary.verdicts_figure,
            "Which claims came again: one tile a claim, numbered as in the table below, drawn "
            "people above and real people below",
        ),
    }
    pictures = []
    with plt.rc_context():
        use_style()
        for name, (draw, says) in drawings.items():
            drawn = draw(claims)
            file = to / "figures" / f"90_summary_{name}.png"
            atomic_write(file, file_of(drawn, "png"))
            plt.close(drawn)
            width, height = _size(file)
            pictures.append(Picture(f"figures/{file.name}", says, f"{says}.", "", width, height))
    rows = summary.rows_side_by_side(summary.rows(found))
    cells = _cells(root(), "90_summary")
    text = [c["source"] for c in cells if c["cell_type"] == "markdown"][:2]
    known = {f"{name}.html" for name in NOTEBOOKS}
    both = claims.drop_duplicates(["paper", "number"])
    trained = summary.counts(claims, "trained")
    return {
        "kind": "summary",
        "title": "Summary: what came again",
        "intro": _local(_markdown("\n\n".join(text).split("\n", 1)[1]), known),
        "counts": webtables.counts(summary.counts(claims), f"{len(claims)} verdicts"),
        "trained": webtables.counts(trained, "Without the claims that need no training"),
        "figures": pictures,
        "all_claims": webtables.claims(
            claims, "claims", f"{len(both)} claims of five papers", with_paper=True
        ),
        "rows": webtables.all_rows(rows, f"{len(rows)} rows and metrics"),
    }


def _picture(to: Path, stem: str, heading: str, under: str) -> Picture:
    """A committed figure: what the paper's figure of that number shows, else its section."""
    paper, name = stem[3:].split("_", 1)
    match = re.match(r"fig(\d+)", name)
    number = match[1] if match else ""
    shows = _figures()
    known = shows[(shows["paper"] == paper) & (shows["figure"] == number)]
    built = "architecture" in name
    if len(known):
        caption = f"Fig. {number}: {known.iloc[0]['shows']}"
        built = built or known.iloc[0]["kind"] == "architecture"
    else:
        caption = f"{heading or NAMES[stem.split('_' + name)[0]]}: {name.replace('_', ' ')}"
    size = _size(to / "figures" / f"{stem}.png")
    alt = f"{caption}." if built else f"{caption}. Measured on drawn people."
    badge = "" if built else "drawn"
    return Picture(f"figures/{stem}.png", alt, f"{caption}.", under, *size, badge)


def _under(found: Sequence[Table], notebook: str) -> str:
    """The line below a figure: network, size, steps and seeds of the study."""
    mine = [table for table in found if table.notebook == notebook and table.data == DRAWN]
    if not mine:
        return ""
    about = summary.trained_under(mine[0], found)
    seeds = summary.seeds_of(about["seeds"]) if about["seeds"] else ""
    return (
        f"Study of drawn people. Where it shows what trained networks do, they are "
        f"{about['setting']}, {about['regime']}, {seeds}."
    )


@cache
def _figures() -> pd.DataFrame:
    """The papers' figures: paper, figure, shows, kind."""
    return pd.read_csv(Path(__file__).with_name("figures.csv"), dtype=str)


def _numbers(base: Path, notebook: str) -> list[list[str]]:
    """The figures that the headings of a notebook name."""
    sources = ["".join(c["source"]) for c in _cells(base, notebook) if c["cell_type"] == "markdown"]
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


def _size(png: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    with png.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:24])
    return int(width), int(height)


def _title(path: Path) -> str:
    match = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.M)
    if not match:
        raise ReidError(f"{path.name} has no title: begin it with a line such as # A title")
    return re.split("[:,]", match[1])[0]


def _markdown(text: str) -> str:
    """Markdown as HTML: tables in a box that scrolls, equations as pictures with their source."""
    return _renderer()(text)


@cache
def _renderer() -> Any:
    import mistune

    renderer = mistune.HTMLRenderer(escape=False)
    render = mistune.create_markdown(renderer=renderer, plugins=["table", "math", "strikethrough"])
    table = renderer._get_method("table")
    renderer.register("table", lambda _, text: f'<div class="plain">{table(text)}</div>\n')
    renderer.register("inline_math", lambda _, text: _equation(text, inline=True))
    renderer.register("block_math", lambda _, text: _equation(text, inline=False))
    return render


def _equation(tex: str, *, inline: bool) -> str:
    """An equation as an embedded SVG, its TeX as alternative text; as code if it is too much for
    matplotlib's mathematics."""
    import base64

    from matplotlib import mathtext

    source = " ".join(tex.split())
    tag = "span" if inline else "div"
    try:
        buffer = io.BytesIO()
        mathtext.math_to_image(f"${source}$", buffer, format="svg", dpi=100)
        picture = base64.b64encode(buffer.getvalue()).decode()
    except ValueError:
        return f'<{tag} class="math"><code>{html.escape(source)}</code></{tag}>'
    shown = f'<img src="data:image/svg+xml;base64,{picture}" alt="{html.escape(source)}">'
    return f'<{tag} class="math">{shown}</{tag}>'


def _local(text: str, known: set[str]) -> str:
    """Links between notebooks and documents lead to their pages; a link to a file that has no page
    stays as its text."""

    def follow(match: re.Match[str]) -> str:
        target, words = match[1], match[2]
        if re.match(r"https?://|#|mailto:", target):
            return match[0]
        name, _, anchor = target.partition("#")
        stem = Path(name).stem.replace("90_summary", "summary")
        if name.endswith((".ipynb", ".md")) and f"{stem}.html" in known:
            return f'<a href="{stem}.html{f"#{anchor}" if anchor else ""}">{words}</a>'
        return words

    text = re.sub(r'<a href="([^"]*)"[^>]*>(.*?)</a>', follow, text, flags=re.S)
    return re.sub(r'src="[^":]*figures/study/([^"]+)"', r'src="figures/\1"', text)


def _code(source: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(highlight(source, PythonLexer(), HtmlFormatter(cssclass="source")))


def _colours(to: Path) -> None:
    """The colours of code, after our own style."""
    from pygments.formatters import HtmlFormatter

    own = (to / "style.css").read_text(encoding="utf-8")
    atomic_write(to / "style.css", own + HtmlFormatter(style="default").get_style_defs(".source"))


def main(arguments: Sequence[str] | None = None) -> None:
    """``python -m reidlib.workbook.site [--to build/site]``."""
    parser = argparse.ArgumentParser(prog="python -m reidlib.workbook.site", description=__doc__)
    parser.add_argument("--to", type=Path, default=root() / "build" / "site")
    to = parser.parse_args(arguments).to
    pages = build(to)
    print(f"{len(pages)} pages: open {to / 'index.html'}")


if __name__ == "__main__":
    main()
