"""VIPeR (Gray et al., PETS 2007): 632 people, each once in either of two cameras.

Licence: for research; may not be passed on. It shows real people filmed in public.
Counts: 632 + 632 images (128x48). Half of the ids train (316 ids, 632 images), the other half is
tested (316 queries, 316 gallery images).
Protocol: the mean over ten random halves (``ten_splits``), camera a as query, b as gallery; no
split file comes with the set. Here a half is drawn by a hash of ``split_seed`` and the id: the same
on every platform, and other than the halves of any published code.
Layout: ``VIPeR/{cam_a,cam_b}``, file names such as ``000_45.bmp`` (or ``.png``): id, viewing angle.
Ids: pid is the number in the name + 1, since 0 means distractor here; cameras are 1 (a) and 2 (b).
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout
from reidlib.errors import ReidError

TITLE = "VIPeR"
FOLDERS = ("VIPeR", "viper/VIPeR", "VIPeR.v1.0", "viper")
COUNTS = {"train": 632, "query": 316, "gallery": 316}
CAMERAS = {"a": 1, "b": 2}
NAME = re.compile(r"(?P<number>\d{3})_(?P<angle>\d{1,3})\.(bmp|png)", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return layout.find_folder(TITLE, root, FOLDERS, ("cam_a", "cam_b"), "cam_a/, cam_b/")


def read_camera(folder: Path, camera: str) -> pd.DataFrame:
    """The table of one camera, sorted by id. An id with two images is a ReidError."""
    found = layout.images(folder / f"cam_{camera}", NAME, TITLE, "000_45.bmp")
    rows = [(path, int(m["number"]) + 1, CAMERAS[camera]) for path, m in found]
    table = layout.table(rows)
    for path in table.path[table.pid.duplicated()][:1]:
        raise ReidError(f"{layout.shown(path)} is its person's second image in camera {camera}")
    return table


def train_half(pids: list[int], split_seed: int) -> set[int]:
    """The ids that train: the half with the smallest hashes."""

    def key(pid: int) -> bytes:
        return hashlib.sha256(f"VIPeR|{split_seed}|{pid}".encode()).digest()

    return set(sorted(pids, key=key)[: len(pids) // 2])


def load(
    root: Path | None = None, *, split_seed: int = 0, query: Literal["a", "b"] = "a"
) -> Dataset:
    """VIPeR with a random half for training.

    split_seed: which half; see ``ten_splits``. query: the camera of the queries.
    """
    folder = find_folder(root)
    tables = {camera: read_camera(folder, camera) for camera in CAMERAS}
    for one, other in (("a", "b"), ("b", "a")):
        for path in tables[one].path[~tables[one].pid.isin(tables[other].pid)][:1]:
            raise ReidError(f"{layout.shown(path)} has no match in cam_{other}: add or remove it")
    pids = sorted(set(tables["a"].pid))
    if len(pids) < 2:
        raise ReidError(f"{layout.shown(folder)} holds one person: there is no half to train on")
    chosen = train_half(pids, split_seed)
    other = "b" if query == "a" else "a"
    splits = {
        "train": pd.concat(
            [table[table.pid.isin(chosen)] for table in tables.values()], ignore_index=True
        ),
        "query": tables[query][~tables[query].pid.isin(chosen)].reset_index(drop=True),
        "gallery": tables[other][~tables[other].pid.isin(chosen)].reset_index(drop=True),
    }
    return layout.assemble("viper", TITLE, splits, folder, COUNTS)


def ten_splits(root: Path | None = None, **options: Literal["a", "b"]) -> list[Dataset]:
    """The ten halves over which VIPeR's scores are averaged: ``split_seed`` 0 to 9."""
    return [load(root, split_seed=seed, **options) for seed in range(10)]
