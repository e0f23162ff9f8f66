"""Renews the outputs that nbval compares, from the notebooks executed by `make smoke`.

    make smoke && .venv/bin/python tests/notebooks/keep.py

Only cells tagged nbval-check-output take over their output (and get the tag keep_output, which
nbstripout wants); nothing else of a notebook changes.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat import NotebookNode
from rules import KEEP, KEPT, tags

ROOT = Path(__file__).parents[2]


def keep(stored: NotebookNode, executed: NotebookNode) -> None:
    """Copies the outputs of tagged cells, without stderr, from ``executed``; matched by id."""
    by_id = {cell["id"]: cell for cell in executed.cells}
    for cell in stored.cells:
        if KEPT in tags(cell):
            cell.metadata.tags = sorted({*tags(cell), KEEP})
            outputs = by_id[cell["id"]].outputs
            cell.outputs = [output for output in outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None


def main() -> None:
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        executed = nbformat.read(ROOT / "reports" / "smoke" / path.name, as_version=4)
        if executed.metadata.papermill.exception:
            raise SystemExit(f"{path.name} did not end well at profile smoke: mend it first")
        stored = nbformat.read(path, as_version=4)
        keep(stored, executed)
        nbformat.write(stored, path)
        print(f"kept the tagged outputs of {path.name}")


if __name__ == "__main__":
    main()
