"""Partial sets: partial images on one side, whole ones on the other, nothing to train on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from reidlib.data.dataset import Dataset
from reidlib.data.sets import layout
from reidlib.errors import ReidError

PARTIAL_CAM, WHOLE_CAM = 0, 1  # no cameras are given: the side is the camera


def build(
    name: str,
    title: str,
    folder: Path,
    partial: pd.DataFrame,
    whole: pd.DataFrame,
    counts: Mapping[str, int],
    *,
    swap: bool = False,
) -> Dataset:
    """The dataset: partial images are the queries, whole ones the gallery; ``swap`` turns it round
    (PPCL, Table 3). A query id without a gallery image is a ReidError."""
    query, gallery = (whole, partial) if swap else (partial, whole)
    alone = ~query.pid.isin(gallery.pid)
    for path in query.path[alone][:1]:
        raise ReidError(f"{layout.shown(path)} has no image on the other side of {title}: add it")
    tables = {"train": layout.empty(), "query": query, "gallery": gallery}
    return layout.assemble(name, title, tables, folder, counts, "partial")
