"""Writes that are whole or absent: a temporary neighbour, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidlib.errors import ReidError

_NO_FOLDER = {errno.EEXIST, errno.ENOTDIR}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EISDIR}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what the place is to blame for (rights, a full disk, a file in the way) into ReidError.

    Other errors of the operating system pass as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_FOLDER:
            raise ReidError(f"cannot write {path}: {error.filename} is not a folder") from error
        if error.errno in _REFUSED:
            reason = (error.strerror or "").lower()
            raise ReidError(
                f"cannot write {path}: {reason} for {error.filename or path}"
            ) from error
        raise


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; renamed to it on success, removed on failure.

    Raises ReidError if the folder cannot be made or written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes ``content`` (text as UTF-8) to ``path``, whole or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder; renamed to ``path`` on success, removed on failure. If another
    process was faster, its folder stays and ours is dropped.

    Raises ReidError if the folder cannot be made or written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a killed process that had our number
    try:
        with explained(path):
            part.mkdir(parents=True)
            yield part
            try:
                os.replace(part, path)
            except OSError:
                if not path.is_dir():
                    raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
