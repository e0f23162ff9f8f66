"""What a run needs, found without training: the notebook's own statements, counted operations."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.papers import rmgl
from reidlib.papers.comparators import baseline
from reidlib.train import footprint
from reidlib.train.sweep import together
from reidlib.workbook import cli, noted, plan
from reidlib.workbook.report import Report

CELLS = [
    "from reidlib import workbook\nfrom reidlib.papers import comparators",
    'report = workbook.Report("00_quickstart", profile, overrides)',
    'rows = {"a": comparators.baseline.RECIPE}\nslow = [x for x in unknown]',
    'rows["b"] = rows["a"].but(label_smoothing=0.0)\nvalues = slow[0] + 1',
    "runs = report.fit_all(rows)\nworst = runs['a'][0].metrics.per_query.ap.max()",
    "if worst > 0.5:\n    report.fit(rows['a'].but(lr=1.0))",
    "some = report.dataset()\nreport.gain(rows['a'], rows['b'], 'mAP', dataset=some)",
    "found = [report.table('t', {'c': rows['a'].but(margin=0.5)}, title='T', tested='viper')]",
]
SMALL = {"data_options": {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3}, "steps": 2,
         "seeds": (0, 1)}  # fmt: skip


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells = [new_code_cell("profile = 'demo'", metadata={"tags": ["parameters"]})]
    path = tmp_path / "00_quickstart.ipynb"
    nbformat.write(new_notebook(cells=cells + [new_code_cell(cell) for cell in CELLS]), path)
    return path


def test_a_notebook_tells_what_it_trains(notebook: Path) -> None:
    """What depends on results that are not there is left out, and nothing else."""
    report = noted.note(notebook, "smoke", SMALL)
    expected = {"a": baseline.RECIPE, "b": baseline.RECIPE.but(label_smoothing=0.0)}
    real = Report("00_quickstart", "smoke", SMALL)
    wanted = {real.recipe(recipe, seed) for recipe in expected.values() for seed in (0, 1)}
    assert set(report.recipes.values()) == wanted
    assert [len(t.dataset.query) for t in report.tests.values()] == [12] * 4


def test_a_domain_counts_where_its_dataset_is(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDLIB_DATA", str(tmp_path))
    changes = {**SMALL, "domains": {"viper": {"dataset": "viper"}}}
    every, here = (noted.note(notebook, "smoke", changes, everything=e) for e in (True, False))
    assert (len(every.recipes), len(here.recipes)) == (6, 4)


def test_only_what_a_training_needs_is_executed() -> None:
    text = "import os\nx = 1\ny = os.sep\nz = [x]\nz.append(3)\nz = [4]\nreport.fit(z)\nprint(y)"
    kept = noted.needed(ast.parse(text).body)
    assert [ast.unparse(s) for s in kept] == ["z = [4]", "report.fit(z)"]


def test_a_plan_builds_no_network() -> None:
    space = {"build_model": lambda: pytest.fail("its weights might be downloaded")}
    noted._execute(ast.parse("net = build_model()").body[0], space)
    assert space["net"] is noted.NOTHING


def test_a_blank_dataset_has_the_sizes_of_the_drawn_one() -> None:
    options = {
        "train_ids": 8,
        "test_ids": 6,
        "cameras": 2,
        "images": 3,
        "distractors": 0,
        "junk": 0,
    }
    blank, drawn = noted.blank("synthetic", options), load("synthetic", **options)
    assert [len(t) for t in blank.splits.values()] == [len(t) for t in drawn.splits.values()]
    assert blank.num_ids == drawn.num_ids
    assert len(noted.blank("market1501", {}).query) == 3368


def test_seconds_are_of_operations_or_of_the_host() -> None:
    recipe = baseline.RECIPE.but(backbone="tiny", size=(64, 32), weights=None, steps=10)
    one = plan.work(plan.shape(recipe))
    slow = plan.Machine("", one.flops / 3, 1.0, 0.0, 1e12, 8)
    assert plan._trained(recipe, slow, 1) == pytest.approx(30)
    host = plan.Machine("", 1e30, 1.0, 6 / one.kernels, 1e12, 8)
    assert plan._trained(recipe, host, 1) == pytest.approx(60)
    assert plan._trained(recipe, host, 3) == pytest.approx(20)
    assert plan.steps(baseline.RECIPE.but(dataset="market1501")) == 120 * 202  # 12,936 / 64


def test_runs_share_a_gpu_as_far_as_memory_and_cores_go() -> None:
    recipe = baseline.RECIPE.but(backbone="tiny", size=(64, 32), weights=None)
    assert together([recipe], 80e9, 16) == 4
    assert together([recipe], 80e9, 2) == 2
    assert together([recipe], 4e9, 16) == 1
    assert together([], 80e9, 16) == 4
    # the largest of one kind counts, whichever comes last
    two = [rmgl.recipe.RECIPE.but(stripes=stripes) for stripes in ((2, 3, 4), (2,))]
    assert together(two, 24e9, 8) == together(two[::-1], 24e9, 8) == together(two[:1], 24e9, 8)
    assert together(two[:1], 24e9, 8) < together(two[1:], 24e9, 8)
    assert together([recipe], math.inf, 2) == 2
    # a million features of 1,024 numbers, and the same normalised, are 8 GB of a half of 12
    alone, large = (together([recipe], 12e9, 16, tests) for tests in ((), [(1000, 1_000_000)]))
    assert (alone, large) == (4, 1)


def test_memory_is_of_all_runs_at_once(notebook: Path) -> None:
    """On the CPU, too, where there is nothing to share out: its cores decide."""
    report = noted.note(notebook, "smoke", SMALL)
    machine = plan.Machine("", 1e12, 1e12, 1e-5, math.inf, 3)
    assert plan._at_once(report, machine) == 3
    one, four = plan.memory(report, machine), plan.memory(report, machine, 4)
    assert four == pytest.approx(4 * one)
    recipe = next(iter(report.recipes.values()))
    shape, pixels = plan.shape(recipe), 3 * 64 * 32
    assert one - plan.CONTEXT >= footprint.step(shape).bytes + 48 * pixels  # of 8 people
    assert one - plan.CONTEXT > footprint.held_in_test(footprint.encoding(shape), 12, 24)
    asked = plan.asked(notebook, "smoke", {**SMALL, "workers": None})
    needs = plan.needs(*asked, machine)
    assert needs.memory == pytest.approx(3 * one / 2**30)


def test_weights_are_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").touch()
    assert plan._weights("resnet18", "imagenet") == "ImageNet weights of resnet18: there"
    assert plan._weights("tiny", "start") == "weights tiny.safetensors: there"
    assert plan._weights("tiny", "/no/x.pth") == "weights x.pth: no file /no/x.pth"


def test_the_command_says_what_is_missing_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("REIDLIB_DATA", str(tmp_path))
    monkeypatch.setenv("REIDLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    arguments = ["run", "--plan", "--profile", "market1501", "--only", "00_quickstart"]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    changes = ["--set", "backbone=resnet18", "--set", "size=[64, 32]"]
    assert cli.main(arguments + changes) == 0
    printed = capsys.readouterr().out
    assert "market1501: no Market-1501 below" in printed
    assert "ImageNet weights of resnet18: downloaded when a run begins" in printed
    assert "its speed assumed" in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("00_quickstart")]
    assert row.split()[1:4] == ["2", "0", "0"]  # two seeds, no data, nothing stored
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ReidError, match="is for a GPU"):
        Report("00_quickstart", "market1501")
