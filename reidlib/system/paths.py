"""Where things lie on disk. Environment variables win; the defaults are folders of the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reidlib.errors import ReidError


def root() -> Path:
    """The checkout that holds this package, or the working directory if it is installed apart."""
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "notebooks").is_dir() else Path.cwd()


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
