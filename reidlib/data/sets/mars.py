"""MARS, the video extension of Market-1501 (Zheng et al., ECCV 2016).

Licence: for non-commercial research; may not be passed on. It shows real people filmed in public.
Counts: 8,298 training tracklets (509,914 frames) of 625 ids; 12,180 test tracklets (681,089 frames)
of 636 ids, of which 1,980 are the queries; junk and distractors are among the test tracklets.
Protocol: as in MARS's own evaluation all test tracklets are the gallery (same id and same camera,
so also the query itself, are ignored). Many tools take the queries out of the gallery instead,
which takes right answers from other queries: ``gallery="without queries"``.
Junk (folder ``00-1``, pid -1) stays in the table and is ignored by the evaluation; distractors
(folder ``0000``, pid 0) stay in the gallery.
Layout: ``MARS/{bbox_train,bbox_test}/0065/0065C1T0002F016.jpg`` (id, camera, tracklet, frame), and
``MARS/info`` with ``train_name.txt``, ``test_name.txt`` (all frames in order) and, 1-based,
``tracks_train_info.mat``, ``tracks_test_info.mat`` (rows: first frame, last frame, id, camera) and
``query_IDX.mat``.
Tables: one row a frame; ``tracklet`` is the 1-based row of the tracklet in its ``tracks_*_info``,
the same number in query and gallery; ``frame`` the number in the file name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from reidlib.data.dataset import Dataset, warn_counts
from reidlib.data.sets import layout, lists
from reidlib.errors import ReidError

TITLE = "MARS"
FOLDERS = ("MARS", "mars")
COUNTS = {"train": 509914, "gallery": 681089}  # frames
TRACKLETS = {"train": 8298, "query": 1980, "gallery": 12180}
NAME = re.compile(r"(?P<pid>00-1|\d{4})C(?P<cam>[1-6])T\d{4}F(?P<frame>\d{3,})\.jpg", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    words = "bbox_train/, bbox_test/, info/"
    return layout.find_folder(TITLE, root, FOLDERS, ("bbox_train", "bbox_test", "info"), words)


def read_names(file: Path) -> list[tuple[str, int, int, int]]:
    """Path below the images' folder, pid, cam and frame of every line of ``*_name.txt``."""
    found = []
    for number, name in enumerate(lists.lines(file, TITLE), 1):
        match = NAME.fullmatch(name)
        if not match:
            raise ReidError(
                f"{layout.shown(file)}, line {number}, is {name[:80]!r}, not like "
                '"0065C1T0002F016.jpg": fetch it again'
            )
        pid = -1 if match["pid"] == "00-1" else int(match["pid"])
        path = f"{match['pid']}/{name}"
        found.append((path, pid, int(match["cam"]), int(match["frame"])))
    return found


def read_half(folder: Path, half: str) -> pd.DataFrame:
    """All frames of ``half`` ("train" or "test"), in the order of its tracklets."""
    file, key = folder / "info" / f"tracks_{half}_info.mat", f"track_{half}_info"
    names_file, images = folder / "info" / f"{half}_name.txt", folder / f"bbox_{half}"
    names = read_names(names_file)
    info = lists.integers(lists.mat(file, (key,), TITLE)[0], file, key)
    if info.ndim != 2 or info.shape[1] != 4:
        raise ReidError(f'{layout.shown(file)}: "{key}" is {info.shape}, not (tracklets, 4)')
    layout.compare(images, (name[0] for name in names), names_file.name, TITLE)
    rows, start = [], 1
    for tracklet, (first, last, pid, cam) in enumerate(info.tolist(), 1):
        if not start <= first <= last <= len(names):
            raise ReidError(
                f"{layout.shown(file)}: tracklet {tracklet} is frames {first} to {last} of "
                f"{len(names)} in {names_file.name}, after {start - 1}: fetch both again"
            )
        start = last + 1
        for path, own_pid, own_cam, frame in names[first - 1 : last]:
            if (own_pid, own_cam) != (pid, cam):
                raise ReidError(
                    f"{layout.shown(file)}: tracklet {tracklet} is id {pid}, camera {cam}, but "
                    f"holds {path}: it does not belong to {names_file.name}"
                )
            rows.append((str(images / path), pid, cam, tracklet, frame))
    return layout.table(rows, "tracklet", "frame")


def read_queries(file: Path, tracklets: int) -> np.ndarray:
    """The 1-based numbers of the query tracklets among the test tracklets, in ascending order."""
    found = lists.integers(lists.mat(file, ("query_IDX",), TITLE)[0], file, "query_IDX").ravel()
    if found.min() < 1 or found.max() > tracklets:
        raise ReidError(
            f"{layout.shown(file)} names tracklets {found.min()} to {found.max()}, but "
            f"tracks_test_info.mat has {tracklets}: fetch both again"
        )
    return np.unique(found)


def load(
    root: Path | None = None, *, gallery: Literal["all", "without queries"] = "all"
) -> Dataset:
    """MARS with its official split; see the module's docstring.

    gallery: all test tracklets (the official rule), or those that are no queries.
    """
    folder = find_folder(root)
    train, test = read_half(folder, "train"), read_half(folder, "test")
    queries = read_queries(folder / "info" / "query_IDX.mat", int(test.tracklet.max()))
    chosen = test.tracklet.isin(queries)
    query = test[chosen].reset_index(drop=True)
    rest = test if gallery == "all" else test[~chosen].reset_index(drop=True)
    tables = {"train": train, "query": query, "gallery": rest}
    known = {"train", "query", "gallery"} if gallery == "all" else {"train", "query"}
    images, tracklets = (
        {split: number for split, number in official.items() if split in known}
        for official in (COUNTS, TRACKLETS)
    )
    counts = {split: int(part.tracklet.nunique()) for split, part in tables.items()}
    warn_counts(TITLE, counts, tracklets, "tracklets")
    return layout.assemble("mars", TITLE, tables, folder, images)
