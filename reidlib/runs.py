"""The run store: one folder a recipe, named by its fingerprint.

runs/<model>-<fingerprint>/
    recipe.json             the recipe and the dataset's fingerprint
    checkpoint.safetensors  while training: weights, optimiser state, step
    history.csv             loss, accuracy, images/s over the steps
    weights.safetensors     when training is over
        run.json                written last (so: complete): seconds, device, versions
    eval/<key>/             one evaluation each, keyed by data and protocol
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
from safetensors.torch import load_file

from reidlib import models
from reidlib.data import Dataset
from reidlib.errors import ReidError
from reidlib.evaluate import Metrics, evaluate
from reidlib.io import atomic_write
from reidlib.models import ReIDModel
from reidlib.paths import runs_dir
from reidlib.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Run:
    """A folder of the store; complete or on the way."""

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

    def summary(self) -> pd.DataFrame:
        """How the run was made, one line a fact: steps, seconds, parameters, device, versions."""
        info = self.info
        facts = {
            "run": self.path.name,
            "steps x batch": f"{info['steps']} x {info['batch']}",
            "seconds of training": f"{info['seconds']:.0f}",
            "images per second": f"{info['steps'] * info['batch'] / info['seconds']:.0f}",
            "parameters (M)": f"{info['parameters'] / 1e6:.2f}",
            "image bank": f"tier {info['tier']}",
            "device": f"{info['device']}, {info['threads']} threads",
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

        options: of ``reidlib.evaluate.evaluate`` (flip, rerank, protocol ...).
        """
        dataset = dataset or self.recipe.load_dataset()
        key = json.dumps({"data": dataset.fingerprint, **options}, sort_keys=True, default=str)
        folder = self.path / "eval" / hashlib.sha256(key.encode()).hexdigest()[:16]
        if not (folder / "metrics.json").is_file():
            device = device or default_device()
            metrics = evaluate(self.load_model(device), dataset, device=device, **options)
            metrics.save(folder)
            what = {"dataset": dataset.name, "data": dataset.fingerprint, **options}
            atomic_write(folder / "what.json", json.dumps(what, indent=1, default=str))
        return Metrics.load(folder)


def default_device() -> torch.device:
    """CUDA if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def write_recipe(run: Run) -> None:
    """Writes ``recipe.json`` of a run."""
    content = {
        "recipe": dataclasses.asdict(run.recipe),
        "dataset_fingerprint": run.recipe.load_dataset().fingerprint,
    }
    atomic_write(run.path / "recipe.json", json.dumps(content, indent=1, default=str))


def _open(path: Path) -> Run:
    content = json.loads((path / "recipe.json").read_text())
    return Run(path, Recipe(**content["recipe"]))


def _folders(store: Path | None) -> list[Path]:
    store = store or runs_dir()
    return sorted(file.parent for file in store.glob("*/recipe.json"))


def list_runs(store: Path | None = None) -> pd.DataFrame:
    """One row a run: name, model, dataset, backbone, seed, complete, seconds."""
    rows = []
    for path in _folders(store):
        run = _open(path)
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
    found = [p for p in _folders(store) if p.name.startswith(name) or f"-{name}" in p.name]
    if len(found) != 1:
        many = "several runs match" if found else "no run matches"
        raise ReidError(f'{many} "{name}": see python -m reidlib runs list')
    return _open(found[0])


def remove(name: str, store: Path | None = None) -> Path:
    """Deletes one run and returns the folder that it had."""
    path = find(name, store).path
    shutil.rmtree(path)
    return path
