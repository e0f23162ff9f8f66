"""Datasets laid out as Market-1501: three folders, and names that say id, camera and frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import pandas as pd

from reidlib.data.dataset import SPLITS, Dataset
from reidlib.data.sets import layout


class MarketLike(layout.Reader):
    """PATTERN of a file's name has the groups pid, cam and frame; EXAMPLE is such a name."""

    PATTERN: ClassVar[re.Pattern[str]]
    EXAMPLE: ClassVar[str]
    PARTS = ("bounding_box_train", "query", "bounding_box_test")  # train, query, gallery
    LAYOUT = "bounding_box_train/, query/, bounding_box_test/"

    @classmethod
    def load(cls, root: Path | None = None) -> Dataset:
        """The dataset with its own split.

        Missing folders and unknown file names are ReidErrors; counts that differ from the official
        ones are said as a warning that names both.
        """
        return cls.read(cls.find_folder(root))

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """The dataset in ``folder``, each split sorted by file name."""
        tables = {
            split: cls.read_part(folder / part)
            for split, part in zip(SPLITS, cls.PARTS, strict=True)
        }
        return layout.assemble(cls.NAME, cls.TITLE, tables, folder, cls.COUNTS)

    @classmethod
    def read_part(cls, folder: Path) -> pd.DataFrame:
        found = layout.images(folder, cls.PATTERN, cls.TITLE, cls.EXAMPLE)
        rows = [(path, *(int(m[group]) for group in ("pid", "cam", "frame"))) for path, m in found]
        return layout.table(rows, "frame")


class Market1501(MarketLike):
    """Market-1501 (Zheng et al., ICCV 2015).

    Licence: for non-commercial research; may not be passed on. It shows real people filmed in
    public.
    Counts: 12,936 training images of 751 ids; 3,368 queries of 750 other ids; 19,732 gallery
    images, of which 13,115 show a query id, 2,798 are distractors (pid 0) and 3,819 junk (pid -1).
    Protocol: same id and same camera ignored, junk ignored, distractors kept.
    Layout: ``Market-1501-v15.09.15/{bounding_box_train,query,bounding_box_test}``, file names such
    as ``0002_c1s1_000451_03.jpg``: id, camera, sequence, frame, box. (A few official names end in
    ``.jpg.jpg``.)
    """

    NAME, TITLE = "market1501", "Market-1501"
    FOLDERS = ("Market-1501-v15.09.15", "market1501", "Market-1501")
    COUNTS: ClassVar = {"train": 12936, "query": 3368, "gallery": 19732}
    PATTERN = re.compile(
        r"(?P<pid>-1|\d{4})_c(?P<cam>\d)s(?P<seq>\d)_(?P<frame>\d{6})_\d{2}(\.jpg){1,2}", re.ASCII
    )
    EXAMPLE = "0002_c1s1_000451_03.jpg"


class DukeMTMCreID(MarketLike):
    """DukeMTMC-reID (Ristani et al. 2016; Zheng et al., ICCV 2017). Withdrawn by its authors.

    NOTICE: the authors withdrew DukeMTMC in 2019, because people had been filmed on a campus
    without having agreed to it. It is read here only for those who hold it already and may still
    use it, so that published numbers can be checked. Prefer another set for new work; never pass it
    on.
    Licence: was for academic research with attribution; no longer handed out.
    Counts: 16,522 training images of 702 ids; 2,228 queries of 702 other ids; 17,661 gallery images
    of those ids and of 408 distractor ids. The distractor ids have numbers of their own (not 0000).
    Protocol: same id and same camera ignored. 8 cameras.
    Layout: ``DukeMTMC-reID/{bounding_box_train,query,bounding_box_test}``, file names such as
    ``0005_c2_f0046985.jpg``: id, camera, frame.
    """

    NAME, TITLE = "dukemtmcreid", "DukeMTMC-reID"
    FOLDERS = ("DukeMTMC-reID", "dukemtmc-reid/DukeMTMC-reID", "dukemtmc-reid", "dukemtmcreid")
    COUNTS: ClassVar = {"train": 16522, "query": 2228, "gallery": 17661}
    PATTERN = re.compile(r"(?P<pid>\d{4})_c(?P<cam>[1-8])_f(?P<frame>\d{7})\.jpg", re.ASCII)
    EXAMPLE = "0005_c2_f0046985.jpg"


class CUHK03Subset(MarketLike):
    """CUHK03-subset: 584 people of CUHK03 in Market-1501's layout. NOT an official split.

    A second camera network for tests across domains (train or test on it); its scores are
    comparable with nothing published. Use ``cuhk03-labeled`` or ``cuhk03-detected`` for published
    numbers.
    Source: CUHK03 (Li et al., CVPR 2014), detected boxes brought to height 192, JPEG quality 90;
    only ids with all ten images. Licence: non-commercial research; may not be passed on. It shows
    real people filmed on a campus.
    Counts: 4,840 training images of 484 ids; 200 queries and 800 gallery images of 100 other ids.
    Protocol: same id and same camera ignored; each query (the first image of each camera) has four
    right answers in the other camera; no distractors, so one query is 0.5 points of rank-1.
    Layout: ``CUHK03-subset/{bounding_box_train,query,bounding_box_test}``, file names such as
    ``0001_c1_000000_00.jpg``: id, camera, number of the image. Ids are this subset's own.
    """

    NAME, TITLE = "cuhk03-subset", "CUHK03-subset"
    FOLDERS = ("CUHK03-subset", "cuhk03-subset")
    COUNTS: ClassVar = {"train": 4840, "query": 200, "gallery": 800}
    PATTERN = re.compile(r"(?P<pid>\d{4})_c(?P<cam>[12])_(?P<frame>\d{6})_\d{2}\.jpg", re.ASCII)
    EXAMPLE = "0001_c1_000000_00.jpg"
