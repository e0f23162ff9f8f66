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

from reidlib.errors import ReidError
from reidlib.system.files import atomic_folder, atomic_write
from reidlib.system.types import check_type

CORNERS = ("x0", "y0", "x1", "y1")
Box = tuple[float, float, float, float]
Picture = tuple[np.ndarray, dict[str, Any]]  # uint8 [H, W, 3], its row of the table with its path
Found = tuple[pd.DataFrame, str]  # the table, the checksum of the pixels


def corners(name: str, box: Box) -> dict[str, float]:
    """A box (x0, y0, x1, y1) as four columns."""
    return {f"{name}_{c}": round(value, 6) for c, value in zip(CORNERS, box, strict=True)}


def write(
    folder: Path,
    pictures: Iterable[Picture],
    options: dict[str, Any],
    below: Sequence[str],
    what: str,
) -> None:
    """Writes pictures, truth.csv and manifest.json; the folder appears when it is whole.

    A picture's row says in ``path`` where it goes, in one of the folders ``below``.
    """
    rows, pixels = [], hashlib.sha256()
    with atomic_folder(folder) as part:
        for name in below:
            (part / name).mkdir()
        for image, row in tqdm(pictures, desc=f"drawing {what}", unit="image", leave=False):
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


def cached(
    folder: Path, read: Callable[[Path], Found | None], draw: Callable[[Path], None]
) -> Found:
    """What lies in ``folder``, drawn first if it is not there or is damaged."""
    found = read(folder)
    if found is None:
        if folder.exists() and read(folder) is None:  # not just drawn by another process
            shutil.rmtree(folder)  # cut off or damaged
        draw(folder)
        found = read(folder)
    if found is None:
        raise ReidError(f"{folder} cannot be read back after drawing: is the disk full or failing?")
    return found


def checked(
    options: dict[str, Any],
    hints: Mapping[str, Any],
    limits: Mapping[str, tuple[float, float]],
    name: str,
) -> dict[str, Any]:
    """``options`` in their types, within ``limits``; ReidError, with the dataset's name, if not."""
    for key, value in options.items():
        value = options[key] = check_type(value, hints[key], f"{name}: {key}")
        low, high = limits.get(key, (value, value))
        if key in limits and not low <= value <= high:
            raise ReidError(f"{name}: {key} is {value}, not between {low} and {high}")
    return options
