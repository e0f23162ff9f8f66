"""Profiles: how much of a recipe is run, on what data. One YAML file each in ``notebooks/params/``.

A recipe says what a paper does; a profile says dataset, backbone, size, length and seeds. Reading
is strict: an unknown key or a wrong type is an error that names the file, the key and the way out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
import yaml

from reidlib.data import EMBEDDED, LOADERS
from reidlib.errors import ReidError, nearest
from reidlib.models.weights import NAMED
from reidlib.papers.comparators import baseline
from reidlib.system.devices import pick_device, why_no_cuda
from reidlib.system.files import root
from reidlib.system.types import check_type, frozen, hints_of

if TYPE_CHECKING:
    from reidlib.train.recipe import Recipe

COMMITTED = "study"  # the folder whose pictures and tables are committed


@dataclass(frozen=True)
class Profile:
    """What a profile file holds, with a notebook's own section and the overrides merged in."""

    name: str  # of the file, without .yaml
    title: str  # one sentence: what it is for, on what machine
    dataset: str  # a name known to reidlib.data.load
    seeds: tuple[int, ...]  # one run for each; the first is the seed of single runs
    folder: str = ""  # below reports/ and figures/; default: the profile's name
    data_options: dict[str, Any] = field(default_factory=dict)  # options of the dataset's loader
    backbone: str | None = None  # None: the recipe's own
    weights: str | None = None  # None: random, "imagenet", "start", or a file
    # backbone, weights and size of a baseline that is trained first, once: the backbone of every
    # other run on this dataset begins as it ended
    start: dict[str, Any] | None = None
    size: tuple[int, int] | None = None  # height, width in pixels; None: the recipe's own
    epochs: float | None = None  # at most so many; a schedule that is cut keeps its shape
    rounds: float | None = None  # in their place for recipes whose epochs show each identity once
    steps: int | None = None  # instead of epochs; the schedule keeps its shape
    ids_per_batch: int | None = None  # None: the recipe's own
    images_per_id: int | None = None  # None: the recipe's own
    optimizer: Literal["adam", "amsgrad", "sgd"] | None = None  # None: the recipe's own
    lr: float | None = None  # its rate; None: the recipe's own
    head_lr: float | None = None  # that of new heads, times lr; None: the recipe's own
    schedule: Literal["step", "cosine"] | None = None  # of the rate; None: the recipe's own
    warmup: float | None = None  # in epochs of the recipe's schedule; None: the recipe's own
    precision: Literal["auto", "float32", "bf16"] = "auto"  # auto: bf16 on GPUs that have it
    device: Literal["auto", "cuda", "cpu"] = "auto"  # auto: CUDA if there is one, else the CPU
    rows: Literal["all", "headline"] = "all"  # of each table, what a notebook calls its headline
    points: int | None = None  # at most so many values of a sweep; None: all
    # what stands here for the other datasets that papers print on: their name -> dataset and, if
    # need be, data_options and the steps of a training on it
    domains: dict[str, dict[str, Any]] = field(default_factory=dict)
    workers: int | None = None  # processes that train; None: one for each core, or some on each GPU

    def pick_device(self) -> torch.device:
        """What it trains on. Raises ReidError where that is a GPU and there is none: a profile for
        one would take a CPU months."""
        try:
            return pick_device(None if self.device == "auto" else self.device)
        except ReidError:
            raise ReidError(
                f"profile {self.name} is for a GPU and torch finds none{why_no_cuda()}: run it on "
                "a machine with one, or say that the CPU shall do it, with device=cpu"
            ) from None

    def apply(self, recipe: Recipe, seed: int | None = None, **changes: Any) -> Recipe:
        """The recipe at this profile's scale. ``changes`` win over the profile; ``seed`` is the
        profile's first if not given. Raises ReidError on an unknown or wrongly typed change."""
        scaled: dict[str, Any] = {
            "dataset": self.dataset,
            "data_options": self.data_options,
            "weights": self.weights,
            "seed": self.seeds[0] if seed is None else seed,
        }
        if self.precision != "auto":
            scaled["precision"] = self.precision
        own = ("backbone", "size", "steps", "ids_per_batch", "images_per_id")
        for key in (*own, "optimizer", "lr", "head_lr", "schedule", "warmup"):
            if getattr(self, key) is not None:
                scaled[key] = getattr(self, key)
        most = self.epochs
        if most is not None and self.rounds is not None and recipe.epoch_of == "identities":
            most = self.rounds
        if most is not None and most < recipe.epochs:
            share = most / recipe.epochs
            scaled["epochs"] = most
            scaled["warmup"] = scaled.get("warmup", recipe.warmup) * share
            scaled["milestones"] = tuple(epoch * share for epoch in recipe.milestones)
        if changes.get("dataset", self.dataset) != self.dataset:
            scaled["data_options"] = {}
        if recipe.steps is not None:  # its own; 0: nothing is trained, only put together
            scaled["steps"] = recipe.steps
        if recipe.start:
            scaled["start"] = tuple(
                self._start(start, recipe, seed, scaled | changes) for start in recipe.start
            )
        applied = recipe.but(**(scaled | changes))
        return applied if applied.start or not self.start else self._begun(applied)

    def started(self) -> Recipe:
        """The baseline that every run begins as. Raises ReidError if ``start`` is not given."""
        if not self.start:
            raise ReidError(f"profile {self.name} has no start: its runs begin at weights")
        own = {"dataset": self.dataset, "data_options": self.data_options}
        return baseline.FINE_TUNED.but(**own, **self.start)

    @property
    def begin(self) -> tuple[Recipe, ...]:
        """What a run begins as: the baseline of ``start``, or nothing."""
        return (self.started(),) if self.start else ()

    def thinned(self, values: Sequence[Any], keep: Any) -> list[Any]:
        """At most ``points`` of ``values``, in their order: ``keep``, then the ends, then evenly
        spaced. Raises ReidError if ``keep`` is none of them."""
        if keep not in values:
            raise ReidError(f"a sweep over {list(values)} must contain the value to keep, {keep!r}")
        n = min(self.points or len(values), len(values))
        even = [round(i * (len(values) - 1) / max(n - 2, 1)) for i in range(max(n - 1, 0))]
        chosen = {list(values).index(keep), *even[: n - 1]}
        rest = (i for i in range(len(values)) if i not in chosen)
        chosen |= {next(rest) for _ in range(n - len(chosen))}
        return [value for i, value in enumerate(values) if i in chosen]

    def _begun(self, recipe: Recipe) -> Recipe:
        """The recipe, begun as the profile's baseline: if its backbone is that one's, if it is not
        that baseline itself, and if it trains on the same people (a run on other people that is
        tested on these must not have seen them)."""
        first = self.started()
        same = (recipe.dataset, recipe.backbone) == (first.dataset, first.backbone)
        return (
            recipe.but(start=(first,)) if same and recipe.but(seed=first.seed) != first else recipe
        )

    def _start(
        self, start: Recipe, recipe: Recipe, seed: int | None, scaled: Mapping[str, Any]
    ) -> Recipe:
        """A run that ``recipe`` starts from, at the same scale and weights. One on another dataset
        than the recipe's keeps it, and its own options of the data always win."""
        if self.start and start == self.started():
            return start
        name = start.dataset if start.dataset != recipe.dataset else scaled["dataset"]
        options = scaled["data_options"] if name == scaled["dataset"] else {}
        own = start.data_options if name == start.dataset else {}
        kept = {key: scaled[key] for key in ("backbone", "weights", "size") if key in scaled}
        if scaled.get("steps") and start.steps is None:
            kept["steps"] = scaled["steps"]
        return self.apply(start, seed, **kept, dataset=name, data_options={**options, **own})


