"""A recipe: everything that decides what a run learns, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch

from reidlib import models
from reidlib.data import Dataset, load
from reidlib.data.sampler import Epoch
from reidlib.errors import ReidError, nearest
from reidlib.models.weights import start_file
from reidlib.system.types import check_type, frozen, hints_of

# Raise it when the same recipe would learn something else than before: another default value,
# another meaning of a field, another drawing of a batch. Old runs are then no longer found.
FORMAT = 1


@dataclass(frozen=True)
class Recipe:
    """A frozen training recipe; ``but`` makes variants. Lengths are in epochs."""

    model: str = "baseline"
    options: Mapping[str, Any] = field(default_factory=dict)  # of the model
    dataset: str = "synthetic"
    data_options: Mapping[str, Any] = field(default_factory=dict)  # of its loader
    backbone: str = "resnet50"
    weights: str | None = None  # None, "imagenet", "start" or a file
    size: tuple[int, int] = (256, 128)  # (H, W) in pixels
    ids_per_batch: int = 16  # P
    images_per_id: int = 4  # K
    mirror: float = 0.5  # probability
    pad_crop: float = 10 / 256  # padding (with the mean colour) as a share of the height
    erasing: float = 0.0  # probability of random erasing
    shifting: float = 0.0  # probability of random shifting (RMGL III-D)
    shifting_options: Mapping[str, float] = field(
        default_factory=dict
    )  # p_crop, crop, height, width
    crop_resize_shift: bool = False  # RMGL's "RCRS" instead
    cropping: float = 0.0  # probability of a partial image (STNReID, "Generate Partial Images")
    jitter: float = 0.0  # strength of colour jitter, 0 to 1
    camera_balanced: bool = False  # an identity's K images from as many cameras as there are
    optimizer: Literal["adam", "amsgrad", "sgd"] = "adam"  # amsgrad: Adam's variant
    lr: float = 3.5e-4
    head_lr: float = 1.0  # times lr: the rate of the model's head (``ReIDModel.head``)
    momentum: float = 0.9  # of sgd
    weight_decay: float = 5e-4
    epochs: float = 120.0
    epoch_of: Epoch = "images"  # as many as there are; "identities": each of them once
    steps: int | None = None  # instead of epochs; the schedule keeps its shape
    warmup: float = 10.0  # epochs from lr * warmup_start to lr
    warmup_start: float = 0.01
    warmup_shape: Literal["linear", "exponential"] = "linear"
    schedule: Literal["step", "cosine"] = "step"
    milestones: tuple[float, ...] = (40.0, 70.0)  # epochs; lr times gamma after each
    gamma: float = 0.1
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: see ``auto_precision``
    seed: int = 0
    start: tuple[Recipe, ...] = ()  # runs whose weights are taken over first, in this order

    def __post_init__(self) -> None:
        hints = hints_of(Recipe)
        object.__setattr__(self, "start", _recipes(self.start))
        for f in fields(self):
            value = check_type(getattr(self, f.name), hints[f.name], f"recipe: {f.name}")
            object.__setattr__(self, f.name, value)
        checked = models.check_options(self.model, dict(self.options))
        default = models.option_defaults(self.model)
        checked = {k: v for k, v in checked.items() if v != default[k]}  # said or not: the same run
        object.__setattr__(self, "options", checked)
        object.__setattr__(self, "data_options", frozen(self.data_options))
        for name in ("ids_per_batch", "images_per_id", "epochs", "lr", "head_lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise ReidError(f"recipe: {name} is {getattr(self, name)}, not above 0 and finite")
        for name in ("pad_crop", "momentum", "weight_decay", "warmup", "warmup_start", "gamma"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ReidError(f"recipe: {name} is {value}, not at least 0 and finite")
        if min(self.size) < 1:
            raise ReidError(f"recipe: size is {self.size}, not (H, W) in pixels")
        for name in ("mirror", "erasing", "shifting", "cropping", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ReidError(f"recipe: {name} is {getattr(self, name)}, not a probability")
        if self.seed < 0:
            raise ReidError(f"recipe: seed is {self.seed}, not at least 0")
        if self.steps is not None and self.steps < (not self.start):
            raise ReidError(
                f"recipe: steps is {self.steps}, not at least 1 (or None; or 0 with a start)"
            )
        if self.warmup_shape == "exponential" and self.warmup and not self.warmup_start:
            raise ReidError("recipe: an exponential warm-up cannot begin at warmup_start 0")
        if self.warmup > self.epochs:
            raise ReidError(f"recipe: warmup is {self.warmup} of {self.epochs} epochs")

    def but(self, **changes: Any) -> Recipe:
        """A recipe with other fields or other options of its model, by name.

        Raises ReidError for an unknown name, with the nearest right one, and for a wrong type.
        """
        own = {f.name for f in fields(self)}
        name = changes.get("model", self.model)
        given = {k: v for k, v in changes.items() if k in own}
        options = dict(given.pop("options", self.options))
        options.update({k: v for k, v in changes.items() if k not in own})
        known = models.option_names(name)
        for key in options:
            if key not in known:
                raise ReidError(f'recipe of {name}: unknown "{key}"{nearest(key, known | own)}')
        return dataclasses.replace(self, options=options, **given)

    def canonical(self) -> dict[str, Any]:
        """The fields that differ from the defaults, as plain JSON values, sorted by name.

        A field added later, at a default that means "as before", leaves old fingerprints alone.
        """
        default = Recipe()
        different = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if getattr(self, f.name) != getattr(default, f.name)
        }
        if self.start:
            different["start"] = [recipe.canonical() for recipe in self.start]
        plain: dict[str, Any] = json.loads(json.dumps(different, sort_keys=True))
        return plain

    def told(self) -> dict[str, Any]:
        """``canonical`` for readers elsewhere: a file of weights by its name alone."""
        plain = self.canonical()
        if self.weights:
            plain["weights"] = Path(self.weights).name
        if self.start:
            plain["start"] = [recipe.told() for recipe in self.start]
        return plain

    def test_options(self) -> dict[str, Any]:
        """The options that decide nothing but the test, where they differ from the default."""
        names = models.model_class(self.model).test_options(self.options)
        return {key: value for key, value in self.options.items() if key in names}

    def training(self) -> Recipe:
        """The recipe without them: what decides the weights. It names the run."""
        mine = self.test_options()
        return dataclasses.replace(
            self,
            options={k: v for k, v in self.options.items() if k not in mine},
            start=tuple(recipe.training() for recipe in self.start),
        )

    def __hash__(self) -> int:
        return hash(json.dumps(self.canonical(), sort_keys=True))

    def load_dataset(self) -> Dataset:
        """The dataset it trains on (kept in memory between calls)."""
        options = json.dumps(self.data_options, sort_keys=True, default=str)
        return _dataset(self.dataset, options, os.environ.get("REIDLIB_DATA"))

    def fingerprint(self) -> str:
        """16 hex digits over what decides the weights: the canonical form of ``training()``, the
        dataset, the file of initial weights, the runs it starts from and FORMAT."""
        own = self.training().canonical()
        content: dict[str, Any] = {
            "recipe": {k: v for k, v in own.items() if k not in ("weights", "start")},
            "data": self.load_dataset().fingerprint,
            "format": FORMAT,
            "weights": self.weights,
        }
        version = models.model_class(self.model).version(self.options)
        if version > 1:
            content["version"] = version
        if self.start:
            content["start"] = [recipe.fingerprint() for recipe in self.start]
            data = [recipe.load_dataset().fingerprint for recipe in self.start]
            if any(other != content["data"] for other in data):
                content["classifier"] = "own"  # such runs took over other people's, once
        if self.weights and self.weights != "imagenet":
            own_file = str(start_file(self.backbone)) if self.weights == "start" else self.weights
            content["weights"] = _file_hash(own_file)
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _recipes(given: Any) -> tuple[Any, ...]:
    """Recipes as ``start`` keeps them: one may stand alone, and each may be a mapping (of JSON)."""
    several = given if isinstance(given, tuple | list) else () if given is None else (given,)
    return tuple(Recipe(**one) if isinstance(one, Mapping) else one for one in several)


def outline(recipe: Recipe, num_ids: int = 751, **changes: Any) -> models.ReIDModel:
    """The recipe's model (with other settings) on the meta device: shapes, no weights."""
    recipe = recipe.but(**changes)
    with torch.device("meta"):
        return models.build(
            recipe.model, num_ids, backbone=recipe.backbone, size=recipe.size, **recipe.options
        )


