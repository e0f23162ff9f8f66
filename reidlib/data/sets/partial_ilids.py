"""Partial-iLIDS: a test set (He et al., CVPR 2018, from i-LIDS; Zheng et al., CVPR 2011).

Licence: i-LIDS is the UK Home Office's, for research by agreement. It shows real people filmed in
an airport.
Counts: 119 ids with one partial and one whole image each: 119 queries, 119 gallery images.
Protocol: "partial". Partial images are the queries (camera 0), whole ones the gallery (camera 1),
no camera filter. ``swap=True`` turns it round (PPCL, Table 3).
Layout: ``Partial_iLIDS/{Probe,Gallery}`` (some copies: ``{query,gallery}``), file names such as
``1.jpg`` or ``001.jpg``: the id. Some copies append an image number (``001_1.jpg``).
Ids: pid is the number in the name + 1. Whether the numbers start at 0 could not be confirmed, and 0
means distractor here.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout, partial_layout

TITLE = "Partial-iLIDS"
FOLDERS = ("Partial_iLIDS", "PartialiLIDS", "Partial-iLIDS", "partial-ilids", "partial_ilids")
COUNTS = {"query": 119, "gallery": 119}
PROBE, GALLERY = ("Probe", "query"), ("Gallery", "gallery")
NAME = re.compile(r"(?P<number>\d{1,4})(_\d{1,3})?\.(jpg|png|bmp)", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return layout.find_folder(TITLE, root, FOLDERS, ("Probe", "Gallery"), "Probe/, Gallery/")


def read_side(folder: Path, names: tuple[str, str], cam: int) -> pd.DataFrame:
    """The table of one side, sorted by file name."""
    there = next((folder / name for name in names if (folder / name).is_dir()), folder / names[0])
    found = layout.images(there, NAME, TITLE, "001.jpg")
    return layout.table((path, int(match["number"]) + 1, cam) for path, match in found)


def load(root: Path | None = None, *, swap: bool = False) -> Dataset:
    """Partial-iLIDS; see the module's docstring."""
    folder = find_folder(root)
    partial = read_side(folder, PROBE, partial_layout.PARTIAL_CAM)
    whole = read_side(folder, GALLERY, partial_layout.WHOLE_CAM)
    return partial_layout.build("partial-ilids", TITLE, folder, partial, whole, COUNTS, swap=swap)
