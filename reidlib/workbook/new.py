"""``python -m reidlib new NAME``: folder and notebook of a paper that runs, to be edited."""

from __future__ import annotations

import re
from pathlib import Path

from reidlib.errors import ReidError
from reidlib.models import MODELS
from reidlib.papers import folders
from reidlib.system.files import atomic_folder, atomic_write, root

TEMPLATE = Path(__file__).parent / "new_paper"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def new(name: str, notebook: str | None = None) -> list[Path]:
    """Writes ``reidlib/papers/NAME/`` and ``notebooks/NN_NAME.ipynb``; returns both.

    name: a small letter, then small letters, digits or ``_``. notebook: its name without suffix;
    default: the next free ten before 90. Nothing else is touched, and nothing is overwritten.
    Raises ReidError for a name that is taken or none, and outside of a checkout.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name):
        raise ReidError(f'"{name}" is no name for a paper: use small letters, digits and _')
    if name in MODELS or name in folders():
        raise ReidError(f'"{name}" is taken by a model or a paper: choose another name')
    if notebook and not re.fullmatch(r"[0-9]{2}_[a-z0-9_]{1,40}", notebook):
        raise ReidError(f'"{notebook}" is no name for a notebook: two digits and _, as 60_{name}')
    notebooks = root() / "notebooks"
    if not notebooks.is_dir():
        raise ReidError(f"there is no folder {notebooks}: run this from a checkout")
    notebook = notebook or f"{_next(notebooks)}_{name}"
    file = notebooks / f"{notebook}.ipynb"
    folder = Path(__file__).resolve().parents[1] / "papers" / name
    for path in (file, folder):
        if path.exists():
            raise ReidError(f"{path} is there already: remove it, or choose another name")
    cells = _notebook(name, notebook)  # before anything is written: it may lack a package
    with atomic_folder(folder) as part:
        for source in TEMPLATE.glob("*.py.txt"):
            text = source.read_text(encoding="utf-8").replace("NAME", name)
            (part / source.name.removesuffix(".txt")).write_text(text, encoding="utf-8")
        table = (TEMPLATE / "table1.csv.txt").read_text(encoding="utf-8")
        atomic_write(part / "published" / f"{name}_table1.csv", table)
    atomic_write(file, cells)
    return [folder, file]


def _next(notebooks: Path) -> int:
    taken = {int(path.name[:2]) for path in notebooks.glob("[0-9][0-9]_*.ipynb")}
    free = [number for number in range(60, 90) if number not in taken]
    if not free:
        raise ReidError(f"{notebooks} has no number from 60 to 89 free: give --notebook")
    return next((number for number in free if number % 10 == 0), free[0])


def _notebook(name: str, notebook: str) -> str:
    """The template's cells: after ``===`` code (with a tag), after ``---`` markdown."""
    import nbformat

    text = (TEMPLATE / "notebook.txt").read_text(encoding="utf-8")
    text = text.replace("NAME", name).replace("NOTE_BOOK", notebook)
    pieces = re.split(r"^(===|---) ?(\w*)\n", "--- markdown\n" + text, flags=re.MULTILINE)[1:]
    made = nbformat.v4.new_notebook(metadata={"kernelspec": KERNEL})
    for i in range(0, len(pieces), 3):
        kind, tag, source = pieces[i : i + 3]
        make = nbformat.v4.new_code_cell if kind == "===" else nbformat.v4.new_markdown_cell
        cell = make(source.strip(), id=f"{name.replace('_', '-')}-{i // 3:02}")
        if tag == "parameters":
            cell.metadata["tags"] = [tag]
        made.cells.append(cell)
    return str(nbformat.writes(made)) + "\n"
