"""Models by name: ``build("baseline", num_ids, backbone="tiny")``."""

from __future__ import annotations

import importlib
from typing import Any

from reidlib.errors import ReidError, nearest
from reidlib.models.base import Encoding, ReIDModel
from reidlib.models.wrap import wrap
from reidlib.system import types
from reidlib.system.types import Option, options_of

# name -> (module, class): these, and what the papers' folders name
MODELS: dict[str, tuple[str, str]] = {
    "baseline": ("reidlib.models.baseline", "Baseline"),
    "dsr": ("reidlib.models.dsr", "DSR"),
    "mgn": ("reidlib.models.mgn", "MGN"),
    "pcb": ("reidlib.models.pcb", "PCB"),
    **importlib.import_module("reidlib.papers").models(),
}
COMMON = ("num_ids", "backbone", "weights", "size")  # what every model takes

__all__ = [
    "MODELS",
    "Encoding",
    "ReIDModel",
    "build",
    "check_options",
    "model_class",
    "option_defaults",
    "option_names",
    "wrap",
]


def model_class(name: str) -> type[ReIDModel]:
    """The class behind a name. Raises ReidError for an unknown one."""
    if name not in MODELS:
        raise ReidError(f'unknown model "{name}"{nearest(name, MODELS)}')
    module, cls = MODELS[name]
    found: type[ReIDModel] = getattr(importlib.import_module(module), cls)
    return found


def model_options(name: str) -> dict[str, Option]:
    """The options of a model beside those that every model takes."""
    return options_of(model_class(name).__init__, *COMMON)


def option_names(name: str) -> set[str]:
    """The names of a model's own options."""
    return set(model_options(name))


def option_defaults(name: str) -> dict[str, Any]:
    """The value of each of a model's own options where none is given."""
    return {key: option.default for key, option in model_options(name).items()}


def check_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``options`` of a model with their types checked; an unknown key is a ReidError."""
    return types.check_options(options, model_options(name), f"model {name}")


def build(
    name: str,
    num_ids: int,
    *,
    backbone: str = "resnet50",
    weights: str | None = None,
    size: tuple[int, int] = (256, 128),
    **options: Any,
) -> ReIDModel:
    """A model by name.

    num_ids: training identities (outputs of its classifiers). backbone, weights: see
    ``reidlib.models.backbone``. size: (H, W) of its images. options: of the model itself.
    """
    checked = check_options(name, options)
    make: Any = model_class(name)
    model: ReIDModel = make(num_ids, backbone=backbone, weights=weights, size=size, **checked)
    return model
