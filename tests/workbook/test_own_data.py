"""One's own images: paths as they are typed, and what docs/your-data.md says, typed."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reidlib.system.files import root
from reidlib.workbook import batch, cli


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """``mine.csv`` and ``images/`` in the working folder: eight people of two cameras."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for pid in range(1, 9):
        for cam in (1, 2):
            for i in range(2):
                name = f"images/{pid}_{cam}_{i}.jpg"
                pixels = rng.integers(0, 128, (64, 32, 3)) + 16 * (pid % 5)
                Image.fromarray(pixels.astype(np.uint8)).save(name)
                split = "train" if pid < 5 else "gallery" if i else "query"
                rows.append((name, pid, cam, split))
    table = pd.DataFrame(rows, columns=["path", "pid", "cam", "split"])
    table.to_csv("mine.csv", index=False)
    return table


RUN = ["run", "--profile", "smoke", "--only", "00_quickstart", "--set", "dataset=folder"]
RUN += ["--set", "folder=test-own", "--set", "data_options.csv=mine.csv"]


def test_paths_are_those_of_the_place_where_the_command_is_typed(mine, monkeypatch, capsys):
    seen = []

    def run_all(executions, jobs):
        seen.extend(executions.values())
        return [batch.Outcome("q")]

    monkeypatch.setattr(batch, "_run_all", run_all)
    cli.main([*RUN, "--set", "domains.cuhk03={dataset: folder, data_options: {csv: mine.csv}}"])
    given = seen[0].parameters
    there = os.path.abspath("mine.csv")
    assert given["overrides"]["data_options"] == {"csv": there}
    assert given["overrides"]["domains"]["cuhk03"]["data_options"] == {"csv": there}
    assert cli.main(["data", "check", "folder", "--set", "csv=mine.csv"]) == 0
    assert "OK       complete; every file decodes" in capsys.readouterr().out


def test_what_is_wrong_with_the_csv_is_said_before_anything_runs(mine, monkeypatch, capsys):
    monkeypatch.setattr(batch, "_run_all", lambda *_: pytest.fail("it runs"))
    os.remove("images/3_1_0.jpg")
    assert cli.main(RUN) == 2
    assert "mine.csv, row 9: there is no image 'images/3_1_0.jpg'" in capsys.readouterr().err
    os.remove("mine.csv")
    assert cli.main(RUN) == 2
    assert "there is no file mine.csv in the working folder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_quickstart_on_own_images_in_one_command(mine, capsys):
    try:
        assert cli.main(RUN) == 0
        tables = root() / "reports" / "test-own" / "tables"
        (metrics,) = tables.glob("00_quickstart_metrics*.csv")
        assert len(pd.read_csv(metrics)) == 3
    finally:
        for folder in ("reports", "figures"):
            shutil.rmtree(root() / folder / "test-own", ignore_errors=True)
