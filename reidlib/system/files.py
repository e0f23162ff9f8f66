"""Where things lie on disk, and writes that are whole or absent.

Environment variables win; the defaults are folders of the checkout. A write goes to a temporary
neighbour, is flushed to disk, then renamed.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidlib.errors import ReidError


def root() -> Path:
    """The checkout that holds this package. If it is installed apart: the checkout around the
    working directory (a kernel works in ``notebooks/``), or else the working directory."""
    checkout, here = Path(__file__).resolve().parents[2], Path.cwd()
    if (checkout / "notebooks").is_dir():
        return checkout
    around = (folder for folder in (here, *here.parents) if (folder / "notebooks/params").is_dir())
    return next(around, here)


def runs_dir() -> Path:
    """The run store: ``REIDLIB_RUNS``, else ``runs/``."""
    return Path(os.environ.get("REIDLIB_RUNS") or root() / "runs")


def cache_dir() -> Path:
    """Drawn people and decoded images: ``REIDLIB_CACHE``, else ``cache/``. Safe to delete."""
    return Path(os.environ.get("REIDLIB_CACHE") or root() / "cache")


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds real datasets: what is given, else ``REIDLIB_DATA``.

    Raises ReidError if neither is there or the folder does not exist.
    """
    value = given or os.environ.get("REIDLIB_DATA")
    if not value:
        raise ReidError(
            "no folder of datasets is known: set REIDLIB_DATA to the folder that holds them, "
            "or pass root= (--root on the command line)"
        )
    folder = Path(value)
    if not folder.is_dir():
        source = "root" if given else "REIDLIB_DATA"
        raise ReidError(f"{source} is {folder}, which is not a folder: point it at your datasets")
    return folder


@contextmanager
def environment_kept() -> Iterator[None]:
    """The environment variables of this process are afterwards what they were before."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


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
        parent = error.errno == errno.ENOENT and Path(error.filename or "") in path.parents
        if parent or error.errno in _REFUSED:  # parent: no folder can be made there, as in /proc
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
