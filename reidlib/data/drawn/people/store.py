"""Synthetic people on disk: where a picture lies and what its row of the table says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from reidlib.data.drawn import cache as drawn
from reidlib.data.drawn.people.figure import PARTS
from reidlib.data.drawn.people.picture import Shot, Truth, picture
from reidlib.data.drawn.people.wardrobe import Person

BOXES = ("body", *PARTS)  # columns of (x0, y0, x1, y1) in [-1, 1] of the image
_HIDDEN = ("inner_colour", "skin", "stout", "shoulders", "legs", "fit", "tint")
ATTRIBUTES = ("side", *(f.name for f in fields(Person) if f.name not in _HIDDEN))
FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


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
        row |= drawn.corners(name, box)
    return row


def draw(folder: Path, plan: Iterable[Entry], options: dict[str, Any]) -> None:
    """Writes the pictures of ``plan`` and the truth about them (``drawn.write``)."""

    def one(entry: Entry) -> drawn.Picture:
        how = {"size": options["size"], "error": options["detector_error"]}
        image, truth = picture(options["seed"], options["domain"], entry.shot, **how)
        row = {"split": entry.split, "path": entry.path, "pid": entry.pid}
        row["cam"] = entry.shot.cam + 1
        if entry.tracklet is not None:
            row |= {"tracklet": entry.tracklet, "frame": entry.shot.frame}
        return image, {**row, **_row(truth)}

    drawn.write(folder, map(one, plan), options, list(FOLDERS.values()), "people")


def read(folder: Path) -> drawn.Found | None:
    """The table and the checksum of the pixels, or None if any file is missing or altered."""
    return drawn.read(folder, BOXES)
