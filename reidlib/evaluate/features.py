"""Features that lie in files: read row block by row block, never as a whole where that can be.

A network of any origin is evaluated from what it says of the images: one vector each, and a table
of who they show. ``read`` finds both; ``evaluate.blocks`` scores them.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError, nearest

SUFFIXES = (".npy", ".npz", ".safetensors", ".parquet")
LABELS = ("pid", "cam", "tracklet")  # whole numbers
SCATTERED = 256  # rows of a file that are mapped at once, if they are not adjacent
LARGEST = 10**15  # exact as a double
SIDES = ("query", "gallery")
FLOATS = ("float16", "float32", "float64", "F16", "BF16", "F32", "F64")  # NumPy's, safetensors'


@dataclass(frozen=True, eq=False)
class Features:
    """Some rows of an array [N, D] of floating type in a file, or in memory.

    source: the file or the array. name: of the array, in a file that holds several. rows: which
    of its rows these are, in their order; None: all. dim: D. What is read of a ``.npy`` is mapped
    for the moment of reading alone, so that memory does not depend on N.
    """

    source: Path | np.ndarray
    name: str
    rows: np.ndarray | range
    dim: int

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: np.ndarray | range | slice) -> Features:
        """Some of these rows (slice, positions, or one bool a row), in the order given."""
        if isinstance(rows, range):
            rows = np.arange(rows.start, rows.stop)
        elif isinstance(rows, np.ndarray) and rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if isinstance(rows, slice):
            return replace(self, rows=self.rows[rows])
        if len(rows) and (np.diff(rows) == 1).all():
            return self.take(slice(int(rows[0]), int(rows[-1]) + 1))
        return replace(self, rows=np.asarray(self.rows)[rows])

    def tensor(self) -> Tensor:
        """Its rows in memory, float32 [n, D].

        Raises ReidError for a value that is not finite, naming file and row.
        """
        rows = self.rows
        if isinstance(rows, range):
            found = np.array(self._array()[rows.start : rows.stop])
        else:  # a scattered row maps what lies around it, for as long as the mapping lasts
            parts = np.array_split(rows, -(-len(rows) // SCATTERED) or 1)
            found = np.concatenate([self._array()[some] for some in parts])
        if found.dtype == np.uint16:  # NumPy has no bfloat16
            return self._finite(torch.from_numpy(found).view(torch.bfloat16))
        return self._finite(
            torch.from_numpy(found.astype(found.dtype.newbyteorder("="), copy=False))
        )

    def _array(self) -> np.ndarray:
        return _mapped(self.source, self.name) if isinstance(self.source, Path) else self.source

    def _finite(self, part: Tensor) -> Tensor:
        part = part.float()
        bad = torch.nonzero(~torch.isfinite(part.sum(1))).flatten()
        for i in bad[~torch.isfinite(part[bad]).all(1)][:1].tolist():
            where = self.source if isinstance(self.source, Path) else "the array"
            raise ReidError(
                f"row {self.rows[i]} of {self.name} in {where} holds a value that is not finite "
                "in single precision: encode that image again"
            )
        return part


def in_memory(array: Any, name: str = "features") -> Features:
    """Features that are a NumPy array or a tensor [N, D]. Raises ReidError for another shape."""
    if isinstance(array, Tensor):
        array = array.detach().float().cpu().numpy()
    return _described(array, name, np.asarray(array))


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """``query`` and ``gallery`` with their tables: pid, and cam and tracklet where they are known,
    one row a feature; ``row`` is its number in the file of labels, from 0."""

    query: Features
    gallery: Features
    q_table: pd.DataFrame
    g_table: pd.DataFrame

    @property
    def sides(self) -> tuple[tuple[Features, pd.DataFrame], ...]:
        return (self.query, self.q_table), (self.gallery, self.g_table)


def read(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None) -> FeatureSet:
    """Features and their labels.

    path: a ``.npy``, ``.npz``, ``.safetensors`` or ``.parquet`` file, or a folder that holds
    ``query`` and ``gallery`` in one of these formats. A file holds the arrays ``query`` [Q, D] and
    ``gallery`` [G, D], or a single array of both; parquet has a column ``feature`` of lists.
    labels: a CSV (default: the file's name with ``.csv``; in a folder ``query.csv`` and
    ``gallery.csv``; parquet may hold the columns itself) with ``pid`` (-1 junk, 0 distractor),
    ``cam`` and ``tracklet`` where the protocol needs them, and ``split``, which says query or
    gallery, unless each side has a file of its own. Row i is feature i, counted within its split
    where there are two arrays. Other splits and other columns are left out.

    Raises ReidError for whatever does not fit, naming the file and the way out.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path, Path(labels) if labels else None)
    arrays, own = _arrays(path)
    file = Path(labels) if labels else path.with_suffix(".csv")
    table = own if own is not None and not labels else _labels(file, path)
    where = path if table is own else file
    if "split" not in table.columns:
        raise ReidError(
            f'{where} has no column "split" ({_header(where)}): add one that says query or gallery'
        )
    masks = [(table["split"] == side).to_numpy() for side in SIDES]
    for side, mask in zip(SIDES, masks, strict=True):
        if not mask.any():
            splits = ", ".join(f'"{x}"' for x in table["split"].unique()[:5])
            raise ReidError(
                f'{where} names no {side}: its splits are {splits}, give some rows "{side}"'
            )
    tables = [table[mask].drop(columns="split").reset_index(drop=True) for mask in masks]
    if set(SIDES) <= set(arrays):
        return _paired([arrays[side] for side in SIDES], tables, [where, where])
    if len(arrays) != 1:
        raise ReidError(
            f"{path} holds {sorted(arrays)}: name two arrays query and gallery, or keep one alone"
        )
    (whole,) = arrays.values()
    if len(whole) != len(table):
        raise ReidError(
            f"{path} has {len(whole)} features, {where} {len(table)} rows: write one row a feature"
        )
    return _paired([whole.take(mask) for mask in masks], tables, [where, where])


