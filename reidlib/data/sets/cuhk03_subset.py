"""CUHK03-subset: 584 people of CUHK03 in Market-1501's layout. NOT an official split.

A second camera network for tests across domains (train or test on it); its scores are comparable
with nothing published. Use ``cuhk03-labeled`` or ``cuhk03-detected`` for published numbers.
Source: CUHK03 (Li et al., CVPR 2014), detected boxes brought to height 192, JPEG quality 90; only
ids with all ten images. Licence: non-commercial research; may not be passed on. It shows real
people filmed on a campus.
Counts: 4,840 training images of 484 ids; 200 queries and 800 gallery images of 100 other ids.
Protocol: same id and same camera ignored; each query (the first image of each camera) has four
right answers in the other camera; no distractors, so one query is 0.5 points of rank-1.
Layout: ``CUHK03-subset/{bounding_box_train,query,bounding_box_test}``, file names such as
``0001_c1_000000_00.jpg``: id, camera, number of the image. Ids are this subset's own.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlib.data.dataset import Dataset
from reidlib.data.sets import market_layout

TITLE = "CUHK03-subset"
FOLDERS = ("CUHK03-subset", "cuhk03-subset")
COUNTS = {"train": 4840, "query": 200, "gallery": 800}
NAME = re.compile(r"(?P<pid>\d{4})_c(?P<cam>[12])_(?P<frame>\d{6})_\d{2}\.jpg", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return market_layout.find_folder(TITLE, root, FOLDERS)


def load(root: Path | None = None) -> Dataset:
    """The subset with its own split; see the module's docstring."""
    folder = find_folder(root)
    example = "0001_c1_000000_00.jpg"
    return market_layout.read("cuhk03-subset", TITLE, folder, NAME, example, COUNTS)
