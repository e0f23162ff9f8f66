"""Models by name: ``build("baseline", num_ids, backbone="tiny")``."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from reidlib.errors import ReidError, nearest
from reidlib.models.base import Encoding, ReIDModel
from reidlib.system.types import check_type, hints_of

# name -> (module, class)
MODELS: dict[str, tuple[str, str]] = {
    "baseline": ("reidlib.models.baseline", "Baseline"),
    "dsr": ("reidlib.models.dsr", "DSR"),
    "glrec": ("reidlib.papers.ppcl.rectifier", "GLRec"),
    "mgn": ("reidlib.models.mgn", "MGN"),
    "pcb": ("reidlib.models.pcb", "PCB"),
    "ppcl": ("reidlib.papers.ppcl.model", "PPCL"),
    "rmgl": ("reidlib.papers.rmgl.model", "RMGL"),
    "scr": ("reidlib.papers.scr.model", "SCR"),
    "stnreid": ("reidlib.papers.stnreid.model", "STNReID"),
    "vcn": ("reidlib.papers.vcn.model", "VCN"),
    "vggface": ("reidlib.papers.ppcl.face", "VGGFace"),
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
]


def model_class(name: str) -> type[ReIDModel]:
    """The class behind a name. Raises ReidError for an unknown one."""
    if name not in MODELS:
        raise ReidError(f'unknown model "{name}"{nearest(name, MODELS)}')
    module, cls = MODELS[name]
    found: type[ReIDModel] = getattr(importlib.import_module(module), cls)
    return found


def option_names(name: str) -> set[str]:
    """The options of a model beside those that every model takes."""
    parameters = inspect.signature(model_class(name).__init__).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in COMMON}


def option_defaults(name: str) -> dict[str, Any]:
    """The value of each option of a model where none is given."""
    parameters = inspect.signature(model_class(name).__init__).parameters
    return {key: parameters[key].default for key in option_names(name)}


def check_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """``options`` of a model with their types checked; an unknown key is a ReidError."""
    known, hints = option_names(name), hints_of(model_class(name).__init__)
    checked = {}
    for key, value in options.items():
        if key not in known:
            raise ReidError(f'model {name} has no option "{key}"{nearest(key, known)}')
        checked[key] = check_type(value, hints[key], f"model {name}: option {key}")
    return checked


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
