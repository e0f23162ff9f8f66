"""The script for a GPU machine runs, so that its lease is not spent on mistakes."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "accelerator.py"


@pytest.mark.slow
def test_every_row_for_an_accelerator_is_measured():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, check=True
    )
    rows = {row["what"]: row for row in csv.DictReader(done.stdout.splitlines())}
    assert {row["failed"] for row in rows.values()} == {""}
    for what in ("bare step", "fit as it is", "fit deterministic", "encode float32", "encode bf16"):
        assert float(rows[what]["value"]) > 0
        assert rows[what]["unit"] == "images/s"
    assert float(rows["fit as it is"]["share"]) > 0
    assert float(rows["largest difference of 6 losses to the CPU's, tiny"]["value"]) < 1e-3
    assert float(rows["difference of mAP to the CPU's, float32, tiny"]["value"]) < 1e-3
    for paper in ("stnreid", "ppcl", "vcn", "scr", "rmgl"):
        assert float(rows[f"{paper}: a step"]["value"]) > 0
        for what in ("training", "encoding"):
            assert float(rows[f"{paper}: {what}"]["value"]) > 0
            assert rows[f"{paper}: {what}"]["unit"] == "TFLOP/s"
