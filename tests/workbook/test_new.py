"""``python -m reidlib new NAME``: what it writes runs, in a checkout of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))
import rules

from reidlib.errors import ReidError
from reidlib.system.files import root
from reidlib.workbook.new import new


@pytest.fixture
def checkout(tmp_path):
    """A copy of library and notebooks, and what runs ``python -m reidlib`` there."""
    for part in ("reidlib", "notebooks"):
        shutil.copytree(
            root() / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def typed(*words):
        command = [sys.executable, "-m", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return tmp_path, typed


@pytest.mark.slow
def test_a_new_paper_runs_and_touches_nothing_else(checkout):
    folder, typed = checkout
    before = {file: file.read_bytes() for file in folder.rglob("*.*") if file.is_file()}
    done = typed("reidlib", "new", "sixth")
    assert done.returncode == 0, done.stderr
    assert "papers/sixth" in done.stdout
    written = {f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts}
    names = {str(file.relative_to(folder)) for file in written - before.keys()}
    inside = "reidlib/papers/sixth"
    assert names == {
        *(f"{inside}/{name}.py" for name in ("__init__", "model", "recipe", "figures")),
        f"{inside}/published/sixth_table1.csv",
        "notebooks/60_sixth.ipynb",
    }
    assert all(file.read_bytes() == content for file, content in before.items())
    notebook = nbformat.read(folder / "notebooks" / "60_sixth.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert rules.broken(notebook, "60_sixth") == []
    for tool in (("ruff", "check", "--config", str(root() / "pyproject.toml")),):
        done = typed(*tool, inside)
        assert done.returncode == 0, done.stdout
    done = typed("reidlib", "run", "--profile", "smoke", "--only", "60_sixth")
    assert done.returncode == 0, done.stdout + done.stderr
    table = pd.read_csv(folder / "reports/smoke/tables/60_sixth_table1.csv")
    ours = table[(table.row == "ours") & (table.metric == "mAP")]
    assert ours.published.tolist() == [76.0]
    assert ours["mean"].between(0, 100).all()
    assert (folder / "figures/smoke/60_sixth_responses.png").is_file()
    again = typed("reidlib", "new", "sixth")
    assert again.returncode == 2
    assert '"sixth" is taken by a model or a paper' in again.stderr


@pytest.mark.parametrize("name", ["Sixth", "6th", "a/b", "..", "x", "a-b", ""])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ReidError, match="is no name for a paper"):
        new(name)


def test_a_notebook_stays_among_the_notebooks():
    with pytest.raises(ReidError, match="is no name for a notebook: two digits and _, as 60_mine"):
        new("mine", "../../60_mine")


@pytest.mark.parametrize("name", ["rmgl", "baseline", "comparators"])
def test_what_is_taken_is_refused(name):
    with pytest.raises(ReidError, match="is taken by a model or a paper"):
        new(name)
