"""Equations in the notebooks: each is drawn on the site, and leads to the code that computes it."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from reidlib.workbook import markup
from reidlib.workbook.collected import PAPERS

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def texts(notebook: str) -> list[str]:
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("paper", PAPERS)
def test_equations_are_drawn_and_lead_to_code_that_names_them(paper: str) -> None:
    displayed = [text for text in texts(PAPERS[paper].notebook) if "$$" in text]
    assert displayed, "a paper's notebook shows its key equations"
    for text in displayed:
        assert '"math"><code>' not in markup.markdown(text), "an equation that mathtext cannot draw"
        links = re.findall(r"\[`(?:\w+\.)?(\w+)`\]\((\S+\.py)\)", text)
        assert links, f"no link to the code: {text[:60]}"
        code = {file: (NOTEBOOKS / file).read_text(encoding="utf-8") for _, file in links}
        for name, file in links:
            assert re.search(rf"(def|class) {name}\b", code[file]), (name, file)
        named = {n for source in code.values() for n in numbers(source)}
        assert numbers(text) <= named, f"the code at {sorted(code)} does not name them"


def numbers(text: str) -> set[int]:
    """The equations that a text names: ``{9, 10}`` of "Eq. 9 and 10"."""
    found = re.findall(r"Eqs?\. (\d+(?:(?:, | and )\d+)*)", text)
    return {int(n) for group in found for n in re.findall(r"\d+", group)}


def test_every_notebook_links_to_others() -> None:
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        text = "\n".join(texts(path.stem))
        links = set(re.findall(r"\]\((\d\d\w+)\.ipynb", text))
        assert len(links - {path.stem}) >= 2, path.stem
        assert all((NOTEBOOKS / f"{link}.ipynb").is_file() for link in links)
