"""The run store: one folder a recipe, named by its fingerprint.

runs/<model>-<fingerprint>.lock  who trains it (see ``reidlib.system.lock``)
runs/<model>-<fingerprint>/
    recipe.json             the recipe and the dataset's fingerprint
    checkpoint.safetensors  while training: weights, optimiser state, step
    history.csv             loss, accuracy, images/s over the steps
    weights.safetensors     when training is over
    run.json                written last (so: complete): seconds, device, versions
    eval/<key>/             one evaluation each, keyed by data, protocol and options
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save

from reidlib import models
from reidlib.data import Dataset
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.retrieval import Metrics, evaluate
from reidlib.evaluate.verdict import chance_share
from reidlib.models import ReIDModel
from reidlib.models.backbone import torchvision_state
from reidlib.system.devices import pick_device
from reidlib.system.files import atomic_write, runs_dir
from reidlib.system.lock import claim, lock_file
from reidlib.system.types import options_of
from reidlib.train.recipe import Recipe, outline

# Raise it when the same weights on the same data would be scored otherwise than before: stored
# evaluations are then no longer found.
EVALUATION = 2  # 2: RMGL cuts balanced stripes at the nearest border
_OPTIONS = options_of(evaluate, "device")
_BANKS = ("query_bank", "gallery_bank")  # the same images sooner, not other ones


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder of the store; complete or on the way.

    Its recipe may have test options of its own: several recipes, one training.
    """

    path: Path
    recipe: Recipe

    @classmethod
    def of(cls, recipe: Recipe, store: Path | None = None) -> Run:
        """The (perhaps empty) place of a recipe in the store."""
        name = f"{recipe.model}-{recipe.fingerprint()}"
        return cls((store or runs_dir()) / name, recipe)

    @property
    def fingerprint(self) -> str:
        return self.path.name.rsplit("-", 1)[-1]

    @property
    def complete(self) -> bool:
        return (self.path / "run.json").is_file()

    @property
    def info(self) -> dict[str, Any]:
        """What ``run.json`` holds: seconds, device, commit, versions, parameters, time by part."""
        if not self.complete:
            raise ReidError(f"run {self.path} is not complete: train it with fit(recipe)")
        info: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        return info

    @property
    def history(self) -> pd.DataFrame:
        """One row an interval of steps: step, epoch, lr, loss and its parts, images_per_s."""
        return pd.read_csv(self.path / "history.csv")

    @property
    def chance_share(self) -> float | None:
        """The last identity loss as a share of chance's (``verdict.chance_share``)."""
        num_ids = self.recipe.load_dataset().num_ids
        return chance_share(self.history, outline(self.recipe, num_ids).identity_terms, num_ids)

    def summary(self) -> pd.DataFrame:
        """How the run was made, one line a fact: steps, seconds, parameters, device, versions."""
        info = self.info
        how = ["deterministic"] if info.get("deterministic") else []
        how += [f"compiled ({info['compile']})"] if info.get("compile") else []
        facts = {
            "run": self.path.name,
            "steps x batch": f"{info['steps']} x {info['batch']}",
            "seconds of training": f"{info['seconds']:.0f}",
            "images per second": f"{info['images_per_s']:.0f} (median over the run)",
            "parameters (M)": f"{info['parameters'] / 1e6:.2f}",
            "GMACs per image": f"{info['gmacs']:.3f} (encoding, multiply-accumulates)",
            "TFLOP/s": f"{info['tflops']:.3f}, {100 * info['share_of_peak']:.0f} % of a matrix "
            f"product's {info['peak_tflops']:.3f} ({info['precision']})",
            "image bank": f"tier {info['tier']}",
            "device": f"{info['device']}, {info['threads']} threads"
            + (f", {n} processes" if (n := info.get("processes", 1)) > 1 else ""),
            "computed": ", ".join(how) or "as the recipe says",
            "software": f"reidlib {info['commit']}, torch {info['torch']}, Python {info['python']}",
        }
        return pd.DataFrame({"value": facts}).rename_axis("fact")

    def load_model(self, device: str | torch.device = "cpu") -> ReIDModel:
        """The trained model in evaluation mode."""
        self.info  # noqa: B018  (raises if the run is not complete)
        recipe = self.recipe
        model = models.build(
            recipe.model,
            recipe.load_dataset().num_ids,
            backbone=recipe.backbone,
            size=recipe.size,
            **recipe.options,
        )
        model.load_state_dict(load_file(self.path / "weights.safetensors"))
        return model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @property
    def metrics(self) -> Metrics:
        """The evaluation on the recipe's own dataset with its default protocol."""
        return self.evaluate()

    def evaluate(
        self,
        dataset: Dataset | None = None,
        *,
        device: str | torch.device | None = None,
        **options: Any,
    ) -> Metrics:
        """Metrics on ``dataset`` (default: the recipe's own); stored, and read if stored before.

        options: of ``reidlib.evaluate.evaluate`` (flip, rerank, protocol ...). Raises ReidError for
        an unknown one.
        """
        dataset = dataset or self.recipe.load_dataset()
        folder, what = self._evaluation(dataset, options)
        if not (folder / "metrics.json").is_file():
            device = pick_device(device)
            metrics = evaluate(self.load_model(device), dataset, device=device, **options)
            what |= {"dataset": dataset.name, "device": str(device), "torch": torch.__version__}
            atomic_write(folder / "what.json", json.dumps(what, indent=1, default=str))
            metrics.save(folder)
        return Metrics.load(folder)

    def evaluated(self, dataset: Dataset | None = None, **options: Any) -> bool:
        """Whether ``evaluate`` with these arguments has its answer stored."""
        folder, _ = self._evaluation(dataset or self.recipe.load_dataset(), options)
        return (folder / "metrics.json").is_file()

    def _evaluation(self, dataset: Dataset, options: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
        """The folder of an evaluation and what it is named by."""
        what = _what(dataset, options)
        if tested := self.recipe.test_options():
            what["model"] = tested
        version = models.model_class(self.recipe.model).test_version
        if version > 1:
            what["test version"] = version
        key = json.dumps(what, sort_keys=True, default=str)
        return self.path / "eval" / hashlib.sha256(key.encode()).hexdigest()[:16], what


def _what(dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """What decides the result of an evaluation beside the weights: the key of a stored one.

    The tables are in it themselves: a part of a dataset has the fingerprint of the whole.
    """
    for name in options:
        if name not in _OPTIONS:
            raise ReidError(f'evaluation has no option "{name}"{nearest(name, _OPTIONS)}')
    tables = hashlib.sha256()
    for table in (dataset.query, dataset.gallery):
        columns = [
            c for c in ("pid", "cam", "tracklet", "frame", "box", "group") if c in table.columns
        ]
        names = table.path.map(lambda path: Path(path).name)
        tables.update(table[columns].assign(name=names).to_csv(index=False).encode())
    changed = {k: v for k, v in options.items() if k not in _BANKS and v != _OPTIONS[k].default}
    return {
        **changed,
        "data": dataset.fingerprint,
        "tables": tables.hexdigest()[:16],
        "protocol": options.get("protocol") or dataset.protocol,
        "evaluation": EVALUATION,
    }


def export_start(run: Run, path: str | Path) -> Path:
    """Writes the backbone of a finished run of the baseline as start weights: half precision,
    torchvision's names, safetensors. What ``weights`` of another recipe may name.

    Raises ReidError for another model, and for a weight that half precision cannot hold.
    """
    if run.recipe.model != "baseline":
        raise ReidError(
            f"{run.path.name} is no run of the baseline, whose backbone others may start from"
        )
    backbone = run.load_model().get_submodule("backbone")
    found = torchvision_state(run.recipe.backbone, backbone.state_dict())
    half = {k: v.half() if v.is_floating_point() else v for k, v in found.items()}
    if not all(bool(value.isfinite().all()) for value in half.values()):
        raise ReidError(f"a weight of {run.path.name} is too large for half precision")
    atomic_write(path, save({k: v.contiguous() for k, v in half.items()}))
    return Path(path)


def write_recipe(run: Run) -> None:
    """Writes ``recipe.json`` of a run."""
    content = {
        "recipe": dataclasses.asdict(run.recipe.training()),
        "dataset_fingerprint": run.recipe.load_dataset().fingerprint,
    }
    atomic_write(run.path / "recipe.json", json.dumps(content, indent=1, default=str))


def prepare(run: Run, resume: bool) -> None:
    """The run's folder as training expects it; without ``resume`` nothing of an older one stays."""
    for part in run.path.glob(".*.part*"):  # of a process that was killed while it wrote
        part.unlink(missing_ok=True)
    if not resume:
        for name in ("run.json", "checkpoint.safetensors", "history.csv"):
            (run.path / name).unlink(missing_ok=True)
        shutil.rmtree(run.path / "eval", ignore_errors=True)  # of the weights that were
    write_recipe(run)


def _open(path: Path) -> Run:
    try:
        content = json.loads((path / "recipe.json").read_text())
        return Run(path, Recipe(**content["recipe"]))
    except (ValueError, TypeError, KeyError) as error:  # a ReidError is a ValueError
        raise ReidError(
            f"{path} cannot be read by this version of reidlib ({error}): remove it with "
            f"python -m reidlib runs remove {path.name}"
        ) from error


def _folders(store: Path | None) -> list[Path]:
    store = store or runs_dir()
    return sorted(file.parent for file in store.glob("*/recipe.json"))


def list_runs(store: Path | None = None) -> pd.DataFrame:
    """One row a run: name, model, dataset, backbone, seed, complete, seconds.

    A run that this version cannot read has its name alone.
    """
    rows: list[dict[str, Any]] = []
    for path in _folders(store):
        try:
            run = _open(path)
        except ReidError:
            rows.append({"run": path.name, "model": "not readable", "complete": False})
            continue
        rows.append(
            {
                "run": path.name,
                "model": run.recipe.model,
                "dataset": run.recipe.dataset,
                "backbone": run.recipe.backbone,
                "seed": run.recipe.seed,
                "complete": run.complete,
                "seconds": run.info["seconds"] if run.complete else float("nan"),
            }
        )
    columns = ["run", "model", "dataset", "backbone", "seed", "complete", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def find(name: str, store: Path | None = None) -> Run:
    """The run whose folder or fingerprint begins with ``name``; it must be only one."""
    return _open(_find(name, store))


def _find(name: str, store: Path | None) -> Path:
    found = [p for p in _folders(store) if p.name.startswith(name) or f"-{name}" in p.name]
    if len(found) != 1:
        many = "several runs match" if found else "no run matches"
        raise ReidError(f'{many} "{name}": see python -m reidlib runs list')
    return found[0]


def remove(name: str, store: Path | None = None) -> Path:
    """Deletes one run and returns the folder that it had. Raises ReidError if it is in training."""
    path = _find(name, store)
    with claim(path, seconds=0.5):
        shutil.rmtree(path)
        lock_file(path).unlink()
    return path
