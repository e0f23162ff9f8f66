"""``python -m reidlib data check NAME``: what is there, what is missing, what does not decode."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from reidlib.data import LOADERS, loader
from reidlib.data.bank import UNREADABLE
from reidlib.data.dataset import Dataset
from reidlib.errors import ReidError


def broken_files(paths: list[str], limit: int = 5) -> list[str]:
    """The first ``limit`` files that do not decode, each with the decoder's reason."""
    broken = []
    for path in paths:
        try:
            with Image.open(path) as image:
                image.load()
        except UNREADABLE as error:
            broken.append(f"{path}: {error}")
            if len(broken) == limit:
                break
    return broken


def overlap(dataset: Dataset) -> list[int]:
    """Identities that stand in training as well as in query or gallery."""
    test = set(dataset.query.pid) | set(dataset.gallery.pid)
    return sorted(pid for pid in set(dataset.train.pid) & test if pid > 0)


def report(name: str, root: str | Path | None = None, *, decode: bool = True) -> tuple[str, bool]:
    """The text that the command prints, and whether all is well.

    Says the official counts beside ours, ids shared by training and test, and, if ``decode``, the
    first files that do not decode.
    """
    load = loader(name)
    module = importlib.import_module(LOADERS[name])
    official: Mapping[str, int] = getattr(module, "COUNTS", {})
    lines = [(module.__doc__ or "").strip(), ""]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            dataset = load(Path(root) if root else None)
    except ReidError as error:
        return "\n".join([*lines, f"PROBLEM  {error}"]), False

    lines.append(f"found {dataset.name}, fingerprint {dataset.fingerprint}")
    lines.append(dataset.summary().to_string())
    problems = []
    for split, number in official.items():
        count = len(getattr(dataset, split))
        if count != number:
            problems.append(f"{split}: {count:,} images, officially {number:,}")
    shared = overlap(dataset)
    if shared:
        problems.append(f"{len(shared)} ids stand in training and in test: {shared[:5]} ...")
    if decode:
        paths = [path for table in dataset.splits.values() for path in table.path]
        problems += broken_files(paths)
    lines += [f"PROBLEM  {problem}" for problem in problems]
    if not problems:
        said = "all counts are the official ones" if official else "complete"
        lines.append(f"OK       {said}{'; every file decodes' if decode else ''}")
    return "\n".join(lines), not problems