def _folder(path: Path, labels: Path | None) -> FeatureSet:
    found: list[Features] = []
    tables, files = [], []
    for side in SIDES:
        files_here = [path / f"{side}{suffix}" for suffix in SUFFIXES]
        file = next((f for f in files_here if f.is_file()), None)
        if file is None:
            names = ", ".join(f"{side}{suffix}" for suffix in SUFFIXES)
            raise ReidError(f"{path} holds no features of the {side}: expected one of {names}")
        arrays, own = _arrays(file)
        if len(arrays) != 1:
            raise ReidError(f"{file} holds {sorted(arrays)}: keep a single array in it")
        found += arrays.values()
        csv = (labels or path) / f"{side}.csv"
        tables.append(own if own is not None and not labels else _labels(csv, file))
        files.append(csv)
    return _paired(found, [t.drop(columns="split", errors="ignore") for t in tables], files)


def _paired(
    sides: Sequence[Features], tables: Sequence[pd.DataFrame], files: Sequence[Path]
) -> FeatureSet:
    for side, part, table, file in zip(SIDES, sides, tables, files, strict=True):
        if len(part) != len(table):
            raise ReidError(
                f"there are {len(part)} {side} features and {len(table)} {side} rows in {file}: "
                "one row a feature"
            )
    if sides[0].dim != sides[1].dim:
        raise ReidError(
            f"query features have {sides[0].dim} values, gallery features {sides[1].dim}: "
            "encode both with the same network"
        )
    return FeatureSet(sides[0], sides[1], tables[0], tables[1])


def _labels(file: Path, features: Path) -> pd.DataFrame:
    """The columns of a CSV that are known here, as int64; its rows are numbered in ``row``."""
    if not file.is_file():
        raise ReidError(
            f"there is no {file} for {features}: write one with the columns pid,cam,split, one row "
            "a feature, or name it with --labels"
        )
    try:
        table = pd.read_csv(
            file,
            usecols=lambda c: c in (*LABELS, "split"),
            encoding="utf-8",
            skipinitialspace=True,
        )
    except (ValueError, OSError) as error:
        what = " ".join(str(error).split())
        raise ReidError(
            f"{file} is no readable CSV ({what}): save it as UTF-8, separated by commas"
        ) from error
    return _numbers(table, file)


def _header(file: Path) -> str:
    """The columns that a file of labels has, for an error message."""
    if file.suffix == ".parquet":
        return "a parquet file"
    return "its first line: " + ",".join(pd.read_csv(file, nrows=0).columns)[:100]


def _numbers(table: pd.DataFrame, file: Path) -> pd.DataFrame:
    if "pid" not in table.columns:
        raise ReidError(
            f'{file} has no column "pid" ({_header(file)}): add it, with a comma between columns'
        )
    if table.empty or not isinstance(table.index, pd.RangeIndex):
        raise ReidError(f"{file} has no rows, or rows longer than its header")
    for column in (c for c in LABELS if c in table.columns):
        values = pd.to_numeric(table[column], errors="coerce")
        for i in table.index[~((values % 1 == 0) & (values.abs() < LARGEST))][:1]:
            raise ReidError(
                f"{file}, row {i + 1}: {column} is {table[column][i]}, no integer of up to "
                "fifteen digits: write a number for each"
            )
        table[column] = values.astype("int64")
    for i in table.index[table["pid"] < -1][:1]:
        raise ReidError(
            f"{file}, row {i + 1}: pid is below -1: ids are 1, 2, ..., 0 is a distractor, -1 junk"
        )
    return table.assign(row=np.arange(len(table)))


