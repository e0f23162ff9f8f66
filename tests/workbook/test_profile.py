"""Profiles: what is read, what wins over what, and what each mistake is answered with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.papers import ppcl
from reidlib.papers.comparators import pcb
from reidlib.papers.scr import recipe as scr
from reidlib.train.recipe import Recipe
from reidlib.workbook import plan, profile

NAMES = ["demo", "market1501", "market1501_cpu", "paper", "smoke", "study"]


@dataclass(frozen=True)
class FakeRecipe:
    epochs: float = 100.0
    epoch_of: str = "images"
    warmup: float = 10.0
    milestones: tuple[float, ...] = (40.0, 70.0)
    steps: int | None = None
    dataset: str = ""
    data_options: Any = None
    backbone: str = "resnet50"
    weights: str | None = "imagenet"
    size: tuple[int, int] = (384, 128)
    ids_per_batch: int = 16
    images_per_id: int = 4
    lr: float = 1.0
    seed: int = 7
    start: tuple[Any, ...] = ()

    def but(self, **changes: Any) -> FakeRecipe:
        return replace(self, **changes)


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one good profile ``own`` and two notebooks; ``REIDLIB_PROFILE`` unset."""
    monkeypatch.delenv("REIDLIB_PROFILE", raising=False)
    monkeypatch.setattr(profile, "root", lambda: tmp_path)
    folder = tmp_path / "notebooks" / "params"
    folder.mkdir(parents=True)
    for name in ("00_quickstart", "50_rmgl"):
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    write(folder)
    return folder


def write(params: Path, profile_name: str = "own", /, **changes: str) -> None:
    lines = {
        "title": "Ours.",
        "dataset": "synthetic",
        "data_options": "{images: 2, size: [64, 32]}",
        "seeds": "[3, 1]",
    } | changes
    (params / f"{profile_name}.yaml").write_text("".join(f"{k}: {v}\n" for k, v in lines.items()))


@pytest.mark.parametrize("name", NAMES)
def test_the_profiles_of_the_repository_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REIDLIB_PROFILE", raising=False)
    read = profile.load(name)
    assert read.name == name
    assert read.folder == {"market1501_cpu": "market1501"}.get(name, name)
    assert read.title.endswith(".")


def test_these_are_all_the_profiles() -> None:
    assert profile.names() == NAMES


def test_defaults_and_tuples(params: Path) -> None:
    read = profile.load("own")
    assert (read.folder, read.epochs, read.steps, read.backbone) == ("own", None, None, None)
    assert read.seeds == (3, 1)
    assert read.data_options == {"images": 2, "size": (64, 32)}


def test_notebook_then_overrides_win(params: Path) -> None:
    write(params, steps="9", notebooks="{50_rmgl: {steps: 5, size: [96, 48]}}")
    assert profile.load("own").steps == 9
    assert profile.load("own", "00_quickstart").steps == 9
    assert profile.load("own", "50_rmgl").steps == 5
    read = profile.load("own", "50_rmgl", {"steps": 2})
    assert (read.steps, read.size) == (2, (96, 48))


def test_options_merge_unless_the_dataset_changes(params: Path) -> None:
    merged = profile.load("own", overrides={"data_options": {"images": 4}})
    assert merged.data_options == {"images": 4, "size": (64, 32)}
    same = profile.load("own", overrides={"dataset": "synthetic"})
    assert same.data_options == {"images": 2, "size": (64, 32)}
    other = profile.load("own", overrides={"dataset": "market1501"})
    assert other.data_options == {}


def test_domains_merge_by_name(params: Path) -> None:
    town, other = {"dataset": "synthetic"}, {"dataset": "viper"}
    write(params, domains="{duke: {dataset: synthetic}, cuhk03: {dataset: synthetic}}")
    merged = profile.load("own", overrides={"domains": {"cuhk03": other}})
    assert merged.domains == {"duke": town, "cuhk03": other}
    less = profile.load("own", overrides={"domains": {"duke": None}})
    assert less.domains == {"cuhk03": town}


