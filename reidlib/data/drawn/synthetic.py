"""Synthetic people, the embedded dataset: drawn once, cached, equal to the byte everywhere.

Articulated figures with the attributes of an identity walk before cameras that differ in light,
colour cast, background, sharpness and viewing side, inside a box disturbed by a detector's error.
Three identities share each outfit and differ in small things only (``data/drawn/people``).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reidlib.data.dataset import SPLITS, Dataset
from reidlib.data.drawn import cache as drawn
from reidlib.data.drawn.people.figure import PARTS
from reidlib.data.drawn.people.palette import DOMAINS
from reidlib.data.drawn.people.picture import NOMINAL, Shot, Truth, picture
from reidlib.data.drawn.people.wardrobe import Person
from reidlib.errors import ReidError

__all__ = ["ATTRIBUTES", "BOXES", "DRAWING", "NOMINAL", "PARTS", "Shot", "load", "picture"]

# Raise it with every change of a pixel or a truth: caches and fingerprints depend on it.
DRAWING = 1
_DISTRACTOR = 100_000  # identity numbers from here on
_LIMITS = {
    "train_ids": (1, 4000),
    "test_ids": (2, 4000),
    "cameras": (2, 16),
    "images": (2, 64),
    "seed": (0, 2**31 - 1),
    "detector_error": (0.0, 0.3),
    "distractors": (0, 4000),
    "junk": (0, 4000),
    "frames": (2, 64),
}
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


def load(
    root: Path | None = None,
    *,
    train_ids: int = 64,
    test_ids: int = 64,
    cameras: int = 4,
    images: int = 4,
    size: tuple[int, int] = (128, 64),
    seed: int = 0,
    domain: Literal["a", "b"] = "a",
    detector_error: float = 0.08,
    distractors: int = 64,
    junk: int = 32,
    tracklets: bool = False,
    frames: int = 8,
    test_only: bool = False,
    changing: bool = False,
) -> Dataset:
    """Synthetic people with the Market-1501 protocol; drawn on the first call, cached afterwards.

    root: not used, there is nothing to download (the cache is below ``REIDLIB_CACHE``).
    train_ids, test_ids: identities, without overlap. cameras: of which a quarter of the identities
    misses one. images: of an identity by a camera; one of them is the query. size: (H, W) with
    H = 2 W. domain: "a" (summer, out of doors) or "b" (winter, another town: other clothes,
    backgrounds, cameras, gaits). detector_error: standard deviation of the box's shift, in its
    widths and heights, and of its zoom. distractors (pid 0): gallery images of other people.
    junk (pid -1): gallery boxes that miss most of the person.
    tracklets: ``images`` counts walks of ``frames`` pictures each, the columns ``tracklet`` and
    ``frame`` say which; one walk of an identity by a camera is the query.
    changing: walks turn, pass through light and shade, are crossed by others (``picture.change``).
    test_only: draws query and gallery alone, for a model that was trained on other options; the
    people are the same.

    Further columns: BOXES (body: highest and lowest point of the person, 4/9 of that as width,
    around the middle; without a detector's error it is NOMINAL; the others are tight) and
    ATTRIBUTES. Boxes may exceed [-1, 1] where the person is cut off.
    Raises ReidError for a value out of range.
    """
    options = _checked(locals())
    for late in ("test_only", "changing"):
        if not options[late]:
            del options[late]  # as before there was this option: fingerprints stay
    name = "synthetic" if domain == "a" else f"synthetic-{domain}"
    drawing, folders = {"drawing": DRAWING, **options}, list(FOLDERS.values())
    return drawn.dataset(
        name, "synthetic", drawing, folders, BOXES,
        lambda: (_draw(entry, options) for entry in _plan(options)),
    )  # fmt: skip


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    options = drawn.checked(load, given, _LIMITS, "synthetic")
    height, width = options["size"]
    if height != 2 * width or not 32 <= height <= 512:
        raise ReidError(
            f"synthetic: size is {options['size']}, not (2 W, W) with 2 W between 32 and 512"
        )
    return options


def _plan(options: dict[str, Any]) -> list[Entry]:
    """Every picture, split by split."""
    train_ids, test_ids, cameras = (options[k] for k in ("train_ids", "test_ids", "cameras"))
    code, seed, frames = DOMAINS.index(options["domain"]), options["seed"], options["frames"]
    first = train_ids if options.get("test_only") else 0
    plan: list[Entry] = []
    walks = itertools.count()

    def add(split: str, pid: int, who: int, cam: int, occasion: int) -> None:
        tracklet = next(walks) if options["tracklets"] else None
        for frame in range(frames if options["tracklets"] else 1):
            shot = Shot(who, cam, occasion, frame, pid == -1, options.get("changing", False))
            plan.append(Entry(split, pid, shot, 1 + occasion * frames + frame, tracklet))

    for who in range(first, train_ids + test_ids):
        rng = np.random.default_rng([seed, code, 8, who])
        missed = int(rng.integers(cameras)) if cameras > 2 and rng.random() < 0.25 else -1
        for cam in range(cameras):
            for occasion in range(options["images"] if cam != missed else 0):
                test = "gallery" if occasion else "query"
                add("train" if who < train_ids else test, who + 1, who, cam, occasion)
    rng = np.random.default_rng([seed, code, 9])
    for i in range(options["distractors"]):
        add("gallery", 0, _DISTRACTOR + i, int(rng.integers(cameras)), i)
    for i in range(options["junk"]):
        who = train_ids + int(rng.integers(test_ids))
        add("gallery", -1, who, int(rng.integers(cameras)), 1000 + i)
    return sorted(plan, key=lambda entry: SPLITS.index(entry.split))


def _draw(entry: Entry, options: dict[str, Any]) -> drawn.Picture:
    """One picture and its row of the table."""
    how = {"size": options["size"], "error": options["detector_error"]}
    image, truth = picture(options["seed"], options["domain"], entry.shot, **how)
    row = {"split": entry.split, "path": entry.path, "pid": entry.pid, "cam": entry.shot.cam + 1}
    if entry.tracklet is not None:
        row |= {"tracklet": entry.tracklet, "frame": entry.shot.frame}
    return image, {**row, **_row(truth)}


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
