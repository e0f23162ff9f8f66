"""The site: committed tables and figures as static pages, ``python -m reidlib.workbook.site``.

Nothing is trained and nothing is loaded from a network. A notebook's page is the stored notebook,
its code folded, with the committed study's figures and tables where its cells make them.
"""

from __future__ import annotations

import argparse
import html
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write, root
from reidlib.workbook import collected, summary, summary_figures, summary_tables
from reidlib.workbook.cells import TEMPLATES, environment
from reidlib.workbook.collected import PAPERS, Table
from reidlib.workbook.markup import heading, local, markdown
from reidlib.workbook.notebook_page import (
    NAMES,
    NOTEBOOKS,
    Picture,
    card_of,
    cells_of,
    not_shown,
    notebook_parts,
    size_of,
)
from reidlib.workbook.words import VERDICTS

MEANING = {
    "holds": "the effect is there, and chance does not explain it",
    "reversed": "the effect goes the other way, or another number was counted",
    "too small to tell": "chance explains what was measured",
    "too short to judge": "fewer than two trainings, or one that did not get far enough",
    "not testable here": "nothing at hand can decide it",
}
REAL_PICTURES = (
    "Figures that a notebook draws of Market-1501 show real people. They stay on the machine that "
    "made them; the tables measured on these people are shown."
)
INTRO = """
<div class="intro"><div>
<p>Five papers on person re-identification were implemented again and measured again. Their
<strong>claims</strong>, sentences that can be checked, were judged on
<strong>drawn people</strong>, whose true geometry is known, and on <strong>real people</strong>,
the Market-1501 dataset. The networks here are smaller and trained for a shorter time than those of
the papers, and each card says how. Results under “random weights, short training” are from the
earlier, short regime; the papers start from ImageNet weights.</p>
<p><a href="summary.html">The summary</a> lists all claims and all rows.
A plain network is explained step by step in the <a href="00_quickstart.html">quickstart</a>.</p>
</div>
<a href="figures/00_quickstart_people.png"><img src="figures/00_quickstart_people.png"
alt="Ten drawn people, each as four cameras saw them" width="{width}" height="{height}"></a>
</div>
"""


def build(to: Path, base: Path | None = None) -> list[Path]:
    """Writes the site into a folder, which it empties first; the pages, sorted.

    Raises ReidError if the folder holds something that is no site.
    """
    base = base or root()
    if to.exists() and any(to.iterdir()) and not (to / "site.js").is_file():
        raise ReidError(f"{to} is not empty and holds no site: name another folder")
    shutil.rmtree(to, ignore_errors=True)
    (to / "figures").mkdir(parents=True)
    shutil.copyfile(TEMPLATES / "site.js", to / "site.js")
    for picture in sorted((base / "figures" / "study").glob("*.png")):
        if not picture.name.startswith("90_"):  # the summary is drawn anew
            shutil.copyfile(picture, to / "figures" / picture.name)
    documents = sorted((base / "docs").glob("*.md"))
    titles = {path: heading(path) for path in documents}
    pages = [("index.html", "Overview"), ("summary.html", "Summary")]
    pages += [(f"{notebook}.html", name) for notebook, name in NAMES.items()]
    pages += [(f"{path.stem}.html", titles[path]) for path in documents]
    template = environment().get_template("page.html")
    found = collected.tables(base=base / "reports")
    claims = collected.claims(found)

    def write(file: str, **content: Any) -> None:
        text = template.render(here=file, pages=pages, verdicts=VERDICTS,
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
        body = local(markdown(path.read_text(encoding="utf-8")), known)
        write(f"{path.stem}.html", kind="text", title=titles[path], body=body)
    _colours(to)
    return sorted(to.glob("*.html"))


def _index(to: Path, claims: pd.DataFrame) -> dict[str, Any]:
    width, height = size_of(to / "figures" / "00_quickstart_people.png")
    missing = "".join(
        f"<li>{PAPERS[paper].label}, Fig. {figure}: {html.escape(why)}</li>"
        for (paper, figure), why in not_shown().items()
    )
    after = f"<h2>What is not shown</h2><ul>{missing}<li>{REAL_PICTURES}</li></ul>"
    cards = [{"file": f"{p.notebook}.html", **card_of(p, claims)} for p in PAPERS.values()]
    return {
        "kind": "index",
        "title": "Five re-identification papers, measured again",
        "intro": INTRO.format(width=width, height=height),
        "cards": cards,
        "after": after,
    }


def _summary(to: Path, found: Sequence[Table], claims: pd.DataFrame) -> dict[str, Any]:
    import matplotlib.pyplot as plt

    from reidlib.visualize.style import file_of, use_style

    drawings = {
        "gains": (
            summary_figures.gains_figure,
            "Printed against measured effect of each claim: a dot with its 95 % interval. On the "
            "dashed line both are equal; below zero the effect goes the other way",
        ),
        "verdicts": (
            summary_figures.verdicts_figure,
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
            width, height = size_of(file)
            pictures.append(Picture(f"figures/{file.name}", says, f"{says}.", "", width, height))
    rows = summary.rows_side_by_side(collected.rows(found))
    cells = cells_of(root(), "90_summary")
    text = [c["source"] for c in cells if c["cell_type"] == "markdown"][:2]
    known = {f"{name}.html" for name in NOTEBOOKS}
    both = claims.drop_duplicates(["paper", "number"])
    trained = summary.counts(claims, "trained")
    return {
        "kind": "summary",
        "title": "Summary: what came again",
        "intro": local(markdown("\n\n".join(text).split("\n", 1)[1]), known),
        "counts": summary_tables.counts(summary.counts(claims), f"{len(claims)} verdicts"),
        "trained": summary_tables.counts(trained, "Without the claims that need no training"),
        "figures": pictures,
        "all_claims": summary_tables.claims(
            claims, "claims", f"{len(both)} claims of five papers", with_paper=True
        ),
        "rows": summary_tables.all_rows(rows, f"{len(rows)} rows and metrics"),
    }


def _colours(to: Path) -> None:
    """The colours of code, after our own style."""
    from pygments.formatters import HtmlFormatter

    own = "".join((TEMPLATES / name).read_text("utf-8") for name in ("table.css", "style.css"))
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
