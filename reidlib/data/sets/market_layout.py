"""Datasets laid out as Market-1501: three folders, and names that say id, camera and frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout

PARTS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def find_folder(title: str, root: Path | None, names: Sequence[str]) -> Path:
    """The dataset's folder; see ``layout.find_folder``."""
    parts = list(PARTS.values())
    return layout.find_folder(title, root, names, parts, ", ".join(f"{part}/" for part in parts))


def read_part(folder: Path, pattern: re.Pattern[str], title: str, example: str) -> pd.DataFrame:
    """The table of one part, sorted by file name. ``pattern`` has the groups pid, cam, frame."""
    found = layout.images(folder, pattern, title, example)
    rows = [(path, *(int(m[group]) for group in ("pid", "cam", "frame"))) for path, m in found]
    return layout.table(rows, "frame")


def read(
    name: str,
    title: str,
    folder: Path,
    pattern: re.Pattern[str],
    example: str,
    counts: Mapping[str, int],
) -> Dataset:
    """The whole dataset. Counts that differ from the official ones are a warning."""
    tables = {k: read_part(folder / part, pattern, title, example) for k, part in PARTS.items()}
    return layout.assemble(name, title, tables, folder, counts)
