"""Papers are found by their folders: their models and printed tables, without importing torch."""

import subprocess
import sys

import pytest

from reidlib import models, papers
from reidlib.papers import ppcl
from reidlib.workbook import published

FIVE = {"ppcl", "rmgl", "scr", "stnreid", "vcn"}


def test_every_folder_is_a_paper_and_names_its_models():
    assert set(papers.folders()) >= FIVE
    assert papers.models()["glrec"] == ("reidlib.papers.ppcl.rectifier", "GLRec")
    assert models.MODELS["rmgl"] == ("reidlib.papers.rmgl.model", "RMGL")
    assert models.MODELS["baseline"] == ("reidlib.models.baseline", "Baseline")


def test_every_paper_brings_its_printed_tables():
    assert {file.parents[1].name for file in published.files().values()} == FIVE
    assert published.files()["rmgl_table5"].parts[-3:] == ("rmgl", "published", "rmgl_table5.csv")


def test_a_papers_modules_are_there_when_asked_for():
    assert ppcl.recipe.RECIPE.model == "ppcl"
    with pytest.raises(AttributeError, match="no attribute 'recipes'"):
        _ = ppcl.recipes


def test_a_module_that_cannot_be_imported_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").write_text(
        "from reidlib.system.lazy import modules\n__getattr__ = modules(__name__)\n"
    )
    (tmp_path / "odd" / "model.py").write_text("import no_such_package\n")
    monkeypatch.syspath_prepend(tmp_path)
    import odd

    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        _ = odd.model


def test_finding_papers_imports_no_torch():
    code = (
        "import sys; from reidlib import papers; papers.models(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
