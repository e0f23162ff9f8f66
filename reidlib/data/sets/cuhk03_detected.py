"""CUHK03 (Li et al., CVPR 2014), boxes of a detector, new protocol (Zhong et al., CVPR 2017).

Licence: for non-commercial research; may not be passed on. It shows real people on a campus.
Counts: 7,365 training images of 767 ids; 1,400 queries and 5,332 gallery images of 700 other ids
(one query for each id and camera).
Protocol: as Market-1501's: same id and same camera ignored. (The old one, 1,367/100 ids in 20
splits, is another; its numbers are not comparable.)
Layout: the authors' ``cuhk03-np/detected``, or unpacked images with the published split, or the
original ``cuhk-03.mat`` with it; see ``data.sets.cuhk03``. Cameras are a pair's views: 1, 2.
"""

from __future__ import annotations

from pathlib import Path

from reidlib.data.dataset import Dataset
from reidlib.data.sets import cuhk03

TITLE = "CUHK03 (detected)"
COUNTS = {"train": 7365, "query": 1400, "gallery": 5332}


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return cuhk03.find_folder(TITLE, "detected", root)


def load(root: Path | None = None) -> Dataset:
    """CUHK03 (detected) with the new protocol; see the module's docstring."""
    return cuhk03.load("cuhk03-detected", TITLE, "detected", COUNTS, root)
