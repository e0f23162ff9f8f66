"""A sixth paper is one folder and one notebook: nothing else of the checkout is touched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.slow
def test_a_sixth_paper_is_one_folder_and_one_notebook(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for folder in ("reidlib", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copytree(HERE / "bands", tmp_path / "reidlib" / "papers" / "bands", ignore=ignore)
    shutil.copy(HERE / "60_bands.ipynb", tmp_path / "notebooks")
    places = {"PYTHONPATH": str(tmp_path), "REIDLIB_RUNS": str(tmp_path / "runs")}
    command = [sys.executable, "-m", "reidlib", "run", "--profile", "smoke", "--only", "60_bands"]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | places, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "runs").glob("bands-*/weights.safetensors"))) == 2
    report = tmp_path / "reports" / "smoke"
    tidy = pd.read_csv(report / "tables" / "60_bands_table1.csv")
    assert tidy.row.tolist() == ["Two bands"] * 2 + ["Three bands"] * 2
    assert tidy.published[:2].tolist() == [91.2, 81.2]
    assert pd.read_csv(report / "tables" / "60_bands_sweep.csv").x.unique().tolist() == [2]
    assert not (report / "tables" / "60_bands_table1_mars.csv").exists()
    html = (report / "60_bands.html").read_text()
    below = html.split("Table 1, printed on mars")[1]  # nothing stands for it at smoke
    assert "As printed; not measured here." in below
    assert (tmp_path / "figures" / "smoke" / "60_bands_fig1.png").is_file()
