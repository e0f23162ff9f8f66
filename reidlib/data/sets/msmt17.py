"""MSMT17 (Wei et al., CVPR 2018).

Licence: by agreement with the authors, for non-commercial research; may not be passed on. It shows
real people on a campus; version 2 masks their faces, and is to be preferred for that.
Counts: 32,621 training images of 1,041 ids (the lists train and val together); 11,659 queries and
82,161 gallery images of 3,060 other ids; 15 cameras.
Protocol: same id and same camera ignored. Papers differ in whether ``list_val.txt`` is trained on;
the official count includes it, and so does the default here (``val=True``).
Layout: ``MSMT17_V1/{train,test}/0000/0000_000_01_0303morning_0008_0.jpg`` (camera is the third
number), or version 2, ``MSMT17_V2/{mask_train_v2,mask_test_v2}``. Beside these folders are
``list_train.txt``, ``list_val.txt``, ``list_query.txt`` and ``list_gallery.txt`` with lines
"path label".
Ids: labels start at 0 for training and again at 0 for test. Here pid is the label + 1 in training
and the label + 5001 in test, so that 0 stays free for distractors and no person has two meanings.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout, lists
from reidlib.errors import ReidError

TITLE = "MSMT17"
COUNTS = {"train": 32621, "query": 11659, "gallery": 82161}
FOLDERS = {
    "v1": ("MSMT17_V1", "msmt17/MSMT17_V1", "MSMT17", "msmt17"),
    "v2": ("MSMT17_V2", "msmt17/MSMT17_V2", "MSMT17", "msmt17"),
}
IMAGES = {"v1": ("train", "test"), "v2": ("mask_train_v2", "mask_test_v2")}
LISTS = ("train", "val", "query", "gallery")
TEST_OFFSET = 5000
LINE = re.compile(
    r"(?P<path>\d{4}/\d{4}_\d+_(?P<cam>\d{2})_[\w-]+\.jpg)[ \t]+(?P<label>\d{1,4})[ \t]*", re.ASCII
)


def find_versions(root: Path | None, wanted: str) -> dict[str, Path]:
    """The folder of each version that is there. None there: ReidError."""
    found, problems = {}, []
    for version in ("v1", "v2") if wanted == "any" else (wanted,):
        parts = IMAGES[version]
        words = f"{parts[0]}/, {parts[1]}/, list_train.txt, ... (version {version[1]})"
        try:
            found[version] = layout.find_folder(TITLE, root, FOLDERS[version], parts, words)
        except ReidError as error:
            problems.append(error)
    if not found:
        raise problems[-1]
    return found


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return next(iter(find_versions(root, "any").values()))


def read_list(file: Path, images: Path, offset: int) -> pd.DataFrame:
    """The table of one list, in the order of its paths; pid is the label + ``offset``."""
    rows = []
    for number, line in enumerate(lists.lines(file, TITLE), 1):
        match = LINE.fullmatch(line)
        if not match:
            raise ReidError(
                f"{layout.shown(file)}, line {number}, is {line[:80]!r}, not like "
                '"0000/0000_000_01_0303morning_0008_0.jpg 0": fetch the list again'
            )
        path = str(images / match["path"])
        rows.append((path, int(match["label"]) + offset, int(match["cam"])))
    found = layout.table(sorted(rows))
    for path in found.path[found.path.duplicated()][:1]:
        raise ReidError(f"{layout.shown(file)} names {layout.shown(path)} twice: fetch it again")
    return found


def load(
    root: Path | None = None, *, version: Literal["any", "v1", "v2"] = "any", val: bool = True
) -> Dataset:
    """MSMT17 with its official split; see the module's docstring.

    version: which one, if both are there. val: whether ``list_val.txt`` is trained on as well.
    """
    found = find_versions(root, version)
    if len(found) > 1:
        both = " and ".join(layout.shown(folder) for folder in found.values())
        raise ReidError(f'both versions of {TITLE} are there, {both}: pass version="v1" or "v2"')
    ((there, folder),) = found.items()
    train_images, test_images = (folder / part for part in IMAGES[there])
    places = dict.fromkeys(LISTS[:2], (train_images, 1))
    places |= dict.fromkeys(LISTS[2:], (test_images, 1 + TEST_OFFSET))
    tables = {k: read_list(folder / f"list_{k}.txt", *place) for k, place in places.items()}
    for images, names in ((train_images, LISTS[:2]), (test_images, LISTS[2:])):
        listed = pd.concat([tables[name].path for name in names])
        relative = [path[len(str(images)) + 1 :] for path in listed]
        layout.compare(images, relative, " or ".join(f"list_{name}.txt" for name in names), TITLE)
    train = tables["train"]
    if val:
        train = pd.concat([train, tables["val"]]).sort_values("path", ignore_index=True)
    splits = {"train": train, "query": tables["query"], "gallery": tables["gallery"]}
    official = COUNTS if val else {k: n for k, n in COUNTS.items() if k != "train"}
    return layout.assemble("msmt17", TITLE, splits, folder, official)