@lru_cache(maxsize=8)
def _dataset(name: str, options: str, root: str | None) -> Dataset:
    return load(name, **json.loads(options))


@lru_cache(maxsize=8)
def _file_hash(path: str) -> str:
    if not Path(path).is_file():
        raise ReidError(f'weights file {path} is not there: give another, "imagenet" or None')
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def lr_at(recipe: Recipe, step: int, total: int) -> float:
    """The learning rate of ``step`` out of ``total``.

    Warm-up from ``warmup_start`` times lr, by equal steps or equal ratios, then steps at the
    milestones or a half cosine to 0. All lengths are shares of the whole, so that a shortened run
    keeps the schedule's shape.
    """
    epoch = recipe.epochs * step / total
    factor = 1.0
    if epoch < recipe.warmup:
        start = recipe.warmup_start
        done = epoch / recipe.warmup
        linear = recipe.warmup_shape == "linear"
        factor = start + (1 - start) * done if linear else start ** (1 - done)
    if recipe.schedule == "step":
        return recipe.lr * factor * recipe.gamma ** sum(epoch >= m for m in recipe.milestones)
    done = max(0.0, epoch - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-12)
    return recipe.lr * factor * (1 + math.cos(math.pi * done)) / 2


def departures(own: Recipe, paper: Recipe) -> str:
    """Where a run leaves a paper's settings: ``"backbone tiny (resnet50), steps 300 (none)"``.

    First what was run, in brackets what the paper says. Empty if nothing differs but the seed.
    """
    changes = []
    for f in fields(Recipe):
        a, b = getattr(own, f.name), getattr(paper, f.name)
        if a == b or f.name in ("seed", "data_options"):
            continue
        if f.name == "start":
            a, b = ("+".join(recipe.model for recipe in x) or None for x in (a, b))
            changes += [f"start {_short(a)} ({_short(b)})"] if a != b else []
        elif f.name == "options":
            a = {**models.option_defaults(own.model), **a}
            b = {**models.option_defaults(paper.model), **b}
            changed = [k for k in sorted({*a, *b}) if a.get(k) != b.get(k)]
            changes += [f"{k} {_short(a.get(k))} ({_short(b.get(k))})" for k in changed]
        elif f.name == "weights":
            a, b = (Path(x).name if x else x for x in (a, b))
            changes.append(f"weights {_short(a)} ({_short(b)})")
        else:
            changes.append(f"{f.name} {_short(a)} ({_short(b)})")
    return ", ".join(changes)


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(_short(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
