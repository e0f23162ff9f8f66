"""CUHK03 with the new protocol: what ``cuhk03-labeled`` and ``cuhk03-detected`` share.

Three layouts are read, the first that is there:
1. unpacked by the protocol's authors: ``cuhk03-np/{labeled,detected}/{bounding_box_train,query,
   bounding_box_test}``, file names such as ``0003_c1_21.png``: id, camera, number of the image;
2. unpacked by common tools: ``cuhk03/images_{labeled,detected}``, file names such as
   ``1_001_1_01.png`` (camera pair, person, view, image), and beside it the published split
   ``cuhk03_new_protocol_config_{labeled,detected}.mat``;
3. original: ``cuhk03/cuhk03_release/cuhk-03.mat`` and the published split as above. The images are
   written once, as PNG, into the cache folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout, lists, market_layout
from reidlib.data.sets.cuhk03_mat import extract
from reidlib.errors import ReidError
from reidlib.system.paths import cache_dir

Kind = Literal["labeled", "detected"]
NP_FOLDERS = ("cuhk03-np", "CUHK03-NP", "cuhk03_np", "CUHK03_np", "cuhk03", "CUHK03")
MAT_FOLDERS = ("cuhk03", "CUHK03", "cuhk03_release", "CUHK03_release")
ORIGINALS = ("cuhk03_release/cuhk-03.mat", "CUHK03_release/cuhk-03.mat", "cuhk-03.mat")
NP_NAME = re.compile(
    r"(?P<pid>(?!0000)\d{4})_c(?P<cam>[12])_(?P<frame>\d{1,5})\.(png|jpg)", re.ASCII
)
NAME = re.compile(r"[1-5]_\d{3}_(?P<cam>[12])_(?P<frame>\d{2})\.(png|jpg)", re.ASCII)
KEYS = ("filelist", "labels", "train_idx", "query_idx", "gallery_idx")


def split_file(kind: Kind) -> str:
    """Name of the published split."""
    return f"cuhk03_new_protocol_config_{kind}.mat"


def find_folder(title: str, kind: Kind, root: Path | None) -> Path:
    """The folder that holds layout 1 (with the three parts in it), else that of 2 or 3."""
    words = f"{split_file(kind)} and images_{kind}/ or cuhk03_release/cuhk-03.mat"
    parts = list(market_layout.PARTS.values())
    try:
        names = [f"{name}/{kind}" for name in NP_FOLDERS]
        return layout.find_folder(title, root, names, parts, words)
    except ReidError:
        held = (f"images_{kind}", split_file(kind), *ORIGINALS)
        words = f"{words}; or cuhk03-np/{kind}/ with {', '.join(parts)}"
        return layout.find_folder(title, root, MAT_FOLDERS, held, words)


def find_images(folder: Path, kind: Kind, title: str) -> Path:
    """The folder of unpacked images; from ``cuhk-03.mat`` they are unpacked into the cache."""
    unpacked = folder / f"images_{kind}"
    if unpacked.is_dir():
        return unpacked
    original = next((folder / name for name in ORIGINALS if (folder / name).is_file()), None)
    if original is None:
        raise ReidError(
            f"{title} lacks {layout.shown(unpacked)}/ and {layout.shown(folder / ORIGINALS[0])}: "
            "put one of them there"
        )
    target = cache_dir() / "cuhk03" / f"{kind}-{original.stat().st_size}"
    if not target.is_dir():
        extract(original, kind, target)
    return target


def read_split(file: Path, images: Path, title: str) -> dict[str, pd.DataFrame]:
    """The three tables of the published split, each sorted by path. pid is the file's label."""
    found = dict(zip(KEYS, lists.mat(file, KEYS, title), strict=True))
    cells = found["filelist"] if isinstance(found["filelist"], list) else []
    names = [cell if isinstance(cell, str) else "" for cell in cells]
    labels = lists.integers(found["labels"], file, "labels").ravel()
    if len(labels) != len(names) or labels.min() < 1:
        raise ReidError(
            f"{layout.shown(file)} has {len(names)} names and {len(labels)} labels from "
            f"{labels.min()}, not as many from 1: fetch it again"
        )
    there = {Path(path).name for path, _ in layout.images(images, NAME, title, "1_001_1_01.png")}
    unknown = there - set(names) if images.is_relative_to(file.parent) else set()
    for name in sorted(unknown)[:1]:
        raise ReidError(
            f"{layout.shown(images / name)} is not named by {file.name}: move it elsewhere"
        )
    tables = {}
    for split in ("train", "query", "gallery"):
        key = f"{split}_idx"
        index = lists.integers(found[key], file, key).ravel()
        if index.min() < 1 or index.max() > len(names):
            raise ReidError(f'{layout.shown(file)}: "{key}" points outside of its list of files')
        rows = []
        for name, label in sorted((names[i - 1], int(labels[i - 1])) for i in index):
            match = NAME.fullmatch(name)
            if not match or name not in there:
                raise ReidError(
                    f"{layout.shown(images / name[:80])} is not there, but {layout.shown(file)} "
                    "names it: unpack the images again"
                )
            rows.append((str(images / name), label, int(match["cam"]), int(match["frame"])))
        tables[split] = layout.table(rows, "frame")
    return tables


def load(name: str, title: str, kind: Kind, counts: dict[str, int], root: Path | None) -> Dataset:
    """CUHK03 with the new protocol; see the docstring of the module of either kind."""
    folder = find_folder(title, kind, root)
    if any((folder / part).is_dir() for part in market_layout.PARTS.values()):
        return market_layout.read(name, title, folder, NP_NAME, "0003_c1_21.png", counts)
    file = folder / split_file(kind)
    if not file.is_file():
        raise ReidError(f"{title} lacks its published split {layout.shown(file)}: put it there")
    images = find_images(folder, kind, title)
    return layout.assemble(name, title, read_split(file, images, title), images, counts)
