"""Partial test sets: partial images on one side, whole ones on the other, nothing to train on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout
from reidlib.errors import ReidError

PARTIAL_CAM, WHOLE_CAM = 0, 1  # no cameras are given: the side is the camera


class PartialSet(layout.Reader):
    """What the partial sets share."""

    @classmethod
    def build(
        cls, folder: Path, partial: pd.DataFrame, whole: pd.DataFrame, *, swap: bool = False
    ) -> Dataset:
        """The dataset: partial images are the queries, whole ones the gallery; ``swap`` turns it
        round (PPCL, Table 3). A query id without a gallery image is a ReidError."""
        query, gallery = (whole, partial) if swap else (partial, whole)
        alone = ~query.pid.isin(gallery.pid)
        for path in query.path[alone][:1]:
            raise ReidError(
                f"{layout.shown(path)} has no image on the other side of {cls.TITLE}: add it"
            )
        tables = {"train": layout.empty(), "query": query, "gallery": gallery}
        return layout.assemble(cls.NAME, cls.TITLE, tables, folder, cls.COUNTS, "partial")


class PartialREID(PartialSet):
    """Partial-REID (Zheng et al., ICCV 2015): a test set; train on another, usually Market-1501.

    Licence: for research; asked from the authors. It shows real people on a campus.
    Counts: 60 ids with five whole-body and five partial images each: 300 queries, 300 gallery
    images.
    Protocol: "partial". Partial images are the queries (camera 0), whole ones the gallery (camera
    1), no camera filter. ``swap=True`` turns it round (PPCL, Table 3). ``images="occluded"`` takes
    the uncropped, occluded images that come with the set as partial side; the papers take the
    cropped ones.
    Layout: ``PartialREID/{partial_body_images,whole_body_images,occluded_body_images}``, file names
    such as ``001_001.jpg``: id, image. (Copies are also called Partial_REID or
    Partial-REID_Dataset.)
    """

    NAME, TITLE = "partial-reid", "Partial-REID"
    FOLDERS = (
        "PartialREID",
        "Partial_REID",
        "Partial-REID_Dataset",
        "partial-reid",
        "partial_reid",
    )
    COUNTS: ClassVar = {"query": 300, "gallery": 300}
    PARTS = ("partial_body_images", "whole_body_images", "occluded_body_images")
    LAYOUT = "partial_body_images/, whole_body_images/"
    PATTERN = re.compile(r"(?P<pid>(?!000)\d{3})_(?P<number>\d{3})\.(jpg|png|bmp)", re.ASCII)

    @classmethod
    def load(
        cls,
        root: Path | None = None,
        *,
        images: Literal["partial", "occluded"] = "partial",
        swap: bool = False,
    ) -> Dataset:
        """Partial-REID; see the card above."""
        folder = cls.find_folder(root)
        partial = cls.read_side(folder / f"{images}_body_images", PARTIAL_CAM)
        whole = cls.read_side(folder / "whole_body_images", WHOLE_CAM)
        return cls.build(folder, partial, whole, swap=swap)

    @classmethod
    def read_side(cls, folder: Path, cam: int) -> pd.DataFrame:
        """The table of one folder, sorted by file name."""
        found = layout.images(folder, cls.PATTERN, cls.TITLE, "001_001.jpg")
        return layout.table((path, int(match["pid"]), cam) for path, match in found)


class PartialILIDS(PartialSet):
    """Partial-iLIDS: a test set (He et al., CVPR 2018, from i-LIDS; Zheng et al., CVPR 2011).

    Licence: i-LIDS is the UK Home Office's, for research by agreement. It shows real people filmed
    in an airport.
    Counts: 119 ids with one partial and one whole image each: 119 queries, 119 gallery images.
    Protocol: "partial". Partial images are the queries (camera 0), whole ones the gallery (camera
    1), no camera filter. ``swap=True`` turns it round (PPCL, Table 3).
    Layout: ``Partial_iLIDS/{Probe,Gallery}`` (some copies: ``{query,gallery}``), file names such as
    ``1.jpg`` or ``001.jpg``: the id. Some copies append an image number (``001_1.jpg``).
    Ids: pid is the number in the name + 1. Whether the numbers start at 0 could not be confirmed,
    and 0 means distractor here.
    """

    NAME, TITLE = "partial-ilids", "Partial-iLIDS"
    FOLDERS = ("Partial_iLIDS", "PartialiLIDS", "Partial-iLIDS", "partial-ilids", "partial_ilids")
    COUNTS: ClassVar = {"query": 119, "gallery": 119}
    PARTS = ("Probe", "Gallery")
    LAYOUT = "Probe/, Gallery/"
    PATTERN = re.compile(r"(?P<number>\d{1,4})(_\d{1,3})?\.(jpg|png|bmp)", re.ASCII)

    @classmethod
    def load(cls, root: Path | None = None, *, swap: bool = False) -> Dataset:
        """Partial-iLIDS; see the card above."""
        folder = cls.find_folder(root)
        partial = cls.read_side(folder, ("Probe", "query"), PARTIAL_CAM)
        whole = cls.read_side(folder, ("Gallery", "gallery"), WHOLE_CAM)
        return cls.build(folder, partial, whole, swap=swap)

    @classmethod
    def read_side(cls, folder: Path, names: tuple[str, str], cam: int) -> pd.DataFrame:
        """The table of one side, sorted by file name."""
        here = [folder / name for name in names]
        there = next((side for side in here if side.is_dir()), here[0])
        found = layout.images(there, cls.PATTERN, cls.TITLE, "001.jpg")
        return layout.table((path, int(match["number"]) + 1, cam) for path, match in found)
