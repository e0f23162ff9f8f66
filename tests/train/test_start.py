"""Stages: a recipe that starts from other runs, which the store trains first."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from reidlib import models
from reidlib.errors import ReidError
from reidlib.models.backbone import build_backbone
from reidlib.models.mgn import MGN
from reidlib.papers.comparators import baseline
from reidlib.papers.rmgl.model import RMGL
from reidlib.papers.scr.model import SCR
from reidlib.papers.stnreid import recipe as stnreid
from reidlib.system.files import root
from reidlib.train import store as runs
from reidlib.train.build import build_model, started_model
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe, departures
from reidlib.train.store import Run
from reidlib.workbook import cli, profile
from reidlib.workbook.profile import Profile

TINY = {"train_ids": 6, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
STAGE1 = Recipe(
    model="stnreid", backbone="tiny", size=(64, 32), ids_per_batch=2, images_per_id=2, steps=2,
    data_options=TINY, lr=1e-2, options={"triplet": 0.0, "label_smoothing": 0.0},
)  # fmt: skip
STAGE2 = STAGE1.but(start=STAGE1, frozen_stn=True, triplet=1.0, steps=4)
BASE = STAGE1.but(model="baseline", options={})
MERGED = STAGE2.but(start=(BASE, STAGE1), steps=0)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.path / "weights.safetensors")


def test_a_start_is_part_of_the_recipe():
    assert Recipe().start == ()
    assert STAGE2.start == (STAGE1,), "one recipe may stand alone"
    assert STAGE2.canonical()["start"] == [STAGE1.canonical()]
    prints = [STAGE2.but(start=start).fingerprint() for start in ((), STAGE1, STAGE1.but(seed=1))]
    assert len(set(prints)) == 3
    assert STAGE2.but(start=STAGE1.but(match="sum")).fingerprint() == prints[1], "the test is not"
    assert hash(STAGE2) != hash(STAGE2.but(start=()))
    assert STAGE2.but(start=(BASE, STAGE1)).fingerprint() not in prints
    # pinned: a change of these makes stored runs that start from others unfindable
    assert STAGE2.fingerprint() == "7ef81e2b934c5f5d"


def test_a_recipe_comes_back_from_json():
    content = json.loads(json.dumps(dataclasses.asdict(MERGED)))
    assert Recipe(**content) == MERGED
    assert Recipe(**content).fingerprint() == MERGED.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": ({"modle": "baseline"},)}, "modle"),
        ({"start": ("baseline",)}, "start"),
        ({"start": (), "steps": 0}, "steps is 0, not at least 1"),
    ],
)
def test_a_bad_start(change, message):
    with pytest.raises((ReidError, TypeError), match=message):
        STAGE2.but(**change)


def test_stage_1_is_trained_first_and_its_stn_is_kept(tmp_path):
    run = fit(STAGE2, store=tmp_path, progress=False)
    first = Run.of(STAGE1, tmp_path)
    assert first.complete, "the store trained it"
    before, after = weights(first), weights(run)
    frozen = [k for k in before if k.startswith("localization.")]
    assert frozen
    assert all(torch.equal(before[k], after[k]) for k in frozen)
    moved = before["localization.fc4.weight"].abs().max()
    assert moved > 0, "stage 1 moved the STN"
    assert not torch.equal(before["reid.classifier.weight"], after["reid.classifier.weight"])
    assert runs.find(run.path.name, tmp_path).recipe == STAGE2.training()
    seconds = first.info["seconds"]
    fit(STAGE2, store=tmp_path, resume=False, progress=False)
    assert Run.of(STAGE1, tmp_path).info["seconds"] == seconds, "stage 1 is found, not trained"


def test_a_second_stage_that_was_cut_off_ends_with_the_same_weights(tmp_path, monkeypatch):
    whole = weights(fit(STAGE2, store=tmp_path / "whole", progress=False))
    from reidlib.papers.stnreid.model import STNReID

    loss, calls = STNReID.loss, []

    def breaks(self, batch):
        calls.append(1)
        if len(calls) == 2 + 3:  # two steps of stage 1, the third of stage 2
            raise KeyboardInterrupt
        return loss(self, batch)

    monkeypatch.setattr(STNReID, "loss", breaks)
    with pytest.raises(KeyboardInterrupt):
        fit(STAGE2, store=tmp_path, checkpoint_seconds=0, progress=False)
    monkeypatch.setattr(STNReID, "loss", loss)
    resumed = weights(fit(STAGE2, store=tmp_path, progress=False))
    assert len(calls) == 5
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)


def test_runs_are_put_together_without_a_step(tmp_path):
    merged = fit(MERGED, store=tmp_path, progress=False)
    own = weights(merged)
    base, stage1 = (weights(Run.of(r, tmp_path)) for r in (BASE, STAGE1))
    assert all(torch.equal(own[f"reid.{k}"], v) for k, v in base.items())
    assert all(torch.equal(own[k], v) for k, v in stage1.items() if k.startswith("localization."))
    assert merged.info["steps"] == 0
    assert merged.history.empty
    assert merged.summary().loc["steps x batch", "value"] == "0 x 4"
    assert merged.evaluate().num_valid > 0


def test_a_model_that_takes_nothing_over_says_so(tmp_path):
    recipe = BASE.but(
        model="rmgl", options={}, size=(96, 32), start=BASE.but(model="pcb", stripes=2)
    )
    with pytest.raises(ReidError, match="RMGL takes nothing over from a run of pcb"):
        fit(recipe, store=tmp_path, progress=False)


@pytest.mark.parametrize("model", ["baseline", "stnreid"])
def test_a_classifier_of_other_people_is_not_taken_over(tmp_path, model):
    """As many people, so that the shapes are equal."""
    elsewhere = BASE.but(data_options={**TINY, "domain": "b"})
    name = "reid.classifier.weight" if model == "stnreid" else "classifier.weight"
    options = {} if model == "baseline" else dict(STAGE1.options)
    for start, taken in ((BASE, True), (elsewhere, False)):
        recipe = BASE.but(model=model, options=options, steps=0, start=start)
        own, other = (
            weights(fit(recipe, store=tmp_path, progress=False)),
            weights(Run.of(start, tmp_path)),
        )
        assert own[name].shape == other["classifier.weight"].shape
        assert torch.equal(own[name], other["classifier.weight"]) == taken
        backbone = name.replace("classifier.weight", "backbone.conv5.0.conv1.weight")
        assert torch.equal(own[backbone], other["backbone.conv5.0.conv1.weight"])


def last_map(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The map of a model's (last) path through the whole, undisturbed architecture."""
    if isinstance(model, RMGL):
        return model.maps(images)[1, "original"]
    if isinstance(model, SCR):
        return model.maps(images)["p3"]
    if isinstance(model, MGN):
        return model.branches[-1](model.trunk(images))
    return getattr(model, "reid", model).backbone(images)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("starts")


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("baseline", {"neck": False}),
        ("dsr", {}),
        ("pcb", {"stripes": 2}),
        ("mgn", {}),
        ("vcn", {}),
        ("stnreid", {"neck": False}),
        ("ppcl", {"rectify": "resize"}),
        ("rmgl", {"rp": False}),
        ("scr", {}),
        ("vggface", {"last_stride": 1, "width": 8}),
    ],
)
def test_every_model_starts_from_the_backbone_of_a_baseline(store, model, options):
    backbone = "vgg_tiny" if model == "vggface" else "tiny"
    start = BASE.but(backbone=backbone, steps=1)
    recipe = start.but(model=model, options=options, start=start, seed=5)
    baseline = fit(start, store=store, progress=False).load_model()
    channels_last = torch.channels_last  # the order of a loaded run, for equal rounding
    own = started_model(Run.of(recipe, store)).to(memory_format=channels_last).eval()
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(last_map(own, images), baseline.backbone(images))
        fresh = build_model(recipe, 6).to(memory_format=channels_last).eval()
        assert not torch.equal(last_map(fresh, images), last_map(own, images))


