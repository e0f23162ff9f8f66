"""``python -m reidlib train``: strict reading of a recipe, then ``fit``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reidlib.errors import ReidError
from reidlib.train.launch import read_recipe
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run, write_recipe
from reidlib.workbook import cli

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2, steps=2
).but(margin=0.4)


def test_a_recipe_is_read_back_from_its_canonical_form_and_from_the_store(tmp_path):
    file = tmp_path / "r.json"
    file.write_text(json.dumps(RECIPE.canonical()))
    assert read_recipe(file) == RECIPE
    run = Run.of(RECIPE, tmp_path)
    write_recipe(run)
    again = read_recipe(run.path / "recipe.json")
    assert again == RECIPE
    assert again.fingerprint() == RECIPE.fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not the JSON of a recipe"),
        ("[1]", "no object with a recipe's fields"),
        ('{"recipe": 3}', '"recipe" is no object'),
        ('{"lr": 0.1, "lr": 0.2}', '"lr" is given twice'),
        ('{"backbon": "tiny"}', 'a recipe has no "backbon", did you mean "backbone"'),
        ('{"recipe": {}, "fingerprint": ""}', 'unknown "fingerprint" beside "recipe"'),
        ('{"lr": "fast"}', "recipe: lr is 'fast'"),
        ('{"options": {"margn": 0.1}}', 'no option "margn", did you mean "margin"'),
    ],
)
def test_what_is_not_a_recipe_is_refused(tmp_path, text, message):
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(ReidError, match=message):
        read_recipe(file)


def test_a_recipe_that_is_not_there_or_was_made_with_other_data(tmp_path):
    with pytest.raises(ReidError, match=r"cannot read .*nothing\.json: no such file"):
        read_recipe(tmp_path / "nothing.json")
    file = tmp_path / "r.json"
    file.write_text(json.dumps({"recipe": RECIPE.canonical(), "dataset_fingerprint": "other"}))
    with pytest.raises(ReidError, match="made with other synthetic data"):
        read_recipe(file)


def test_the_command_trains_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDLIB_RUNS", str(tmp_path))
    file = tmp_path / "r.json"
    file.write_text(json.dumps(RECIPE.canonical()))
    trace = tmp_path / "trace.json"
    command = ["train", str(file), "--device", "cpu"]
    assert cli.main([*command, "--deterministic", "--trace", str(trace)]) == 0
    run = Run.of(RECIPE, tmp_path)
    assert run.complete
    assert run.info["deterministic"]
    assert trace.is_file()
    assert capsys.readouterr().out.splitlines()[-1] == str(run.path)
    before = (run.path / "run.json").stat().st_mtime_ns
    assert cli.main(command) == 0
    assert (run.path / "run.json").stat().st_mtime_ns == before, "a complete run is found"
    assert cli.main([*command, "--again"]) == 0
    assert (run.path / "run.json").stat().st_mtime_ns > before
    assert not run.info["deterministic"]


def test_bad_input_ends_with_one_sentence(tmp_path, capsys):
    file: Path = tmp_path / "r.json"
    file.write_text(json.dumps(RECIPE.canonical()))
    assert cli.main(["train", str(file), "--device", "cpu", "--compile", "fast"]) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: compile has no mode "fast", choose from: default, max-autotune')
    assert len(error.splitlines()) == 1
