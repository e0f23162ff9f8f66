"""CUHK03 with the new protocol: ``cuhk03-labeled`` and ``cuhk03-detected``.

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
from typing import ClassVar, Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout, lists
from reidlib.data.sets.cuhk03_mat import extract
from reidlib.data.sets.market import MarketLike
from reidlib.errors import ReidError
from reidlib.system.files import cache_dir

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


class CUHK03(MarketLike):
    """Images of either KIND; the first layout is Market-1501's."""

    KIND: ClassVar[Kind]
    FOLDERS = NP_FOLDERS
    PATTERN = NP_NAME
    EXAMPLE = "0003_c1_21.png"

    @classmethod
    def find_folder(cls, root: Path | None) -> Path:
        """The folder that holds layout 1 (with the three parts in it), else that of 2 or 3."""
        kind, parts = cls.KIND, cls.PARTS
        words = f"{split_file(kind)} and images_{kind}/ or cuhk03_release/cuhk-03.mat"
        try:
            names = [f"{name}/{kind}" for name in cls.FOLDERS]
            return layout.find_folder(cls.TITLE, root, names, parts, words)
        except ReidError:
            held = (f"images_{kind}", split_file(kind), *ORIGINALS)
            words = f"{words}; or cuhk03-np/{kind}/ with {', '.join(parts)}"
            return layout.find_folder(cls.TITLE, root, MAT_FOLDERS, held, words)

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """The dataset in ``folder``, whichever layout it has."""
        if any((folder / part).is_dir() for part in cls.PARTS):
            return super().read(folder)
        title, file = cls.TITLE, folder / split_file(cls.KIND)
        if not file.is_file():
            raise ReidError(f"{title} lacks its published split {layout.shown(file)}: put it there")
        images = find_images(folder, cls.KIND, title)
        tables = read_split(file, images, title)
        return layout.assemble(cls.NAME, title, tables, images, cls.COUNTS)


class CUHK03Labeled(CUHK03):
    """CUHK03 (Li et al., CVPR 2014), boxes drawn by hand, new protocol (Zhong et al., CVPR 2017).

    Licence: for non-commercial research; may not be passed on. It shows real people on a campus.
    Counts: 7,368 training images of 767 ids; 1,400 queries and 5,328 gallery images of 700 other
    ids (one query for each id and camera).
    Protocol: as Market-1501's: same id and same camera ignored. (The old one, 1,367/100 ids in 20
    splits, is another; its numbers are not comparable.)
    Layout: the authors' ``cuhk03-np/labeled``, or unpacked images with the published split, or the
    original ``cuhk-03.mat`` with it; see ``data.sets.cuhk03``. Cameras are a pair's views: 1, 2.
    """

    NAME, TITLE, KIND = "cuhk03-labeled", "CUHK03 (labeled)", "labeled"
    COUNTS: ClassVar = {"train": 7368, "query": 1400, "gallery": 5328}


class CUHK03Detected(CUHK03):
    """CUHK03 (Li et al., CVPR 2014), boxes of a detector, new protocol (Zhong et al., CVPR 2017).

    Licence: for non-commercial research; may not be passed on. It shows real people on a campus.
    Counts: 7,365 training images of 767 ids; 1,400 queries and 5,332 gallery images of 700 other
    ids (one query for each id and camera).
    Protocol: as Market-1501's: same id and same camera ignored. (The old one, 1,367/100 ids in 20
    splits, is another; its numbers are not comparable.)
    Layout: the authors' ``cuhk03-np/detected``, or unpacked images with the published split, or the
    original ``cuhk-03.mat`` with it; see ``data.sets.cuhk03``. Cameras are a pair's views: 1, 2.
    """

    NAME, TITLE, KIND = "cuhk03-detected", "CUHK03 (detected)", "detected"
    COUNTS: ClassVar = {"train": 7365, "query": 1400, "gallery": 5332}
