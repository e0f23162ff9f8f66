"""Datasets by name: ``load("market1501")``; each loader is one small file of this package."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reidlib.data.bank import ImageBank
from reidlib.data.dataset import Dataset
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError, nearest
from reidlib.system.types import check_type, hints_of

# name -> module that holds `load`
LOADERS: dict[str, str] = {
    "casia-webface": "reidlib.data.sets.casia_webface",
    "cuhk03-detected": "reidlib.data.sets.cuhk03_detected",
    "cuhk03-labeled": "reidlib.data.sets.cuhk03_labeled",
    "cuhk03-subset": "reidlib.data.sets.cuhk03_subset",
    "dukemtmcreid": "reidlib.data.sets.dukemtmcreid",
    "folder": "reidlib.data.sets.folder",
    "lfw": "reidlib.data.sets.lfw",
    "market1501": "reidlib.data.sets.market1501",
    "mars": "reidlib.data.sets.mars",
    "msmt17": "reidlib.data.sets.msmt17",
    "partial-ilids": "reidlib.data.sets.partial_ilids",
    "partial-reid": "reidlib.data.sets.partial_reid",
    "synthetic": "reidlib.data.drawn.synthetic",
    "synthetic-faces": "reidlib.data.drawn.synthetic_faces",
    "viper": "reidlib.data.sets.viper",
}
EMBEDDED = ("synthetic", "synthetic-faces")  # drawn by us: pictures of them may be committed

__all__ = ["EMBEDDED", "LOADERS", "Dataset", "ImageBank", "load", "loader"]


def loader(name: str) -> Callable[..., Dataset]:
    """The ``load`` function of a dataset. Raises ReidError for an unknown name."""
    if name not in LOADERS:
        raise ReidError(f'unknown dataset "{name}"{nearest(name, LOADERS)}')
    function: Callable[..., Dataset] = importlib.import_module(LOADERS[name]).load
    return function


def load(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    partial: Mapping[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Loads a dataset by name.

    root: the folder that holds datasets, default ``REIDLIB_DATA``; embedded data needs none.
    partial: cuts boxes out of one side, e.g. ``dict(ratio=(0.2, 0.8), role="query", seed=0)``;
    see ``reidlib.data.partial``.
    options: of the dataset's own loader. An unknown or wrongly typed one is a ReidError.
    """
    function = loader(name)
    options = _checked(function, options, f"dataset {name}")
    cut = _checked(make_partial, partial, "partial") if partial else None
    dataset = function(Path(root) if root else None, **options)
    return make_partial(dataset, **cut) if cut else dataset


def _checked(
    function: Callable[..., Dataset], options: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """``options`` that ``function`` takes as keywords, with their types checked."""
    parameters = inspect.signature(function).parameters.values()
    known = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    hints = hints_of(function)
    for key in options:
        if key not in known:
            raise ReidError(f'{what} has no option "{key}"{nearest(key, known)}')
    return {k: check_type(v, hints[k], f"{what}: option {k}") for k, v in options.items()}
