"""Your own images, described by a CSV file: ``load("folder", csv="mine.csv")``.

Columns: ``path`` (relative to the folder of the CSV, or to ``root``), ``pid`` (-1 junk, 0
distractor), ``cam``, and if you like ``split`` (train, query or gallery; without it all rows are
for training), ``tracklet`` and ``frame``. UTF-8, comma-separated, with a header line.
Protocol: "market1501" (a gallery image with the query's id and camera is ignored), or
``protocol="partial"`` (no camera filter). Rows are sorted by path.
Licence and ethics are yours: make sure that the people in the images know what they are used for.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import pandas as pd

from reidlib.data.dataset import COLUMNS, SPLITS, Dataset
from reidlib.data.sets import layout
from reidlib.errors import ReidError, nearest
from reidlib.system.files import data_dir

KNOWN = (*COLUMNS, "split", "tracklet", "frame")
NUMBERS = ("pid", "cam", "tracklet", "frame")
NUMBER = re.compile(r"-?[0-9]{1,9}")


def read_csv(file: Path) -> pd.DataFrame:
    """The CSV as text, with its columns checked."""
    try:
        table = pd.read_csv(
            file, dtype=str, keep_default_na=False, encoding="utf-8", skipinitialspace=True
        )
    except (ValueError, OSError) as error:
        what = " ".join(str(error).split())
        raise ReidError(
            f"{layout.shown(file)} is no readable CSV ({what}): save it as UTF-8, with commas"
        ) from error
    for column in COLUMNS:
        if column not in table.columns:
            there = ",".join(table.columns)[:100]
            raise ReidError(
                f'{layout.shown(file)} has no column "{column}" (its first line: {there}): add it, '
                "with a comma between columns"
            )
    for column in table.columns:
        if column not in KNOWN:
            raise ReidError(
                f'{layout.shown(file)} has an unknown column "{column}"{nearest(column, KNOWN)}'
            )
    if not isinstance(table.index, pd.RangeIndex) or table.empty:
        raise ReidError(f"{layout.shown(file)} has no rows, or rows longer than its header")
    return table


def numbers(table: pd.DataFrame, column: str, file: Path) -> pd.Series:
    """A column as int64; the first value that is no whole number is named with its line."""
    wrong = ~table[column].str.fullmatch(NUMBER)
    for index in table.index[wrong][:1]:
        value = table[column][index]
        raise ReidError(
            f"{layout.shown(file)}, row {index + 1}: {column} is {value!r}, no integer of up to "
            "nine digits: write a number for each"
        )
    return table[column].astype("int64")


def load(
    root: Path | None = None,
    *,
    csv: str = "",
    protocol: Literal["market1501", "partial"] = "market1501",
) -> Dataset:
    """Your own images; see the module's docstring.

    csv: path of the CSV file, as it is or below ``root``. root: the folder that the paths in it
    are relative to (default: the folder of the CSV).
    """
    if not csv:
        raise ReidError('dataset folder: pass csv="mine.csv", a file with columns path,pid,cam')
    base = data_dir(root) if root else None
    file = next((f for f in (*([base / csv] if base else []), Path(csv)) if f.is_file()), None)
    if file is None:
        places = f"{layout.shown(base)} and the working folder" if base else "the working folder"
        raise ReidError(f"there is no file {csv} in {places}: pass csv= with its path")
    table = read_csv(file)
    folder = (base or file.parent).resolve()
    columns = {k: numbers(table, k, file) for k in NUMBERS if k in table.columns}
    for index in table.index[columns["pid"] < -1][:1]:
        raise ReidError(
            f"{layout.shown(file)}, row {index + 1}: pid is below -1: ids are 1, 2, ..., "
            "0 is a distractor, -1 junk"
        )
    splits = table["split"] if "split" in table.columns else pd.Series("train", index=table.index)
    for index in table.index[~splits.isin(SPLITS)][:1]:
        value = splits[index]
        raise ReidError(
            f'{layout.shown(file)}, row {index + 1}: unknown split "{value}"'
            f"{nearest(value, SPLITS)}"
        )
    paths = [_image(folder, path, file, i) for i, path in enumerate(table["path"], 1)]
    whole = pd.DataFrame({"path": pd.Series(paths, dtype=object), **columns})
    tables = {}
    for split in SPLITS:
        part = whole[splits == split].sort_values("path", ignore_index=True, kind="stable")
        for path in part.path[part.path.duplicated()][:1]:
            raise ReidError(f"{layout.shown(file)} names {path} twice in {split}: remove one")
        tables[split] = part
    return layout.assemble("folder", "folder", tables, folder, {}, protocol)


def _image(folder: Path, text: str, file: Path, row: int) -> str:
    """The path of one row's image, checked to be a file below ``folder``."""
    path = folder / text
    try:
        there = path.is_file() and Path(os.path.normpath(path)).is_relative_to(folder)
    except (OSError, ValueError):  # a name too long, or with a zero byte
        there = False
    if not there:
        raise ReidError(
            f"{layout.shown(file)}, row {row}: there is no image {text[:200]!r} below "
            f"{layout.shown(folder)}: correct the path or pass root="
        )
    return str(path)