def test_the_environment_wins(params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(params, "small")
    monkeypatch.setenv("REIDLIB_PROFILE", "small")
    assert profile.load("own").name == "small"
    monkeypatch.setenv("REIDLIB_PROFILE", "smal")
    with pytest.raises(ReidError, match=r'REIDLIB_PROFILE is "smal".*did you mean "small"'):
        profile.load("own")


def test_unknown_profile(params: Path) -> None:
    with pytest.raises(ReidError, match=r'"onw" is not a profile .*did you mean "own"\?'):
        profile.load("onw")
    with pytest.raises(ReidError, match="choose from: own"):
        profile.load("zzz")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step": "3"}, r'own.yaml has the unknown key "step", did you mean "steps"\?'),
        ({"steps": "0"}, "own.yaml: steps is 0, must be above 0"),
        ({"steps": "true"}, "steps is True"),
        ({"steps": "2.5"}, "steps is 2.5"),
        ({"steps": "[]"}, "steps is"),
        ({"epochs": "1e-4"}, r"epochs is '1e-4' .str., not float .*write 1\.0e-4"),
        ({"epochs": "0"}, "epochs is 0"),
        ({"epochs": ".nan"}, "epochs is nan"),
        ({"epochs": ".inf"}, "epochs is inf"),
        ({"data_options": "[1]"}, "data_options is"),
        ({"size": "[96]"}, r"size is \[96\] .*tuple\[int, int\]"),
        ({"size": "[96, 0]"}, "size is"),
        ({"seeds": "[]"}, "seeds is"),
        ({"seeds": "[1, 1]"}, "different"),
        ({"seeds": "[-1]"}, "seeds is"),
        ({"folder": "../study"}, "folder is"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"lr": "0"}, "lr is 0, must be a finite number above 0"),
        ({"images_per_id": "a"}, "images_per_id is 'a'"),
        ({"ids_per_batch": "1"}, "ids_per_batch is 1"),
        ({"steps": "3", "epochs": "0.5"}, "steps and epochs exclude each other"),
        ({"title": "a\ntitle: b"}, 'the key "title" is given twice'),
        ({"size": "[96, 48"}, "own.yaml cannot be read as YAML"),
        ({"notebooks": "{50_rmlg: {steps: 2}}"}, '"50_rmlg".*did you mean "50_rmgl"'),
        ({"notebooks": "{50_rmgl: {stepz: 2}}"}, 'notebooks, 50_rmgl has the unknown key "stepz"'),
        ({"notebooks": "{50_rmgl: {notebooks: {}}}"}, 'unknown key "notebooks"'),
        ({"points": "0"}, "points is 0"),
        ({"rows": "some"}, 'rows: unknown "some"'),
        ({"domains": "{duke: {dataset: cuhk03_subset}}"}, 'did you mean "cuhk03-subset"'),
        ({"domains": "{duke: {domain: b}}"}, "domains: duke must hold dataset"),
        ({"folder": "study", "dataset": "market1501"}, "real people never enter the repository"),
    ],
)
def test_a_mistake_is_one_sentence(params: Path, changes: dict[str, str], sentence: str) -> None:
    write(params, **changes)
    with pytest.raises(ReidError, match=sentence) as error:
        profile.load("own")
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named(params: Path) -> None:
    (params / "own.yaml").write_text("title: Ours.\ndataset: synthetic\n")
    with pytest.raises(ReidError, match=r"own.yaml has no seeds: add a line seeds:"):
        profile.load("own")
    (params / "own.yaml").write_text("only text\n")
    with pytest.raises(ReidError, match=r"own.yaml must hold lines"):
        profile.load("own")


def test_overrides_are_checked_too(params: Path) -> None:
    with pytest.raises(ReidError, match=r'overrides has the unknown key "bakbone".*"backbone"'):
        profile.load("own", overrides={"bakbone": "tiny"})
    with pytest.raises(ReidError, match="overrides must hold"):
        profile.load("own", overrides=[1])  # type: ignore[arg-type]
    write(params, "study")
    for changes in ({"dataset": "market1501"}, {"dataset": "viper", "folder": "elsewhere"}):
        with pytest.raises(ReidError, match="real people never enter"):
            profile.load("study", overrides=changes)


def test_a_notebook_may_have_a_schedule_of_its_own(params: Path) -> None:
    rates = "optimizer: adam, lr: 3.5e-4, head_lr: 10, schedule: cosine, warmup: 60"
    write(params, notebooks=f"{{50_rmgl: {{{rates}}}}}")
    paper = Recipe(schedule="step", optimizer="sgd", lr=0.01)
    own, other = (profile.load("own", name).apply(paper) for name in ("50_rmgl", "00_quickstart"))
    assert (own.schedule, own.optimizer, own.lr, own.head_lr) == ("cosine", "adam", 3.5e-4, 10)
    assert (own.warmup, other.warmup) == (60, 10)
    assert (other.schedule, other.optimizer, other.lr, other.head_lr) == ("step", "sgd", 0.01, 1)


def test_apply_with_steps_leaves_the_shape(params: Path) -> None:
    write(params, steps="9", size="[96, 48]", backbone="tiny", ids_per_batch="8")
    recipe = profile.load("own").apply(FakeRecipe())  # type: ignore[arg-type]
    assert recipe == FakeRecipe(
        steps=9,
        size=(96, 48),
        backbone="tiny",
        weights=None,
        ids_per_batch=8,
        dataset="synthetic",
        data_options={"images": 2, "size": (64, 32)},
        seed=3,
    )


