"""The profiles for a GPU, without one: what they take, and every notebook to its end.

From the first to the last cell notebooks run one step a training, on tiny stand-ins laid out as the
official datasets, made from drawn people; DukeMTMC-reID, which is withdrawn, is absent. Half an
hour, so it runs by itself: ``make official``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import pytest

from reidlib.data import LOADERS
from reidlib.data.sets.check import missing
from reidlib.train.recipe import Recipe
from reidlib.train.store import find, list_runs
from reidlib.workbook import noted, plan, profile
from reidlib.workbook import report as report_module

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
sys.path.insert(0, str(Path(__file__).parents[1] / "train"))
import fake_gpu
import fixtures

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[1-5]0_*.ipynb"))
BY_NAME = {"ids": lambda path: path.stem}
SIZES = {"30_vcn": (96, 32), "40_scr": (96, 48), "50_rmgl": (192, 64)}  # as in profile smoke


def market_like(folder: Path, name: str) -> None:
    """Eight people to train on and six to test on, by two cameras. name: of an image, with pid,
    cam and n."""
    people = {"bounding_box_train": range(1, 9), "query": range(9, 15),
              "bounding_box_test": range(9, 15)}  # fmt: skip
    for part, pids in people.items():
        of = range(1, 2) if part == "query" else range(2, 4)
        names = [name.format(pid=p, cam=c, n=n) for p in pids for c in (1, 2) for n in of]
        fixtures.draw_all(folder / part, names)


def lay_out(root: Path) -> None:
    """All datasets that the profiles name, but DukeMTMC-reID."""
    market_like(root / "Market-1501-v15.09.15", "{pid:04}_c{cam}s1_{n:06}_00.jpg")
    market_like(root / "CUHK03-subset", "{pid:04}_c{cam}_{n:06}_00.jpg")
    for kind in ("labeled", "detected"):
        market_like(root / "cuhk03-np" / kind, "{pid:04}_c{cam}_{n}.png")
    fixtures.viper(root)
    msmt17(root / "MSMT17_V1")
    mars(root / "MARS")
    for side in ("partial", "whole"):
        names = [f"{pid:03}_{n:03}.jpg" for pid in range(1, 7) for n in (1, 2)]
        fixtures.draw_all(root / "PartialREID" / f"{side}_body_images", names)
    for side in ("Probe", "Gallery"):
        fixtures.draw_all(root / "Partial_iLIDS" / side, [f"{n:03}.jpg" for n in range(6)])
    for pid in range(8):
        fixtures.draw_all(root / "CASIA-WebFace" / f"{pid:07}", [f"{n:03}.jpg" for n in (1, 2, 3)])
    for name in ("Ada", "Bob", "Cleo", "Dora", "Emil", "Fay"):
        fixtures.draw_all(root / "lfw" / name, [f"{name}_{n:04}.jpg" for n in (1, 2, 3)])


def msmt17(folder: Path) -> None:
    image = "{pid:04}/{pid:04}_{n:03}_{cam:02}_0303morning_0008_{n}.jpg"
    parts = {"train": ("train", range(8), (0, 1)), "val": ("train", range(8), (2, 3)),
             "query": ("test", range(6), (0,)), "gallery": ("test", range(6), (1, 2))}  # fmt: skip
    for name, (part, pids, numbers) in parts.items():
        some = [(image.format(pid=p, n=n, cam=1 + n), p) for p in pids for n in numbers]
        fixtures.draw_all(folder / part, [path for path, _ in some])
        (folder / f"list_{name}.txt").write_text("".join(f"{path} {p}\n" for path, p in some))


def mars(folder: Path) -> None:
    def walks(pids: range) -> list[tuple[str, int, int]]:
        return [(f"{pid:04}", cam, 1) for pid in pids for cam in (1, 2)]

    fixtures._tracklets(folder, "train", walks(range(1, 9)))
    fixtures._tracklets(folder, "test", walks(range(9, 15)))
    queries = [[1 + 2 * n for n in range(6)]]
    fixtures.savemat(folder / "info" / "query_IDX.mat", {"query_IDX": queries})


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("official")
    lay_out(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLIB_DATA", str(root))
        yield root


def overrides(name: str, notebook: str) -> dict[str, object]:
    """One step of a tiny network for every run."""
    domains = {
        key: {k: v for k, v in domain.items() if k != "steps"}
        for key, domain in profile.load(name, notebook).domains.items()
    }
    if "lfw" in domains:
        domains["lfw"]["data_options"] = {"ids": 6}
    return {
        "device": "cpu", "workers": 1, "backbone": "tiny", "weights": None, "precision": "float32",
        "size": SIZES.get(notebook, (64, 32)), "epochs": None, "steps": 1, "seeds": (0, 1),
        "ids_per_batch": 4, "images_per_id": 2, "points": 2, "domains": domains,
    }  # fmt: skip


def kinds(recipes: Iterable[Recipe]) -> Counter[tuple[Recipe, str, int]]:
    """Recipes without what a measured value may decide: numbers among a model's options."""
    return Counter((plan.shape(r), r.dataset, r.seed) for r in recipes)