def folder() -> Path:
    """Where profiles lie."""
    return root() / "notebooks" / "params"


def names() -> list[str]:
    """The profiles there are, sorted."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def load(
    name: str, notebook: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Profile:
    """Reads ``notebooks/params/<name>.yaml``; ``REIDLIB_PROFILE`` wins over ``name``.

    ``notebook`` (a name such as ``"50_rmgl"``) merges that notebook's section of the file, then
    ``overrides`` are merged. ``domains`` merge key by key (null removes one), and so do
    ``data_options``, unless the dataset changes too.
    Raises ReidError if the profile, a key, or a value is not right.
    """
    wanted = os.environ.get("REIDLIB_PROFILE")
    source = f'REIDLIB_PROFILE is "{wanted}", which' if wanted else f'"{name}"'
    name = wanted or name
    if name not in names():
        raise ReidError(f"{source} is not a profile in {folder()}{nearest(name, names())}")
    path = folder() / f"{name}.yaml"
    values = parse(path.read_text(encoding="utf-8"), path.name)
    sections = _sections(values.pop("notebooks", {}) if isinstance(values, dict) else {}, path.name)
    values = _checked(values, path.name)
    own = sections.get(notebook or "", {})
    for extra in (own, _checked({} if overrides is None else overrides, "overrides")):
        options = extra.get("data_options", {})
        if extra.get("dataset", values.get("dataset")) == values.get("dataset"):
            options = values.get("data_options", {}) | options
        domains = values.get("domains", {}) | extra.get("domains", {})
        values |= {**extra, "data_options": options, "domains": domains}
    values["domains"] = {key: domain for key, domain in values["domains"].items() if domain}
    return _built(name, values, path.name)


def _sections(given: Any, file: str) -> dict[str, dict[str, Any]]:
    """The keys of each notebook's own section. A name that is no notebook is a ReidError."""
    sections = check_type(given or {}, dict[str, Any], f"{file}: notebooks")
    present = {path.stem for path in (root() / "notebooks").glob("[0-9]*.ipynb")}
    for name in sections:
        if present and name not in present:
            raise ReidError(
                f'{file}: notebooks has "{name}", which is not a notebook{nearest(name, present)}'
            )
    return {n: _checked(own or {}, f"{file}, notebooks, {n}") for n, own in sections.items()}


