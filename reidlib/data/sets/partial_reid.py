"""Partial-REID (Zheng et al., ICCV 2015): a test set; train on another, usually Market-1501.

Licence: for research; asked from the authors. It shows real people on a campus.
Counts: 60 ids with five whole-body and five partial images each: 300 queries, 300 gallery images.
Protocol: "partial". Partial images are the queries (camera 0), whole ones the gallery (camera 1),
no camera filter. ``swap=True`` turns it round (PPCL, Table 3). ``images="occluded"`` takes the
uncropped, occluded images that come with the set as partial side; the papers take the cropped ones.
Layout: ``PartialREID/{partial_body_images,whole_body_images,occluded_body_images}``, file names
such as ``001_001.jpg``: id, image. (Copies are also called Partial_REID or Partial-REID_Dataset.)
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout, partial_layout

TITLE = "Partial-REID"
FOLDERS = ("PartialREID", "Partial_REID", "Partial-REID_Dataset", "partial-reid", "partial_reid")
COUNTS = {"query": 300, "gallery": 300}
PARTS = ("partial_body_images", "whole_body_images", "occluded_body_images")
NAME = re.compile(r"(?P<pid>(?!000)\d{3})_(?P<number>\d{3})\.(jpg|png|bmp)", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return layout.find_folder(TITLE, root, FOLDERS, PARTS, "/, ".join(PARTS[:2]) + "/")


def read_side(folder: Path, cam: int) -> pd.DataFrame:
    """The table of one folder, sorted by file name."""
    found = layout.images(folder, NAME, TITLE, "001_001.jpg")
    return layout.table((path, int(match["pid"]), cam) for path, match in found)


def load(
    root: Path | None = None,
    *,
    images: Literal["partial", "occluded"] = "partial",
    swap: bool = False,
) -> Dataset:
    """Partial-REID; see the module's docstring."""
    folder = find_folder(root)
    partial = read_side(folder / f"{images}_body_images", partial_layout.PARTIAL_CAM)
    whole = read_side(folder / "whole_body_images", partial_layout.WHOLE_CAM)
    return partial_layout.build("partial-reid", TITLE, folder, partial, whole, COUNTS, swap=swap)
