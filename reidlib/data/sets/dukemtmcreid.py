"""DukeMTMC-reID (Ristani et al., ECCVW 2016; Zheng et al., ICCV 2017). Withdrawn by its authors.

NOTICE: the authors withdrew DukeMTMC in 2019, because people had been filmed on a campus without
having agreed to it. It is read here only for those who hold it already and may still use it, so
that published numbers can be checked. Prefer another set for new work; never pass it on.
Licence: was for academic research with attribution; no longer handed out.
Counts: 16,522 training images of 702 ids; 2,228 queries of 702 other ids; 17,661 gallery images of
those ids and of 408 distractor ids. The distractor ids have numbers of their own (not 0000).
Protocol: same id and same camera ignored. 8 cameras.
Layout: ``DukeMTMC-reID/{bounding_box_train,query,bounding_box_test}``, file names such as
``0005_c2_f0046985.jpg``: id, camera, frame.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlib.data.dataset import Dataset
from reidlib.data.sets import market_layout

TITLE = "DukeMTMC-reID"
FOLDERS = ("DukeMTMC-reID", "dukemtmc-reid/DukeMTMC-reID", "dukemtmc-reid", "dukemtmcreid")
COUNTS = {"train": 16522, "query": 2228, "gallery": 17661}
NAME = re.compile(r"(?P<pid>\d{4})_c(?P<cam>[1-8])_f(?P<frame>\d{7})\.jpg", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    return market_layout.find_folder(TITLE, root, FOLDERS)


def load(root: Path | None = None) -> Dataset:
    """DukeMTMC-reID with its official split; see the module's docstring, first its notice."""
    folder = find_folder(root)
    example = "0005_c2_f0046985.jpg"
    return market_layout.read("dukemtmcreid", TITLE, folder, NAME, example, COUNTS)
