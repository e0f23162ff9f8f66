"""Pictures and their truth on disk: drawn once, whole or absent, checked at every reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from tqdm import tqdm

from reidlib.data.people.figure import PARTS
from reidlib.data.people.picture import Shot, Truth, picture
from reidlib.data.people.wardrobe import Person
from reidlib.io import atomic_folder, atomic_write

BOXES = ("body", *PARTS)  # columns of (x0, y0, x1, y1) in [-1, 1] of the image
_HIDDEN = ("inner_colour", "skin", "stout", "shoulders", "legs", "fit", "tint")
ATTRIBUTES = ("side", *(f.name for f in fields(Person) if f.name not in _HIDDEN))
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
CORNERS = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Entry:
    """A picture to draw and where it belongs. number: of the file's name, unique for a pid and
    camera; tracklet: None where there are no walks."""

    split: str
    pid: int
    shot: Shot
    number: int
    tracklet: int | None = None

    @property
    def path(self) -> str:
        """As Market-1501 names its files, below the dataset's folder."""
        who = "-1" if self.pid < 0 else f"{self.pid:04d}"
        name = f"{who}_c{self.shot.cam + 1}s1_{self.number:06d}_00.png"
        return f"{FOLDERS[self.split]}/{name}"


def _row(truth: Truth) -> dict[str, Any]:
    row: dict[str, Any] = {"side": truth.side}
    for name in ATTRIBUTES[1:]:
        row[name] = getattr(truth.person, name)
    for thing in ("hat", "bag", "logo"):
        if row[thing] == "none":
            row[f"{thing}_colour"] = "none"
    for name, box in (("body", truth.body), *truth.parts.items()):
        for corner, value in zip(CORNERS, box, strict=True):
            row[f"{name}_{corner}"] = round(value, 6)
    return row


def draw(folder: Path, plan: Iterable[Entry], options: dict[str, Any]) -> None:
    """Writes pictures, truth.csv and manifest.json; the folder appears when it is whole."""
    rows, pixels = [], hashlib.sha256()
    how = {"size": options["size"], "error": options["detector_error"]}
    with atomic_folder(folder) as part:
        for name in FOLDERS.values():
            (part / name).mkdir()
        for entry in tqdm(plan, desc="drawing people", unit="image", leave=False):
            image, truth = picture(options["seed"], options["domain"], entry.shot, **how)
            pixels.update(image.tobytes())
            file = part / entry.path
            Image.fromarray(image).save(file, compress_level=3)
            row = {"split": entry.split, "path": entry.path, "pid": entry.pid}
            row["cam"] = entry.shot.cam + 1
            if entry.tracklet is not None:
                row |= {"tracklet": entry.tracklet, "frame": entry.shot.frame}
            digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
            rows.append({**row, **_row(truth), "sha256": digest})
        truths = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode()
        (part / "truth.csv").write_bytes(truths)
        manifest = {
            "options": options,
            "pixels": pixels.hexdigest(),
            "truth": hashlib.sha256(truths).hexdigest(),
        }
        atomic_write(part / "manifest.json", json.dumps(manifest, indent=1))


def read(folder: Path) -> tuple[pd.DataFrame, str] | None:
    """The table and the checksum of the pixels, or None if any file is missing or altered."""
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
    for name in BOXES:
        corners = [f"{name}_{corner}" for corner in CORNERS]
        values = table[corners].to_numpy().tolist()
        boxes = [tuple(round(value, 6) for value in box) for box in values]
        table = table.drop(columns=corners)
        table[name] = pd.Series(boxes, dtype=object)
    table["path"] = [str(folder / path) for path in table.path]
    return table.drop(columns="sha256"), manifest["pixels"]
