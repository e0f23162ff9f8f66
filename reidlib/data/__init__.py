"""Datasets by name: ``load("market1501")``; each loader is one small file of this package."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reidlib.data.bank import ImageBank
from reidlib.data.dataset import Dataset
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError, nearest
from reidlib.system.types import Option, check_options, options_of

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

__all__ = ["EMBEDDED", "LOADERS", "Dataset", "ImageBank", "data_options", "load", "loader"]


def loader(name: str) -> Callable[..., Dataset]:
    """The ``load`` function of a dataset. Raises ReidError for an unknown name."""
    if name not in LOADERS:
        raise ReidError(f'unknown dataset "{name}"{nearest(name, LOADERS)}')
    function: Callable[..., Dataset] = importlib.import_module(LOADERS[name]).load
    return function


def data_options(name: str) -> dict[str, Option]:
    """The options of a dataset's own loader. Raises ReidError for an unknown name."""
    return options_of(loader(name), "root")


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
    options = check_options(options, data_options(name), f"dataset {name}")
    cut = check_options(partial, options_of(make_partial), "partial") if partial else None
    dataset = loader(name)(Path(root) if root else None, **options)
    return make_partial(dataset, **cut) if cut else dataset
