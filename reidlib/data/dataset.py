"""What every loader returns: three tables and a fingerprint."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.geometry import box_to_theta, transform_box

COLUMNS = ("path", "pid", "cam")
SPLITS = ("train", "query", "gallery")


@dataclass(frozen=True, eq=False)
class Dataset:
    """A re-ID dataset.

    train, query, gallery: one row an image. ``path`` (str), ``pid`` (int; -1 junk, 0 distractor),
    ``cam`` (int), and where they apply ``tracklet``, ``frame`` and ``box``: the (x0, y0, x1, y1)
    in [-1, 1] that is cut out of the file before it is resized. Where query and gallery have a
    column ``group``, each group is a test set of its own (``test_sets``).
    protocol: how it is scored by default, ``"market1501"`` or ``"partial"``.
    embedded: drawn by this project, so its images may be shown in committed figures.
    """

    name: str
    train: pd.DataFrame
    query: pd.DataFrame
    gallery: pd.DataFrame
    fingerprint: str
    protocol: str = "market1501"
    embedded: bool = False

    def __post_init__(self) -> None:
        for split in SPLITS:
            missing = [c for c in COLUMNS if c not in getattr(self, split).columns]
            if missing:
                raise ReidError(f"{self.name}: its {split} table lacks the columns {missing}")

    @property
    def splits(self) -> dict[str, pd.DataFrame]:
        return {split: getattr(self, split) for split in SPLITS}

    @property
    def num_ids(self) -> int:
        """Number of training identities."""
        return int(self.train.pid.nunique())

    def but(self, **changes: Any) -> Dataset:
        """A copy with other fields."""
        return replace(self, **changes)

    @property
    def test_sets(self) -> list[Dataset]:
        """The test sets that are ranked apart from each other, in their order; this dataset itself
        if it has no column ``group``. Queries that stand together stay so."""
        if "group" not in self.query.columns:
            return [self]
        tables = {"query": self.query, "gallery": self.gallery}
        numbers = list(dict.fromkeys(self.query["group"]))
        return [
            self.but(**{
                key: table[table["group"] == number].drop(columns="group").reset_index(drop=True)
                for key, table in tables.items()
            })
            for number in numbers
        ]  # fmt: skip

    def summary(self) -> pd.DataFrame:
        """One row a split: images, ids, cameras, distractors (pid 0), junk (pid -1)."""
        rows = []
        for split, table in self.splits.items():
            rows.append(
                {
                    "split": split,
                    "images": len(table),
                    "ids": int(table.pid[table.pid > 0].nunique()),
                    "cameras": int(table.cam.nunique()),
                    "distractors": int((table.pid == 0).sum()),
                    "junk": int((table.pid == -1).sum()),
                }
            )
        return pd.DataFrame(rows).set_index("split")

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(table)} {split}" for split, table in self.splits.items())
        return f"Dataset({self.name}: {counts})"


def boxes(split: pd.DataFrame, column: str) -> Tensor:
    """The true boxes [N, 4] of ``column`` in the images as a model is given them.

    Raises ReidError for a dataset that has no true boxes.
    """
    if column not in split.columns:
        raise ReidError(
            f'this split has no column "{column}": true boxes exist for embedded people alone '
            '(reidlib.data.load("synthetic"))'
        )
    found = torch.tensor(split[column].tolist(), dtype=torch.float32)
    if "box" in split.columns:  # what is cut out of the file
        crop = torch.tensor(split["box"].tolist(), dtype=torch.float32)
        found = transform_box(box_to_theta(crop), found)
    return found


def fingerprint_text(text: str) -> str:
    """A hash of a text, as datasets, folders of the cache and their likes are named by."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint_files(name: str, tables: Sequence[pd.DataFrame], root: Path) -> str:
    """A hash over relative path, size in bytes, pid and cam of every image, in order."""
    digest = hashlib.sha256(name.encode())
    begin = os.path.join(root, "")
    for table in tables:
        for path, pid, cam in zip(table.path, table.pid, table.cam, strict=True):
            below = path[len(begin) :] if path.startswith(begin) else Path(path).relative_to(root)
            digest.update(f"{below}|{os.stat(path).st_size}|{pid}|{cam}\n".encode())
        digest.update(b"--\n")
    return digest.hexdigest()[:16]


def warn_counts(
    name: str, counts: Mapping[str, int], official: Mapping[str, int], noun: str = "images"
) -> None:
    """Warns once if a split has another number of images than its authors published."""
    wrong = [
        f"{split} has {counts[split]:,} {noun}, officially {number:,}"
        for split, number in official.items()
        if counts[split] != number
    ]
    if wrong:
        warnings.warn(f"{name}: {'; '.join(wrong)}", UserWarning, stacklevel=3)
