"""Drawn pictures and their truth on disk: written once, whole or absent, checked at every reading.

The store that synthetic people and synthetic faces share, and the check of their options.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from reidlib.data.dataset import SPLITS, Dataset, fingerprint_text
from reidlib.errors import ReidError
from reidlib.system.files import atomic_folder, atomic_write, cache_dir
from reidlib.system.lock import claim
from reidlib.system.types import check_type, hints_of

CORNERS = ("x0", "y0", "x1", "y1")
Box = tuple[float, float, float, float]
Picture = tuple[np.ndarray, dict[str, Any]]  # uint8 [H, W, 3], its row of the table with its path
Found = tuple[pd.DataFrame, str]  # the table, the checksum of the pixels


def corners(name: str, box: Box) -> dict[str, float]:
    """A box (x0, y0, x1, y1) as four columns."""
    return {f"{name}_{c}": round(value, 6) for c, value in zip(CORNERS, box, strict=True)}


def write(
    folder: Path, pictures: Iterable[Picture], options: dict[str, Any], below: Sequence[str]
) -> None:
    """Writes pictures, truth.csv and manifest.json; the folder appears when it is whole.

    A picture's row says in ``path`` where it goes, in one of the folders ``below``.
    """
    rows, pixels = [], hashlib.sha256()
    with atomic_folder(folder) as part:
        for name in below:
            (part / name).mkdir()
        for image, row in tqdm(pictures, desc="drawing", unit="image", leave=False):
            pixels.update(image.tobytes())
            file = part / row["path"]
            Image.fromarray(image).save(file, compress_level=3)
            rows.append({**row, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()[:16]})
        truths = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode()
        (part / "truth.csv").write_bytes(truths)
        manifest = {
            "options": options,
            "pixels": pixels.hexdigest(),
            "truth": hashlib.sha256(truths).hexdigest(),
        }
        atomic_write(part / "manifest.json", json.dumps(manifest, indent=1))


def read(folder: Path, boxes: Sequence[str]) -> Found | None:
    """The table and the checksum of the pixels, or None if any file is missing or altered.

    boxes: columns of tuples, put together from their four ``corners``.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if hashlib.sha256((folder / "truth.csv").read_bytes()).hexdigest() != manifest["truth"]:
            return None
        table = pd.read_csv(folder / "truth.csv", keep_default_na=False, dtype={"sha256": str})
        for path, digest in zip(table.path, table.sha256, strict=True):
            if hashlib.sha256((folder / path).read_bytes()).hexdigest()[:16] != digest:
                return None
    except (OSError, ValueError, KeyError):
        return None
    for name in boxes:
        columns = [f"{name}_{corner}" for corner in CORNERS]
        values = table[columns].to_numpy().tolist()
        found = [tuple(round(value, 6) for value in box) for box in values]
        table = table.drop(columns=columns)
        table[name] = pd.Series(found, dtype=object)
    table["path"] = [str(folder / path) for path in table.path]
    return table.drop(columns="sha256"), manifest["pixels"]


def dataset(
    name: str,
    kind: str,
    options: dict[str, Any],
    below: Sequence[str],
    boxes: Sequence[str],
    pictures: Callable[[], Iterable[Picture]],
    more: str = "",
) -> Dataset:
    """The dataset of ``pictures``, drawn if it is not in the cache or is damaged there.

    options: what decides the pictures; they and ``kind`` name the folder in the cache. below,
    boxes: see ``write`` and ``read``. more: what else the fingerprint depends on.
    """
    text = json.dumps(options, sort_keys=True)
    folder = cache_dir() / kind / fingerprint_text(text)
    found = read(folder, boxes)
    if found is None:
        with claim(folder):
            found = read(folder, boxes)  # another process may have drawn it by now
            if found is None:
                shutil.rmtree(folder, ignore_errors=True)  # cut off or damaged
                write(folder, pictures(), options, below)
                found = read(folder, boxes)
    if found is None:
        raise ReidError(f"{folder} cannot be read back after drawing: is the disk full or failing?")
    table, pixels = found
    train, query, gallery = (
        table[table["split"] == split].drop(columns="split").reset_index(drop=True)
        for split in SPLITS
    )
    fingerprint = fingerprint_text(f"{name}|{text}|{pixels}{more}")
    return Dataset(name, train, query, gallery, fingerprint, embedded=True)


def checked(
    load: Callable[..., Any],
    given: Mapping[str, Any],
    limits: Mapping[str, tuple[float, float]],
    name: str,
) -> dict[str, Any]:
    """The options ``given`` to ``load`` in their types, within ``limits``; ReidError, with the
    dataset's name, if they are not."""
    hints = hints_of(load)
    options = {k: check_type(v, hints[k], f"{name}: {k}") for k, v in given.items() if k != "root"}
    for key in (key for key in limits if key in options):
        low, high = limits[key]
        if not low <= options[key] <= high:
            raise ReidError(f"{name}: {key} is {options[key]}, not between {low} and {high}")
    return options
