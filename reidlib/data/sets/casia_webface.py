"""CASIA-WebFace (Yi et al., arXiv 1411.7923): faces for training only, as in PPCL section 5.

NOTICE: its pictures of actors were collected from the web without the people's consent, and it is
no longer handed out. It is read here only for those who hold it already and may still use it, so
that published numbers can be checked; never pass it on.
Licence: was for non-commercial research.
Counts: 494,414 images of 10,575 ids. PPCL removes the ids that also stand in its test set; no list
of them is published, so nothing is removed here.
Protocol: training only, no query and no gallery; test on ``lfw``.
Layout: ``CASIA-WebFace/0000045/001.jpg``: a folder per id.
Ids: pid is the place of the folder in sorted order, from 1. There are no cameras: camera 0.
"""

from __future__ import annotations

import re
from pathlib import Path

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout
from reidlib.errors import ReidError
from reidlib.system.paths import data_dir

TITLE = "CASIA-WebFace"
FOLDERS = ("CASIA-WebFace", "CASIA-maxpy-clean", "casia-webface")
COUNTS = {"train": 494414}
PERSON = re.compile(r"\d{7}", re.ASCII)
NAME = re.compile(r"\d{3,4}\.jpg", re.ASCII)


def find_folder(root: Path | None) -> Path:
    """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
    base = data_dir(root)
    for folder in (base / name for name in FOLDERS):
        if folder.is_dir():
            return folder
    if any(PERSON.fullmatch(entry.name) for entry in layout.entries(base, TITLE)):
        return base
    raise ReidError(f"no {TITLE} below {layout.shown(base)}: expected {FOLDERS[0]}/0000045/001.jpg")


def load(root: Path | None = None) -> Dataset:
    """CASIA-WebFace, all of it for training; see the module's docstring."""
    folder = find_folder(root)
    rows = []
    for pid, person in enumerate(layout.people(folder, PERSON, TITLE, "0000045"), 1):
        rows += [(path, pid, 0) for path, _ in layout.images(person, NAME, TITLE, "001.jpg")]
    tables = {"train": layout.table(rows), "query": layout.empty(), "gallery": layout.empty()}
    return layout.assemble("casia-webface", TITLE, tables, folder, COUNTS)
