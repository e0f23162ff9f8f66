"""Datasets by name: ``load("market1501")``. Readers lie in ``sets``, drawn people in ``drawn``."""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reidlib.data.bank import ImageBank
from reidlib.data.dataset import Dataset
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError, nearest
from reidlib.system.types import Option, check_options, options_of

# name -> module, or module:class, of its reader (``sets.layout.Reader``)
LOADERS: dict[str, str] = {
    "casia-webface": "reidlib.data.sets.faces:CASIAWebFace",
    "cuhk03-detected": "reidlib.data.sets.cuhk03:CUHK03Detected",
    "cuhk03-labeled": "reidlib.data.sets.cuhk03:CUHK03Labeled",
    "cuhk03-subset": "reidlib.data.sets.market:CUHK03Subset",
    "dukemtmcreid": "reidlib.data.sets.market:DukeMTMCreID",
    "folder": "reidlib.data.sets.folder",
    "lfw": "reidlib.data.sets.faces:LFW",
    "market1501": "reidlib.data.sets.market:Market1501",
    "mars": "reidlib.data.sets.mars",
    "msmt17": "reidlib.data.sets.msmt17",
    "partial-ilids": "reidlib.data.sets.partial:PartialILIDS",
    "partial-reid": "reidlib.data.sets.partial:PartialREID",
    "synthetic": "reidlib.data.drawn.synthetic",
    "synthetic-faces": "reidlib.data.drawn.synthetic_faces",
    "viper": "reidlib.data.sets.viper",
}
EMBEDDED = ("synthetic", "synthetic-faces")  # drawn by us: pictures of them may be committed

__all__ = ["EMBEDDED", "LOADERS", "Dataset", "ImageBank", "data_options", "load", "reader"]


def reader(name: str) -> Any:
    """What reads a dataset: a module or class with its ``load``, whose docstring is the dataset's
    card. Raises ReidError for an unknown name."""
    if name not in LOADERS:
        raise ReidError(f'unknown dataset "{name}"{nearest(name, LOADERS)}')
    return pkgutil.resolve_name(LOADERS[name])


def data_options(name: str) -> dict[str, Option]:
    """The options of a dataset's own loader. Raises ReidError for an unknown name."""
    return options_of(reader(name).load, "root")


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
    dataset: Dataset = reader(name).load(Path(root) if root else None, **options)
    return make_partial(dataset, **cut) if cut else dataset
