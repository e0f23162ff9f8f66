"""The notebooks as they are stored: runnable, short, without outputs, without pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from keep import keep
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from rules import KEEP, KEPT, broken

from reidlib.workbook import profile

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PICTURES = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp", ".bmp", ".pdf", ".npy", ".npz")


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_keeps_to_the_rules(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert broken(notebook, path.stem) == []


def test_nbstripout_would_change_nothing() -> None:
    command = [sys.executable, "-m", "nbstripout", "--verify", "--keep-id", *map(str, NOTEBOOKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run nbstripout --keep-id: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
@pytest.mark.parametrize("name", profile.names())
def test_every_profile_suits_every_notebook(path: Path, name: str) -> None:
    assert profile.load(name, path.stem).name == name


def test_numbers_give_the_order() -> None:
    assert all(path.stem[:3].rstrip("_").isdigit() for path in NOTEBOOKS), NOTEBOOKS


def test_pictures_are_committed_only_of_embedded_people() -> None:
    """Real people never enter the repository: pictures lie in figures/study/ alone."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    files = done.stdout.splitlines()
    pictures = [name for name in files if name.lower().endswith(PICTURES)]
    assert [name for name in pictures if not name.startswith("figures/study/")] == []
    reports = [name for name in files if name.startswith("reports/") and name.count("/") > 1]
    assert [name for name in reports if not name.endswith(".csv")] == []


def good() -> NotebookNode:
    check = {"tags": [KEPT, KEEP]}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    stored = [new_output("stream", name="stdout", text="750 ids\n")]
    cells = [
        new_markdown_cell("# A title"),
        new_code_cell('profile = "demo"\noverrides = {}', metadata={"tags": ["parameters"]}),
        new_code_cell('report = Report("00_good", profile, overrides)'),
        new_code_cell("%matplotlib inline\nfor x in y:\n    print(x)"),
        new_code_cell("print(750)", metadata=check, outputs=stored),
    ]
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def test_a_good_notebook_breaks_no_rule() -> None:
    assert broken(good(), "00_good") == []


def test_keep_copies_the_outputs_of_tagged_cells_alone() -> None:
    stored, executed = good(), good()
    for ours, theirs in zip(stored.cells, executed.cells, strict=True):
        theirs["id"] = ours["id"]
    stored.cells[4].metadata.tags = [KEPT]
    executed.cells.insert(2, new_code_cell("overrides = {1: 2}"))  # as papermill does
    executed.cells[4].outputs = [new_output("stream", name="stdout", text="not kept")]
    data = {"text/plain": "751"}
    bar = new_output("stream", name="stderr", text="100%")
    executed.cells[5].outputs = [bar, new_output("execute_result", data=data, execution_count=5)]
    keep(stored, executed)
    assert broken(stored, "00_good") == []
    assert stored.cells[4].outputs[0].data == data
    assert stored.cells[4].outputs[0].execution_count is None


def picture(notebook: NotebookNode) -> None:
    notebook.cells[4].outputs = [new_output("display_data", data={"image/png": "aGk="})]


def picture_in_html(notebook: NotebookNode) -> None:
    data = {"text/html": '<img src="data:image/png;base64,aGk=">'}
    notebook.cells[4].outputs = [new_output("display_data", data=data)]


def output(notebook: NotebookNode) -> None:
    notebook.cells[3].outputs = [new_output("stream", name="stdout", text="hi")]


def progress(notebook: NotebookNode) -> None:
    notebook.cells[4].outputs = [new_output("stream", name="stderr", text="100%")]


def source(cell: int, text: str, notebook: NotebookNode) -> None:
    notebook.cells[cell].source = text


def twice(notebook: NotebookNode) -> None:
    """And what is no fault: a name of the cell's own, one that is added to, a comprehension's."""
    notebook.cells[3].source = "few, own = [1], 2\nfound = []"
    own = "own = 3\nprint(own)\nfound += [own]\nfew = [own]"
    notebook.cells[4:] = [new_code_cell(own), new_code_cell("found += few")]
    notebook.cells += [new_code_cell("[own for own in found]")]


SEVEN = "import reidlib.g\nfrom reidlib import a, b, c\nfrom reidlib.papers import d, e, f"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (picture, "cell 4: an image is stored"),
        (picture_in_html, "cell 4: an image is stored"),
        (progress, "cell 4: stderr is stored"),
        (output, "cell 3: an output or execution count is stored: run nbstripout"),
        (lambda n: n.cells[4].update(outputs=[]), "nbval would check nothing"),
        (lambda n: source(4, "print(750)\nx", n), "what its last line shows is not stored"),
        (lambda n: n.cells[3].update(execution_count=2), "cell 3: an output or execution count"),
        (lambda n: n.cells[4].metadata.update(tags=[KEPT]), "go together"),
        (lambda n: n.cells[1].metadata.clear(), "tagged parameters"),
        (lambda n: source(1, 'profile = "study"\noverrides = {}', n), "the parameters must be"),
        (lambda n: source(1, 'profile = "demo"', n), "the parameters must be"),
        (lambda n: source(2, 'Report("10_other", profile, overrides)', n), 'Report("00_good"'),
        (lambda n: source(3, "x = 1\n" * 21, n), "cell 3: 21 lines of code, at most 20"),
        (
            lambda n: source(3, SEVEN, n),
            "7 names are imported from reidlib, at most 6: reidlib.g, a,",
        ),
        (lambda n: source(3, "def f():\n    pass", n), "a FunctionDef belongs into reidlib"),
        (lambda n: source(3, "for x in y:\n    1\n    2\n    3\n    4", n), "a loop of more"),
        (lambda n: source(3, "root = '/home/me/data'", n), "a path of one machine: /home/me"),
        (twice, "cell 5: few is read, which cells [3, 4] all assign"),
        (lambda n: source(0, "no title", n), "the first cell is not a title"),
        (lambda n: n.metadata.update(widgets={}), "widget states"),
        (lambda n: n.metadata.pop("kernelspec"), "the kernel is not python3"),
    ],
)
def test_each_rule_can_be_broken(spoil: object, sentence: str) -> None:
    notebook = good()
    spoil(notebook)  # type: ignore[operator]
    found = broken(notebook, "00_good")
    assert len(found) == 1, found
    assert sentence in found[0]