def test_apply_scales_epochs_warmup_and_milestones(params: Path) -> None:
    write(params, epochs="50", weights="imagenet")
    recipe = profile.load("own").apply(FakeRecipe(), seed=1)  # type: ignore[arg-type]
    assert (recipe.epochs, recipe.warmup, recipe.milestones) == (50.0, 5.0, (20.0, 35.0))
    assert (recipe.seed, recipe.weights, recipe.backbone) == (1, "imagenet", "resnet50")


def test_a_shorter_schedule_stays_as_it_is(params: Path) -> None:
    """PCB's 60 epochs are not cut to 7 because SCR's 500 are cut to 60."""
    write(params, epochs="60")
    read = profile.load("own")
    assert read.apply(pcb.RECIPE).epochs == 60
    assert read.apply(pcb.RECIPE).milestones == pcb.RECIPE.milestones == (40,)
    scr_recipe = read.apply(scr.RECIPE)
    assert (scr_recipe.epochs, scr_recipe.milestones) == (60, (36, 48))


def test_recipes_whose_epochs_are_shorter_may_have_more_of_them(params: Path) -> None:
    write(params, epochs="12", rounds="50")
    read = profile.load("own")
    assert (read.apply(pcb.RECIPE).epochs, read.apply(scr.RECIPE).epochs) == (12, 50)
    shorter = profile.load("own", overrides={"epochs": None, "steps": 7})
    assert shorter.apply(scr.RECIPE).steps == 7


def test_pcb_sees_as_many_images_as_scr_beside_it() -> None:
    read = profile.load("market1501", "40_scr")
    of = {recipe.model: read.apply(recipe) for recipe in (pcb.RECIPE, scr.RECIPE)}
    shown = {m: plan.steps(r) * r.ids_per_batch * r.images_per_id for m, r in of.items()}
    assert shown["pcb"] == pytest.approx(shown["scr"], rel=0.01)


def test_a_profile_for_a_gpu_is_refused_without_one(
    params: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(params, device="cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ReidError, match=r"profile own is for a GPU and torch finds none .*=cpu"):
        profile.load("own").pick_device()
    assert profile.load("own", overrides={"device": "cpu"}).pick_device().type == "cpu"
    for name in ("market1501", "paper"):
        monkeypatch.undo()
        assert profile.load(name).device == "cuda"


def test_changes_win_over_the_profile(params: Path) -> None:
    write(params, size="[96, 48]")
    read = profile.load("own")
    recipe = read.apply(FakeRecipe(), size=(64, 64), lr=0.5)  # type: ignore[arg-type]
    assert (recipe.size, recipe.lr) == ((64, 64), 0.5)
    other = read.apply(FakeRecipe(), dataset="market1501")  # type: ignore[arg-type]
    assert (other.dataset, other.data_options) == ("market1501", {})


@pytest.mark.parametrize("name", NAMES)
def test_profiles_scale_a_real_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REIDLIB_PROFILE", raising=False)
    read = profile.load(name)
    recipe = read.apply(Recipe())
    assert recipe.size == (read.size or Recipe().size)
    assert recipe.steps == read.steps
    assert recipe.data_options == read.data_options
    assert recipe.warmup / recipe.epochs == Recipe().warmup / Recipe().epochs
    assert recipe == read.apply(recipe)


def test_runs_on_the_same_people_begin_as_the_profiles_start(params: Path) -> None:
    write(params, start="{backbone: tiny, weights: null, size: [96, 32]}")
    own = profile.load("own")
    recipe = Recipe(model="rmgl", backbone="tiny", size=(192, 64))
    (first,) = own.apply(recipe).start
    assert (first.model, first.dataset, first.size) == ("baseline", "synthetic", (96, 32))
    assert first.data_options == {"images": 2, "size": (64, 32)}
    assert all(own.apply(recipe, seed).start == (first,) for seed in own.seeds)  # one start
    assert own.apply(recipe, dataset="market1501").start == ()  # these people would be known to it
    assert own.apply(recipe, backbone="resnet18").start == ()
    assert own.apply(first, steps=None, size=(96, 32)).start == ()  # it begins at its weights
    chained = own.apply(recipe.but(start=(Recipe(model="baseline", backbone="tiny"),)))
    assert chained.start[0].start == (first,)


def test_what_a_run_starts_from_has_the_runs_own_weights(params: Path) -> None:
    """Faces are of a network for which the package has no start weights."""
    write(params, weights="start", backbone="tiny")
    own = profile.load("own")
    faces = ppcl.face_recipe
    recipe = own.apply(faces.rows("start")["PPCL"], **faces.train_on("start"))
    (rectifier,) = recipe.start
    assert recipe.weights is rectifier.weights is None
    assert recipe.backbone == rectifier.backbone == "vgg_tiny"
    assert own.apply(ppcl.recipe.RECIPE).start[0].weights == "start"


def test_a_profile_without_a_start_has_none(params: Path) -> None:
    with pytest.raises(ReidError, match="profile own has no start: its runs begin at weights"):
        profile.load("own").started()