def _arrays(path: Path) -> tuple[dict[str, Features], pd.DataFrame | None]:
    """The arrays of a file by name, and the labels that it holds itself (parquet may)."""
    if path.suffix not in SUFFIXES:
        raise ReidError(f"{path} is no file of features{nearest(path.suffix, SUFFIXES)}")
    if not path.is_file():
        raise ReidError(f"there is no file {path}: name a file of features, or a folder")
    try:
        if path.suffix == ".npy":
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            return {path.stem: _described(path, path.stem, array)}, None
        if path.suffix == ".npz":
            _bounded(path)
            with np.load(path, allow_pickle=False) as file:
                loaded = {k: file[k] for k in file.files}
            return {k: _described(a, k, a) for k, a in loaded.items()}, None
        if path.suffix == ".safetensors":
            return _tensors(path), None
        return _parquet(path)
    except ReidError:
        raise
    except (
        *(ValueError, OSError, EOFError, KeyError, OverflowError),
        *(MemoryError, zipfile.BadZipFile),  # a header may say anything
    ) as error:
        what = " ".join(str(error).split())
        raise ReidError(
            f"{path} is no readable {path.suffix} of plain numbers ({what}): write it again; "
            "Python objects are not read, as that would execute code"
        ) from error


DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}


def _mapped(path: Path, name: str) -> np.ndarray:
    """The array of a ``.npy`` or ``.safetensors`` file, of which nothing is read yet."""
    if path.suffix == ".npy":
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    with open(path, "rb") as file:  # a length, a header in JSON, the data
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
    begin = 8 + length + entry["data_offsets"][0]
    return np.memmap(path, DTYPES[entry["dtype"]], "r", begin, tuple(entry["shape"]))


def _described(source: Any, name: str, array: Any) -> Features:
    """array: with ``shape`` and ``dtype``, or a safetensors slice."""
    if isinstance(array, np.ndarray):
        shape, dtype = array.shape, array.dtype.newbyteorder("=").name
    else:
        shape, dtype = tuple(array.get_shape()), array.get_dtype()
    if len(shape) != 2 or not shape[1]:
        raise ReidError(
            f"{name} has shape {tuple(shape)}: features are [number, values], so save one row an "
            "image"
        )
    if dtype not in FLOATS:
        raise ReidError(f"{name} holds {dtype}, no features: save it as float16, 32 or 64")
    if isinstance(source, Path):
        source = source.absolute()  # it may be read by another process, in another folder
    return Features(source, name, range(int(shape[0])), int(shape[1]))


def _bounded(path: Path) -> None:
    """Raises ReidError if a ``.npz``, which is unpacked as a whole, would not fit in memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with zipfile.ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    if size > memory / 2:
        raise ReidError(
            f"{path} unpacks to {size / 2**30:.1f} GiB, more than half of the memory: save its "
            "arrays as .npy, which are read in blocks"
        )


def _tensors(path: Path) -> dict[str, Features]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            return {name: _described(path, name, file.get_slice(name)) for name in names}
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _parquet(path: Path) -> tuple[dict[str, Features], pd.DataFrame | None]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise ReidError(
            f'{path} needs the package pyarrow: pip install "reidlib[parquet]", or save a .npy'
        ) from None
    try:
        columns = parquet.read_schema(path).names
        if "feature" not in columns:
            raise ReidError(f'{path} has no column "feature" (its columns: {", ".join(columns)})')
        whole = parquet.read_table(path, columns=["feature"])["feature"].combine_chunks()
        flat = whole.flatten().to_numpy(zero_copy_only=False)
        number = len(whole)
        lengths = np.unique(whole.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) != 1 or lengths[0] * number != len(flat):
            raise ReidError(f"{path}: its features have {lengths.tolist()} values: one length only")
        array = flat.reshape(number, -1)
        rest = [c for c in columns if c in (*LABELS, "split")]
        table = parquet.read_table(path, columns=rest).to_pandas() if "pid" in rest else None
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    found = {"feature": _described(array, "feature", array)}
    return found, None if table is None else _numbers(table, path)
