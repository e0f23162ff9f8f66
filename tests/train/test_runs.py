"""The run store: naming, reading back, stored evaluations, listing and removing."""

import json
import math

import pandas as pd
import pytest

from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.evaluate import retrieval as evaluation
from reidlib.train import store as runs
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe

DATA = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3, "size": (64, 32)}
RECIPE = Recipe(
    data_options=DATA, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2, steps=2
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    return fit(RECIPE, device="cpu", store=tmp_path_factory.mktemp("store"), progress=False)


def test_the_folder_is_named_by_model_and_fingerprint(run):
    assert run.path.name == f"baseline-{RECIPE.fingerprint()}"
    assert run.fingerprint == RECIPE.fingerprint()
    content = json.loads((run.path / "recipe.json").read_text())
    assert content["dataset_fingerprint"] == RECIPE.load_dataset().fingerprint


def test_the_loaded_model_gives_the_stored_metrics(run):
    model = run.load_model()
    assert not model.training
    dataset = RECIPE.load_dataset()
    assert evaluation.evaluate(model, dataset).as_dict() == run.metrics.as_dict()


def test_a_run_of_two_steps_is_at_chance(run):
    last = run.history["id"].iloc[-1] / math.log(RECIPE.load_dataset().num_ids)
    assert run.chance_share == pytest.approx(last)
    assert run.chance_share > 0.8


def test_an_evaluation_is_stored_by_data_and_options(run, monkeypatch):
    calls = []
    real = runs.evaluate
    monkeypatch.setattr(runs, "evaluate", lambda *a, **k: calls.append(k) or real(*a, **k))
    partial = load("synthetic", partial={"ratio": (0.3, 0.5)}, **DATA)
    first = run.evaluate(partial)
    assert run.evaluate(partial).as_dict() == first.as_dict()
    assert len(calls) == 1
    run.evaluate(partial, flip=True)
    run.evaluate(load("synthetic", partial={"ratio": (0.4, 0.5)}, **DATA))
    assert len(calls) == 3
    pd.testing.assert_frame_equal(run.evaluate(partial).per_query, first.per_query)


def test_a_part_of_a_dataset_and_another_protocol_are_other_evaluations(run):
    dataset = RECIPE.load_dataset()
    assert run.evaluate(dataset).num_queries == 12
    assert run.evaluate(dataset.but(query=dataset.query[:3])).num_queries == 3
    partial = run.evaluate(dataset.but(protocol="partial"))
    assert partial.per_query.num_matches.sum() > run.metrics.per_query.num_matches.sum()
    assert run.evaluate(protocol="partial").as_dict() == partial.as_dict()


def test_defaults_written_out_and_banks_are_no_other_evaluation(run, monkeypatch):
    first = run.metrics
    monkeypatch.setattr(runs, "evaluate", lambda *a, **k: pytest.fail("evaluated again"))
    again = run.evaluate(flip=False, protocol="market1501", query_bank=object())
    assert again.as_dict() == first.as_dict()


def test_an_unknown_option_of_an_evaluation_names_the_nearest(run):
    with pytest.raises(ReidError, match='no option "flp", did you mean "flip"'):
        run.evaluate(flp=True)


def test_a_run_of_another_version_is_listed_and_can_be_removed(tmp_path):
    path = tmp_path / "rmgl-0123456789abcdef"
    path.mkdir()
    (path / "recipe.json").write_text('{"recipe": {"no_such_field": 1}}')
    assert runs.list_runs(tmp_path).run.tolist() == [path.name]
    with pytest.raises(ReidError, match="cannot be read by this version"):
        runs.find("rmgl", tmp_path)
    assert runs.remove("rmgl", tmp_path) == path
    assert not path.exists()


def test_list_find_remove(tmp_path):
    kept = fit(RECIPE, device="cpu", store=tmp_path, progress=False)
    gone = fit(RECIPE.but(seed=1), device="cpu", store=tmp_path, progress=False)
    table = runs.list_runs(tmp_path)
    assert set(table.run) == {kept.path.name, gone.path.name}
    assert table.complete.all()
    assert runs.find(gone.fingerprint[:8], tmp_path).recipe == gone.recipe
    assert runs.remove(gone.path.name, tmp_path) == gone.path
    assert runs.list_runs(tmp_path).run.tolist() == [kept.path.name]
    with pytest.raises(ReidError, match='no run matches "nothing"'):
        runs.find("nothing", tmp_path)


def test_several_matches_are_refused(tmp_path):
    for seed in (0, 1):
        fit(RECIPE.but(seed=seed), device="cpu", store=tmp_path, progress=False)
    with pytest.raises(ReidError, match="several runs match"):
        runs.remove("baseline", tmp_path)


def test_an_incomplete_run_has_no_model(tmp_path):
    run = runs.Run.of(RECIPE, tmp_path)
    with pytest.raises(ReidError, match="is not complete"):
        run.load_model()
