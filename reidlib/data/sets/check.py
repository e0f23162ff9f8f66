"""``python -m reidlib data list`` and ``data check NAME``: what is there, missing or broken."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from reidlib.data import EMBEDDED, LOADERS, load, reader
from reidlib.data.dataset import SPLITS, Dataset
from reidlib.data.decode import UNREADABLE
from reidlib.data.sets.layout import shown
from reidlib.errors import ReidError
from reidlib.system.files import data_dir


def card(name: str) -> str:
    """What there is to know of a dataset: licence, counts, protocol, layout, ids."""
    return inspect.getdoc(reader(name)) or ""


def missing(name: str, root: str | Path | None = None) -> str:
    """Why a dataset's folder is not found below ``root`` (or ``REIDLIB_DATA``); empty if it is, or
    if it needs none."""
    find_folder = getattr(reader(name), "find_folder", None)
    try:
        if find_folder:
            find_folder(Path(root) if root else None)
    except ReidError as error:
        return str(error)
    return ""


def listing(root: str | Path | None = None) -> str:
    """One line a dataset: its name, whether it is below ``root`` (or ``REIDLIB_DATA``), what it is.

    Only folders are looked for; ``data check`` looks into them.
    """
    rows = []
    for name in sorted(LOADERS):
        found = reader(name)
        if not hasattr(found, "find_folder"):
            state = "embedded" if name in EMBEDDED else "by option"
        else:
            state = "-" if missing(name, root) else "found"
        rows.append((name, state, card(name).partition("\n")[0]))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    lines = [f"{name:<{widths[0]}}  {state:<{widths[1]}}  {what}" for name, state, what in rows]
    try:
        where = f"looked for below {shown(data_dir(root))}"
    except ReidError as error:
        where = str(error)
    return "\n".join([*lines, "", where])


def look_at(path: str) -> tuple[int, int] | str:
    """Height and width of one image, or why it does not decode."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.height, image.width
    except UNREADABLE as error:
        return f"{shown(path)}: {error}"


def scan(paths: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Decodes every file with all cores: the lines of the broken ones, and [n, 2] sizes of the
    others (height, width)."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(look_at, paths, chunksize=64)
        seen = list(tqdm(found, total=len(paths), desc="decode", unit="image", disable=None))
    sizes = [size for size in seen if isinstance(size, tuple)]
    return [line for line in seen if isinstance(line, str)], np.array(sizes).reshape(-1, 2)


def overlap(dataset: Dataset) -> list[int]:
    """Identities that stand in training as well as in query or gallery."""
    test = set(dataset.query.pid) | set(dataset.gallery.pid)
    return sorted(pid for pid in set(dataset.train.pid) & test if pid > 0)


def _spread(values: np.ndarray | pd.Series) -> str:
    return f"{np.min(values):.0f}/{np.median(values):g}/{np.max(values):.0f}"


def cameras_per_id(dataset: Dataset) -> str:
    """Least, median and most cameras of an identity, by split; distractors and junk left out."""
    parts = []
    for split, table in dataset.splits.items():
        people = table[table.pid > 0]
        if len(people):
            parts.append(f"{split} {_spread(people.groupby('pid').cam.nunique())}")
    return ", ".join(parts)


def report(
    name: str,
    root: str | Path | None = None,
    *,
    decode: bool = True,
    options: Mapping[str, Any] | None = None,
    limit: int = 5,
) -> tuple[str, bool]:
    """The text that the command prints, and whether all is well.

    Says the dataset's card, the official counts beside ours, cameras per id, ids shared by training
    and test, and, if ``decode``, the images' sizes and the first ``limit`` files that do not
    decode. options: of the dataset's loader.
    """
    official: Mapping[str, int] = getattr(reader(name), "COUNTS", {})
    lines = [card(name), ""]
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            dataset = load(name, root, **(options or {}))
    except ReidError as error:
        return "\n".join([*lines, f"PROBLEM  {error}"]), False

    lines.append(f"found {dataset.name}, fingerprint {dataset.fingerprint}")
    lines.append(dataset.summary().to_string())
    if official:
        counts = [f"{split} {official[split]:,}" for split in SPLITS if split in official]
        lines.append(f"official images: {', '.join(counts)}")
    lines.append(f"cameras per id (least/median/most): {cameras_per_id(dataset)}")
    problems = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    shared = overlap(dataset)
    if shared:
        problems.append(f"{len(shared)} ids stand in training and in test: {shared[:5]} ...")
    if decode:
        paths = dict.fromkeys(path for part in dataset.splits.values() for path in part.path)
        broken, sizes = scan(list(paths))
        if len(sizes):
            height, width = (_spread(column) for column in sizes.T)
            lines.append(f"image sizes (least/median/most): height {height}, width {width}")
        problems += broken[:limit]
        if len(broken) > limit:
            problems.append(f"{len(broken) - limit:,} more files do not decode")
    lines += [f"PROBLEM  {problem}" for problem in problems]
    if not problems:
        said = "all counts are the official ones" if official else "complete"
        lines.append(f"OK       {said}{'; every file decodes' if decode else ''}")
    return "\n".join(lines), not problems
