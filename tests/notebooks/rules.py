"""What a stored notebook must keep to; each rule broken is one sentence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

KEPT = "nbval-check-output"  # compared by nbval
KEEP = "keep_output"  # left alone by nbstripout
LINES = 20  # of a code cell
LOOP = 3  # statements in a loop
NAMES = 6  # imported from reidlib


def broken(notebook: NotebookNode, name: str) -> list[str]:
    """The rules that the notebook ``name`` (without suffix) breaks; empty if it is in order."""
    found = list(_structure(notebook, name))
    for number, cell in enumerate(notebook.cells):
        rules = (_outputs, _code) if cell.cell_type == "code" else (_markdown,)
        found += [f"cell {number}: {text}" for rule in rules for text in rule(cell)]
    return [*found, *_ambiguous(notebook)]


def tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))


def _structure(notebook: NotebookNode, name: str) -> Iterator[str]:
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    if "widgets" in notebook.metadata:
        yield "widget states are stored"
    first = notebook.cells[0] if notebook.cells else None
    if not (first and first.cell_type == "markdown" and first.source.startswith("# ")):
        yield "the first cell is not a title"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    places = [place for place, cell in enumerate(code) if "parameters" in tags(cell)]
    if places != [0]:
        yield "the first code cell, and no other, must be tagged parameters"
    elif _assigned(code[0].source) != {"profile": "demo", "overrides": {}}:
        yield 'the parameters must be profile = "demo" and overrides = {}'
    elif len(code) < 2 or f'Report("{name}", profile, overrides)' not in code[1].source:
        yield f'the cell after the parameters must make Report("{name}", profile, overrides)'
    if len(names := [name for cell in code for name in _imported(cell)]) > NAMES:
        yield f"{len(names)} names are imported from reidlib, at most {NAMES}: {', '.join(names)}"


def _imported(cell: NotebookNode) -> Iterator[str]:
    """What the cell imports from reidlib."""
    for node in ast.walk(_tree(cell)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            yield from (x for x in names if (module or x).split(".")[0] == "reidlib")


def _tree(cell: NotebookNode) -> ast.Module:
    """The cell's code, without IPython's magic lines."""
    lines = [x for x in cell.source.splitlines() if not re.match(r"\s*[%!]", x)]
    return ast.parse("\n".join(lines))


def _assigned(source: str) -> dict[str, object]:
    values: dict[str, object] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def _outputs(cell: NotebookNode) -> Iterator[str]:
    if (KEPT in tags(cell)) != (KEEP in tags(cell)):
        yield f"the tags {KEPT} and {KEEP} go together"
    if KEPT in tags(cell) and not cell.outputs:
        yield "tagged to be compared, but no output is stored: nbval would check nothing"
    if KEPT in tags(cell) and _shows(cell) and all(o.output_type == "stream" for o in cell.outputs):
        yield "tagged to be compared, but what its last line shows is not stored"
    if cell.execution_count is not None or (cell.outputs and KEPT not in tags(cell)):
        yield "an output or execution count is stored: run nbstripout"
    for output in cell.outputs:
        if output.output_type == "error":
            yield "an error is stored"
        if output.get("name") == "stderr":
            yield "stderr is stored: renew the outputs with tests/notebooks/keep.py"
        data = output.get("data", {})
        if any(kind.startswith("image/") for kind in data) or re.search(
            r"<img|<svg|data:image", str(data)
        ):
            yield "an image is stored"


def _shows(cell: NotebookNode) -> bool:
    """Whether the last statement is an expression, whose value is shown, and no ``print``."""
    last = _tree(cell).body[-1:]
    return any(isinstance(s, ast.Expr) and "print(" not in ast.unparse(s) for s in last)


def _code(cell: NotebookNode) -> Iterator[str]:
    if (lines := len(cell.source.splitlines())) > LINES:
        yield f"{lines} lines of code, at most {LINES}"
    for node in ast.walk(_tree(cell)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.While):
            yield f"a {type(node).__name__} belongs into reidlib"
        if isinstance(node, ast.For) and len(node.body) > LOOP:
            yield f"a loop of more than {LOOP} statements belongs into reidlib"
    yield from _paths(cell)


def _ambiguous(notebook: NotebookNode) -> Iterator[str]:
    """Names that a cell reads and two cells before it assign: which is meant depends on what lies
    between, and a cell put in or run again changes it."""
    given: dict[str, list[int]] = {}
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            assigned, read = _names(cell)
            for name in sorted(read - assigned):
                if len(places := given.get(name, [])) > 1:
                    yield f"cell {number}: {name} is read, which cells {places} all assign"
            for name in assigned:
                given.setdefault(name, []).append(number)


def _names(cell: NotebookNode) -> tuple[set[str], set[str]]:
    """What a cell assigns (``+=`` only adds to it), and what it reads; without the variables of
    comprehensions and lambdas, which end with them."""
    nodes = [*ast.walk(_tree(cell))]
    inner = [node.target for node in nodes if isinstance(node, ast.comprehension)]
    own = {id(name) for target in inner for name in ast.walk(target)}
    own |= {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
    closed = {n.id for target in inner for n in ast.walk(target) if isinstance(n, ast.Name)}
    closed |= {a.arg for n in nodes if isinstance(n, ast.Lambda) for a in n.args.args}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assigned = {n.id for n in names if isinstance(n.ctx, ast.Store) and id(n) not in own}
    return assigned, {n.id for n in names if isinstance(n.ctx, ast.Load)} - closed


def _markdown(cell: NotebookNode) -> Iterator[str]:
    if cell.get("attachments"):
        yield "a file is attached"
    if "data:image" in cell.source:
        yield "an image is stored"
    yield from _paths(cell)


def _paths(cell: NotebookNode) -> Iterator[str]:
    match = re.search(r"(/home/|/root/|/Users/|/tmp/|/mnt/|[A-Z]:\\)\S*", str(cell))
    if match:
        yield f"a path of one machine: {match.group(0)[:40]}"
