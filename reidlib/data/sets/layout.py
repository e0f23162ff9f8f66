"""What the readers share: a dataset's folder, the names in it, its tables.

Whatever is not as the authors laid it out is a ReidError that names the file and the way out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pandas as pd

from reidlib.data.dataset import Dataset, fingerprint_files, warn_counts
from reidlib.errors import ReidError
from reidlib.system.files import data_dir

IGNORED = {"Thumbs.db", ".DS_Store"}  # what operating systems leave in folders


def shown(path: object) -> str:
    """A path that can be printed in one line, whatever its bytes are."""
    text = str(path)
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def find_folder(
    title: str, root: Path | None, names: Sequence[str], parts: Sequence[str], layout: str
) -> Path:
    """The first folder below ``root`` (or ``REIDLIB_DATA``) that is called one of ``names`` and
    holds one of ``parts``; or ``root`` itself. ``layout`` says in words what was expected."""
    base = data_dir(root)
    for folder in [*(base / name for name in names), base]:
        if any((folder / part).exists() for part in parts):
            return folder
    raise ReidError(f"no {title} below {shown(base)}: expected {names[0]}/ with {layout}")


def entries(folder: Path, title: str) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name."""
    if not folder.is_dir():
        raise ReidError(f"{title} lacks the folder {shown(folder)}")
    try:
        with os.scandir(folder) as found:
            return sorted((e for e in found if e.name not in IGNORED), key=lambda e: e.name)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ReidError(f"{shown(folder)} cannot be read ({reason}): check its rights") from error


def images(
    folder: Path, pattern: re.Pattern[str], title: str, example: str
) -> Iterator[tuple[str, re.Match[str]]]:
    """Path and parsed name of every file of a folder, sorted by name.

    Raises ReidError for a missing or empty folder, a name that does not parse, and for what is no
    file (a folder, a broken link).
    """
    found = entries(folder, title)
    if not found:
        raise ReidError(f"{shown(folder)} holds no images")
    for entry in found:
        path = folder / entry.name
        match = pattern.fullmatch(entry.name)
        if not match:
            raise ReidError(
                f"{shown(path)} is not named as {title} names its images ({example}): "
                "move it out of the folder"
            )
        if not entry.is_file():
            raise ReidError(f"{shown(path)} is not a file, or a link to nothing: replace it")
        yield str(path), match


def compare(folder: Path, listed: Iterable[str], lists: str, title: str) -> None:
    """Raises ReidError if ``folder`` lacks a listed file, or holds one that ``lists`` do not name.

    listed: paths below ``folder``, one folder deep, such as ``0002/0002C1T0001F001.jpg``.
    """
    there = set()
    for outer in entries(folder, title):
        if outer.is_dir():
            inner = entries(folder / outer.name, title)
            there |= {f"{outer.name}/{e.name}" for e in inner if e.is_file()}
        else:
            there.add(outer.name)
    named = set(listed)
    for name in sorted(named - there)[:1]:
        raise ReidError(f"{shown(folder / name)} is not there, but {lists} names it: unpack again")
    for name in sorted(there - named)[:1]:
        raise ReidError(f"{shown(folder / name)} is named by no list ({lists}): move it elsewhere")


def table(rows: Iterable[Sequence[object]], *more: str) -> pd.DataFrame:
    """A split's table: path, pid, cam and the columns ``more`` (whole numbers as int64)."""
    columns = ["path", "pid", "cam", *more]
    frame = pd.DataFrame(list(rows), columns=columns)
    return frame.astype({"path": object, **dict.fromkeys(columns[1:], "int64")})


def empty() -> pd.DataFrame:
    """The table of a split that a dataset does not have."""
    return table([])


def assemble(
    name: str,
    title: str,
    tables: Mapping[str, pd.DataFrame],
    folder: Path,
    official: Mapping[str, int],
    protocol: str = "market1501",
) -> Dataset:
    """The dataset of the tables "train", "query", "gallery", whose files lie below ``folder``.

    Numbers of images that differ from the ``official`` ones are a warning that names both.
    """
    warn_counts(title, {split: len(part) for split, part in tables.items()}, official)
    train, query, gallery = (tables[split] for split in ("train", "query", "gallery"))
    fingerprint = fingerprint_files(name, [train, query, gallery], folder)
    return Dataset(name, train, query, gallery, fingerprint, protocol)


class Reader:
    """A dataset's reader: it has a ``load``, and its docstring is the dataset's card.

    A module with ``load``, ``find_folder`` and ``COUNTS`` is one as well.
    """

    NAME: ClassVar[str]  # in ``reidlib.data.load``
    TITLE: ClassVar[str]  # in messages
    COUNTS: ClassVar[Mapping[str, int]]  # official numbers of images
    FOLDERS: ClassVar[Sequence[str]]  # how its folder is called
    PARTS: ClassVar[Sequence[str]]  # of what it holds, one of which has to be there
    LAYOUT: ClassVar[str]  # these in words

    @classmethod
    def find_folder(cls, root: Path | None) -> Path:
        """The dataset's folder below ``root`` (or ``REIDLIB_DATA``), or ``root`` itself."""
        return find_folder(cls.TITLE, root, cls.FOLDERS, cls.PARTS, cls.LAYOUT)