def _built(name: str, values: dict[str, Any], file: str) -> Profile:
    for key in ("title", "dataset", "seeds"):
        if key not in values:
            raise ReidError(f"{file} has no {key}: add a line {key}: {_RANGES[key][1]}")
    if values.get("weights") not in (None, *NAMED):
        values["weights"] = str(root() / values["weights"])  # relative to the checkout
    profile = Profile(name=name, **{"folder": name, **values})
    if profile.steps is not None and profile.epochs is not None:
        raise ReidError(f"{file}: steps and epochs exclude each other: set one of them to null")
    if COMMITTED in (profile.name, profile.folder) and profile.dataset not in EMBEDDED:
        raise ReidError(
            f"profile {name} with dataset {profile.dataset}: {COMMITTED}/ is committed and real "
            "people never enter the repository; use profile market1501 or another folder"
        )
    return profile


class _Loader(yaml.SafeLoader):
    """YAML in which a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(self.construct_object(key)) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f'the key "{key}" is given twice')
        return super().construct_mapping(node, deep=deep)


def parse(text: str, source: str) -> Any:
    """The value of a YAML text. Raises ReidError, with ``source`` in it, if it is not YAML."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ReidError(f"{source} cannot be read as YAML: {reason}") from error


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {  # key: (test, what is right)
    "title": (lambda v: bool(v.strip()), "a sentence"),
    "folder": (lambda v: bool(re.fullmatch(r"\w[\w.-]*", v)), "a plain folder name"),
    "dataset": (bool, "the name of a dataset"),
    "size": (lambda v: v is None or min(v) > 0, "[height, width] in pixels"),
    "epochs": (lambda v: v is None or 0 < v < float("inf"), "a finite number above 0"),
    "rounds": (lambda v: v is None or 0 < v < float("inf"), "a finite number above 0"),
    "steps": (lambda v: v is None or v > 0, "above 0"),
    "lr": (lambda v: v is None or 0 < v < float("inf"), "a finite number above 0"),
    "head_lr": (lambda v: v is None or 0 < v < float("inf"), "a finite number above 0"),
    "warmup": (lambda v: v is None or 0 <= v < float("inf"), "a finite number from 0 on"),
    "ids_per_batch": (lambda v: v is None or v > 1, "above 1"),
    "images_per_id": (lambda v: v is None or v > 0, "above 0"),
    "points": (lambda v: v is None or v > 0, "above 0"),
    "workers": (lambda v: v is None or v > 0, "above 0"),
    "seeds": (
        lambda v: len(set(v)) == len(v) > 0 and min(v) >= 0,
        "a list of different whole numbers from 0 on, such as [0, 1, 2]",
    ),
}


def _checked(given: Any, where: str) -> dict[str, Any]:
    """``given`` in the fields' types. Raises ReidError on an unknown key or a wrong value."""
    if not isinstance(given, Mapping):
        raise ReidError(f"{where} must hold lines of the form key: value, not {given!r}")
    hints = hints_of(Profile)
    del hints["name"]
    hints["domains"] = dict[str, dict[str, Any] | None]
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in hints:
            raise ReidError(f'{where} has the unknown key "{key}"{nearest(key, hints)}')
        values[key] = check_type(value, hints[key], f"{where}: {key}")
        right, wanted = _RANGES.get(key, (lambda _: True, ""))
        if not right(values[key]):
            raise ReidError(f"{where}: {key} is {value!r}, must be {wanted}")
    for key in values.keys() & {"data_options", "domains", "start"}:
        values[key] = frozen(values[key])
    for name, domain in values.get("domains", {}).items():
        if domain is None:
            continue
        if not {"dataset"} <= domain.keys() <= {"dataset", "data_options", "steps"}:
            raise ReidError(
                f"{where}: domains: {name} must hold dataset, perhaps data_options and steps, not "
                f"{sorted(domain)}"
            )
        if domain["dataset"] not in LOADERS:
            raise ReidError(
                f'{where}: domains: {name}: unknown dataset "{domain["dataset"]}"'
                f"{nearest(domain['dataset'], LOADERS)}"
            )
    return values
