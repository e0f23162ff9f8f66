"""Synthetic people, the embedded dataset: drawn once, cached, equal to the byte everywhere.

Articulated figures with the attributes of an identity walk before cameras that differ in light,
colour cast, background, sharpness and viewing side, inside a box disturbed by a detector's error.
Three identities share each outfit and differ in small things only (``data/drawn/people``).
"""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from reidlib.data.dataset import SPLITS, Dataset
from reidlib.data.drawn import cache as drawn
from reidlib.data.drawn.people import store
from reidlib.data.drawn.people.figure import PARTS
from reidlib.data.drawn.people.palette import DOMAINS
from reidlib.data.drawn.people.picture import NOMINAL, Shot, picture
from reidlib.data.drawn.people.store import ATTRIBUTES, BOXES, Entry
from reidlib.errors import ReidError
from reidlib.system.files import cache_dir
from reidlib.system.types import hints_of

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
    test_only: draws query and gallery alone, for a model that was trained on other options; the
    people are the same.

    Further columns: BOXES (body: highest and lowest point of the person, 4/9 of that as width,
    around the middle; without a detector's error it is NOMINAL; the others are tight) and
    ATTRIBUTES. Boxes may exceed [-1, 1] where the person is cut off.
    Raises ReidError for a value out of range.
    """
    options = {key: value for key, value in locals().items() if key != "root"}
    options = _checked(options)
    if not options["test_only"]:
        del options["test_only"]  # as before there was this option: fingerprints stay
    text = json.dumps({"drawing": DRAWING, **options}, sort_keys=True)
    folder = cache_dir() / "synthetic" / hashlib.sha256(text.encode()).hexdigest()[:16]
    name = "synthetic" if domain == "a" else f"synthetic-{domain}"
    table, pixels = drawn.cached(
        folder, store.read, lambda folder: store.draw(folder, _plan(options), options)
    )
    fingerprint = hashlib.sha256(f"{name}|{text}|{pixels}".encode()).hexdigest()[:16]
    train, query, gallery = (
        table[table["split"] == split].drop(columns="split").reset_index(drop=True)
        for split in SPLITS
    )
    return Dataset(name, train, query, gallery, fingerprint, embedded=True)


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    drawn.checked(options, hints_of(load), _LIMITS, "synthetic")
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
            shot = Shot(who, cam, occasion, frame, junk=pid == -1)
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
