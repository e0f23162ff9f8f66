"""Synthetic faces, embedded: drawn portraits with partial queries, as Partial-LFW has.

Nobody in them is real. Three identities share each look (shape of the face, skin, hair) and differ
in features; the pictures of one differ in light, colours, background, pose and expression. See
``data/drawn/faces``. Protocol "partial": queries are camera 0, the gallery camera 1, one holistic
image an identity; no camera filter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.data.dataset import SPLITS, Dataset
from reidlib.data.drawn import cache as drawn
from reidlib.data.drawn.faces.portrait import BOXES, PARTS, Truth, portrait
from reidlib.data.drawn.faces.traits import Face
from reidlib.data.sets.faces import random_boxes
from reidlib.data.sets.partial import PARTIAL_CAM, WHOLE_CAM
from reidlib.errors import ReidError

__all__ = ["ATTRIBUTES", "BOXES", "DRAWING", "PARTS", "load", "portrait"]

# Raise it with every change of a pixel or a truth: caches and fingerprints depend on it.
DRAWING = 1
ATTRIBUTES = tuple(f.name for f in fields(Face) if f.name != "tint")
_LIMITS = {
    "train_ids": (1, 4000),
    "test_ids": (2, 4000),
    "images": (2, 64),
    "seed": (0, 2**31 - 1),
}


def load(
    root: Path | None = None,
    *,
    train_ids: int = 64,
    test_ids: int = 64,
    images: int = 8,
    size: tuple[int, int] = (64, 64),
    seed: int = 0,
    area: tuple[float, float] = (0.3, 0.7),
    cropped: bool = True,
    test_only: bool = False,
) -> Dataset:
    """Synthetic faces; drawn on the first call, cached afterwards.

    root: not used, there is nothing to download (the cache is below ``REIDLIB_CACHE``).
    train_ids, test_ids: identities, without overlap. images: of an identity; of a test identity one
    is the gallery, the others are queries. size: (H, W) with H = W.
    area: low and high of the share of its area that a query keeps; its column ``box`` says which
    part, drawn as for ``lfw``. cropped: False leaves the queries whole.
    test_only: draws query and gallery alone; the people are the same.

    Further columns: BOXES (``portrait.Truth``; of the whole picture, whatever ``box`` keeps) and
    ATTRIBUTES (of ``traits.Face``). Raises ReidError for a value out of range.
    """
    options = _checked(locals())
    drawing = {key: options[key] for key in ("train_ids", "test_ids", "images", "size", "seed")}
    if test_only:
        drawing["test_only"] = True
    low, high = options["area"]
    found = drawn.dataset(
        "synthetic-faces",
        "synthetic-faces",
        {"drawing": DRAWING, **drawing},
        SPLITS,
        BOXES,
        lambda: _pictures(drawing),
        f"|{low!r}|{high!r}" if cropped else "",
    )
    if not cropped:
        return found.but(protocol="partial")
    boxes = random_boxes(len(found.query), (low, high), seed)
    column = pd.Series(boxes, index=found.query.index, dtype=object)
    return found.but(protocol="partial", query=found.query.assign(box=column))


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    options = drawn.checked(load, given, _LIMITS, "synthetic-faces")
    height, width = options["size"]
    if height != width or not 32 <= height <= 256:
        raise ReidError(
            f"synthetic-faces: size is {options['size']}, not (H, H) with H between 32 and 256"
        )
    low, high = options["area"]
    if not 0 < low <= high <= 1:
        raise ReidError(f"synthetic-faces: area is {options['area']}, not 0 < low <= high <= 1")
    return options


def _pictures(options: dict[str, Any]) -> Iterator[drawn.Picture]:
    """Every picture, split by split."""
    train_ids, seed, size = options["train_ids"], options["seed"], options["size"]
    everybody = range(train_ids + options["test_ids"])
    for split in SPLITS:
        if split == "train" and options.get("test_only"):
            continue
        for who in everybody[:train_ids] if split == "train" else everybody[train_ids:]:
            cam = WHOLE_CAM if split == "gallery" else PARTIAL_CAM
            first = 1 if split == "query" else 0
            last = 1 if split == "gallery" else options["images"]
            for occasion in range(first, last):
                image, truth = portrait(seed, who, occasion, size=size)
                path = f"{split}/{who + 1:04d}_{occasion + 1:04d}.png"
                row = {"split": split, "path": path, "pid": who + 1, "cam": cam}
                yield image, {**row, **_row(truth)}


def _row(truth: Truth) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in ATTRIBUTES:
        value = getattr(truth.person, name)
        row[name] = round(value, 6) if isinstance(value, float) else value
    for name, box in truth.boxes.items():
        row |= drawn.corners(name, box)
    return row
