"""Market-1501 (Zheng et al., ICCV 2015).

Licence: for non-commercial research; may not be passed on. It shows real people filmed in public.
Counts: 12,936 training images of 751 ids; 3,368 queries of 750 other ids; 19,732 gallery images,
of which 13,115 show a query id, 2,798 are distractors (pid 0) and 3,819 junk (pid -1).
Protocol: same id and same camera ignored, junk ignored, distractors kept.
Layout: ``Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}``, file names such as
``0002_c1s1_000451_03.jpg``: id, camera, sequence, frame, box. (A few official names end in
``.jpg.jpg``.)
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset, fingerprint_files, warn_counts
from reidlib.errors import ReidError
from reidlib.paths import data_dir

FOLDERS = ("Market-1501-v15.09.15", "market1501", "Market-1501")
PARTS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
COUNTS = {"train": 12936, "query": 3368, "gallery": 19732}
NAME = re.compile(r"(?P<pid>-1|\d{4})_c(?P<cam>\d)s(?P<seq>\d)_(?P<frame>\d{6})_\d{2}(\.jpg){1,2}")
IGNORED = {"Thumbs.db", ".DS_Store"}


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    base = data_dir(root)
    for folder in [*(base / name for name in FOLDERS), base]:
        if any((folder / part).is_dir() for part in PARTS.values()):
            return folder
    parts = ", ".join(f"{part}/" for part in PARTS.values())
    raise ReidError(f"no Market-1501 below {base}: expected {FOLDERS[0]}/ with {parts}")


def read_folder(folder: Path) -> pd.DataFrame:
    """The table of one part, sorted by file name. A name that does not parse is a ReidError."""
    if not folder.is_dir():
        raise ReidError(f"Market-1501 lacks the folder {folder}")
    rows = []
    for path in sorted(folder.iterdir()):
        if path.name in IGNORED:
            continue
        match = NAME.fullmatch(path.name)
        if not match:
            raise ReidError(
                f"{path} is not named as Market-1501 names its images "
                "(0002_c1s1_000451_03.jpg): move it out of the folder"
            )
        rows.append((str(path), int(match["pid"]), int(match["cam"]), int(match["frame"])))
    if not rows:
        raise ReidError(f"{folder} holds no images")
    return pd.DataFrame(rows, columns=["path", "pid", "cam", "frame"])


def load(root: Path | None = None) -> Dataset:
    """Market-1501 with its official split; see the module's docstring.

    Missing folders and unknown file names are ReidErrors; counts that differ from the official
    ones are said as a warning that names both.
    """
    folder = find_folder(root)
    tables = {split: read_folder(folder / part) for split, part in PARTS.items()}
    warn_counts("Market-1501", {split: len(table) for split, table in tables.items()}, COUNTS)
    fingerprint = fingerprint_files("market1501", list(tables.values()), folder)
    train, query, gallery = tables.values()
    return Dataset("market1501", train, query, gallery, fingerprint)
