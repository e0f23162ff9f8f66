"""Simulated partial images of any dataset: a box that keeps a share of the image, known exactly."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np
import pandas as pd

from reidlib.data.augment import SIDES, Side, keep_boxes
from reidlib.data.dataset import Dataset
from reidlib.errors import ReidError

Box = tuple[float, float, float, float]


def partial_boxes(n: int, *, ratio: tuple[float, float], side: Side, seed: int) -> list[Box]:
    """``n`` boxes that keep a share drawn from U(ratio) of the image; the rest is removed from
    one ``side`` (``"any"``: one of the four, each as likely)."""
    boxes = keep_boxes(n, np.random.default_rng([seed, 0x9A27]), ratio, side)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]


def make_partial(
    dataset: Dataset,
    *,
    ratio: tuple[float, float] = (0.4, 0.8),
    role: Literal["query", "gallery", "both"] = "query",
    side: Side = "any",
    seed: int = 0,
) -> Dataset:
    """The dataset with partial images as query, gallery or both.

    ratio: the share of the image's height or width that remains, drawn from U(low, high).
    side: where the rest is removed. The column ``box`` holds what remains, in [-1, 1].
    The protocol (camera filter) stays that of the dataset.
    """
    low, high = ratio
    if not 0 < low <= high <= 1:
        raise ReidError(f"partial: ratio is {ratio}, not 0 < low <= high <= 1")
    if role not in ("query", "gallery", "both"):
        raise ReidError(f'partial: role is "{role}", not "query", "gallery" or "both"')
    if side not in ("any", *SIDES):
        raise ReidError(f'partial: side is "{side}", not "any" or one of {SIDES}')
    if seed < 0:
        raise ReidError(f"partial: seed is {seed}, not at least 0")
    roles = ("query", "gallery") if role == "both" else (role,)

    def cut(table: pd.DataFrame, salt: int) -> pd.DataFrame:
        if "box" in table.columns:
            raise ReidError(f"partial: the images of {dataset.name} are cut out of files already")
        boxes = partial_boxes(len(table), ratio=(low, high), side=side, seed=seed + salt)
        column = pd.Series(boxes, index=table.index, dtype=object)
        return table.assign(box=column)

    salts = {"query": 0, "gallery": 1_000_003}
    tables = {name: cut(getattr(dataset, name), salts[name]) for name in roles}
    text = f"{dataset.fingerprint}|partial|{low!r}|{high!r}|{role}|{side}|{seed}"
    name = f"{dataset.name} (partial {role} {low:.0%}-{high:.0%})"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    return dataset.but(name=name, fingerprint=fingerprint, **tables)