def test_a_rectifier_starts_from_a_baseline_of_its_own_network(store):
    start = BASE.but(steps=1)
    glrec = BASE.but(model="glrec", options={}, start=start)
    own = started_model(Run.of(glrec, store)).backbone.state_dict()
    there = fit(start, store=store, progress=False).load_model().backbone.state_dict()
    assert all(torch.equal(own[k], v) for k, v in there.items())
    other = models.build("glrec", 4, backbone="mobilenet_v2", size=(64, 32))
    with pytest.raises(ReidError, match="takes nothing over from a baseline of another backbone"):
        other.load_start(there, "baseline", True)


def test_a_start_of_another_backbone_is_refused(store):
    start = BASE.but(steps=1)
    fit(start, store=store, progress=False)
    recipe = BASE.but(model="vcn", options={}, backbone="resnet18", start=start)
    with pytest.raises(ReidError, match="do not fit resnet18"):
        started_model(Run.of(recipe, store))


def test_start_weights_by_name(store, tmp_path, monkeypatch):
    run = fit(BASE.but(steps=1), store=store, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("reidlib.models.weights.STARTS", tmp_path)
        with pytest.raises(ReidError, match=r'there are none for the backbone "tiny"'):
            build_backbone("tiny", "start")
        path = tmp_path / "tiny.safetensors"
        patch.setenv("REIDLIB_RUNS", str(store))
        assert cli.main(["runs", "export", run.fingerprint, str(path)]) == 0
        assert {v.dtype for v in load_file(path).values()} == {torch.float16, torch.int64}
        assert "layer1.0.conv1.weight" in load_file(path)
        by_name, by_path = BASE.but(weights="start"), BASE.but(weights=str(path))
        assert by_name.fingerprint() == by_path.fingerprint() != BASE.fingerprint()
        assert by_name.canonical()["weights"] == "start"
        own = build_model(by_name, 6).backbone.state_dict()
    for name, value in run.load_model().backbone.state_dict().items():
        torch.testing.assert_close(own[name], value, rtol=1e-3, atol=1e-6)
    with pytest.raises(ReidError, match="is no run of the baseline"):
        runs.export_start(Run(run.path, STAGE1), tmp_path / "x.safetensors")


def test_a_profile_scales_the_start_too():
    own = Profile(name="x", title="x", dataset="synthetic", seeds=(3,), backbone="tiny",
                  size=(64, 32), steps=7, data_options=TINY)  # fmt: skip
    town = baseline.RECIPE.but(dataset="synthetic", data_options={"domain": "b"})
    first, base = stnreid.EP["Ep1"], stnreid.BASELINE.but(start=town)
    merged = stnreid.EP5.but(steps=0, start=(base, first))
    made = own.apply(merged)
    assert made.steps == 0, "there is nothing to train"
    _, stage1 = made.start
    assert made.start == (own.apply(base), own.apply(first))
    base_made = made.start[0]
    assert (stage1.steps, stage1.size, stage1.seed, stage1.dataset) == (7, (64, 32), 3, "synthetic")
    assert dict(stage1.data_options) == TINY
    assert own.apply(merged, 5).start[1].seed == 5
    (elsewhere,) = base_made.start
    assert dict(elsewhere.data_options) == {**TINY, "domain": "b"}, "its own town, at our scale"
    there = own.apply(merged, dataset="market1501", data_options={}, size=(96, 48))
    assert (there.start[1].dataset, there.start[1].size) == ("market1501", (96, 48))
    real = dataclasses.replace(own, dataset="market1501", data_options={})
    (elsewhere,) = real.apply(base).start
    assert (elsewhere.dataset, dict(elsewhere.data_options)) == ("synthetic", {"domain": "b"})
    assert real.apply(merged).start[1].dataset == "market1501"


def test_departures_name_another_start():
    assert "start baseline (none)" in departures(BASE.but(start=BASE), BASE)
    assert departures(STAGE2, STAGE2.but(start=STAGE1.but(seed=4))) == ""


def test_a_profile_names_weights_or_a_file():
    for given, read in (("start", "start"), ("imagenet", "imagenet"), (None, None)):
        assert profile.load("smoke", overrides={"weights": given}).weights == read
    file = profile.load("smoke", overrides={"weights": "some/file.safetensors"}).weights
    assert file == str(root() / "some/file.safetensors")


def test_every_profile_can_read_the_rows():
    for name in profile.names():
        scaled = profile.load(name)
        for recipe in stnreid.rows().values():
            assert scaled.apply(recipe).dataset == scaled.dataset
