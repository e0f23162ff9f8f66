"""Writes that are whole or absent: a temporary neighbour, flushed to disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidlib.errors import ReidError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; renamed to it on success, removed on failure.

    Raises ReidError if the folder cannot be made or written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except PermissionError as error:
        raise ReidError(f"cannot write {path}: permission denied for {error.filename}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise ReidError(f"cannot write {path}: {error.filename} is not a folder") from error


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes ``content`` (text as UTF-8) to ``path``, whole or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder; renamed to ``path`` on success. If another process was faster,
    its folder stays and ours is dropped."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        yield part
        try:
            os.replace(part, path)
        except OSError:
            if not path.is_dir():
                raise
    except PermissionError as error:
        raise ReidError(f"cannot write {path}: permission denied for {error.filename}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