def test_the_stand_ins_are_complete(official: Path) -> None:
    real = [name for name in LOADERS if hasattr(noted.reader(name), "find_folder")]
    assert [name for name in real if missing(name)] == ["dukemtmcreid"]


@pytest.mark.official
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["market1501", "paper"])
@pytest.mark.parametrize("path", NOTEBOOKS, **BY_NAME)
def test_from_first_to_last_cell(
    path: Path, name: str, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends, and what it has trained is what its plan says, but for options that wait for a
    measured value."""
    monkeypatch.setattr(report_module, "root", lambda: tmp_path)
    monkeypatch.setenv("REIDLIB_RUNS", str(tmp_path / "runs"))
    changes = overrides(name, path.stem)
    space = {"profile": name, "overrides": changes, "display": lambda *_: None}
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    for number, cell in enumerate(cells):
        if "parameters" not in cell.metadata.get("tags", []):
            exec(compile(cell.source, f"{path.stem}, code cell {number}", "exec"), space)
            plt.close("all")
    recipes = noted.note(path, name, changes, everything=False).recipes.values()
    planned = {f"{recipe.model}-{recipe.fingerprint()}": recipe for recipe in recipes}
    trained = list_runs()
    assert trained["complete"].all()
    found = {run: find(run).recipe for run in trained["run"]}
    unplanned = [recipe for run, recipe in found.items() if run not in planned]
    untrained = [recipe for run, recipe in planned.items() if run not in found]
    assert kinds(unplanned) == kinds(untrained)
    tables = {file.stem for file in tmp_path.glob("reports/*/tables/*.csv")}
    assert tables, "what was measured is saved"
    assert not any("duke" in table for table in tables), "a dataset that is not there"


@cache
def needs(name: str) -> dict[str, plan.Needs]:
    """Of every notebook at a profile, as ``run --plan`` counts it for a GPU of 24 GB."""
    paths = sorted(FOLDER.glob("[0-5]0_*.ipynb"))
    return {path.stem: plan.needs(*plan.asked(path, name, {}), plan.CARD) for path in paths}


@pytest.mark.official
@pytest.mark.parametrize("name", ["market1501", "paper"])
def test_a_gpu_of_24_gb_is_enough(name: str) -> None:
    """Weights, what gradients need, banks, encodings and distances of all runs at once."""
    gib = {notebook: found.memory for notebook, found in needs(name).items()}
    assert max(gib.values()) * plan.GIB < plan.CARD.memory, gib


@pytest.mark.official
def test_market1501_takes_a_day() -> None:
    hours = {notebook: found.hours for notebook, found in needs("market1501").items()}
    assert sum(hours.values()) <= 24, hours
    assert max(hours.values()) <= 8, hours
    found = profile.load("market1501")
    assert (found.weights, len(found.seeds)) == ("imagenet", 2)


@pytest.mark.official
def test_the_title_of_paper_says_what_it_takes() -> None:
    days = sum(found.hours for found in needs("paper").values()) / 24
    assert "weeks of a GPU of 24 GB" in profile.load("paper").title
    assert 14 <= days < 60


@pytest.mark.official
@pytest.mark.filterwarnings("ignore:User provided device_type")
@pytest.mark.parametrize("path", NOTEBOOKS, **BY_NAME)
def test_every_row_stays_on_the_accelerator(path: Path) -> None:
    """Losses, encodings, distances and gradients of every model that a notebook trains or tests."""
    reports = [noted.note(path, name) for name in ("market1501", "paper")]
    recipes = {recipe for report in reports for recipe in report.recipes.values()}
    recipes |= {test.recipe for report in reports for test in report.tests.values()}
    for recipe in {fake_gpu.small(recipe): recipe for recipe in recipes}.values():
        assert fake_gpu.devices(recipe) == {"cuda"}, recipe
        with pytest.MonkeyPatch.context() as patch:
            assert fake_gpu.gradients(recipe, patch) == {"meta"}, recipe
