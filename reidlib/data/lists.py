"""Reading what other people's tools wrote: list files and MATLAB files, with errors that name them.

Nothing here unpickles or runs anything from a file.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from reidlib.data.layout import shown
from reidlib.errors import ReidError


def lines(file: Path, title: str) -> list[str]:
    """The lines of a text file (UTF-8), without those that are empty at its end."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ReidError(f"{title} lacks the list {shown(file)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ReidError(f"{shown(file)} cannot be read as text ({error}): fetch it again") from None
    found = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if found == [""]:
        raise ReidError(f"{shown(file)} is empty: it should list images of {title}; fetch it again")
    return found


def mat(file: Path, keys: tuple[str, ...], title: str) -> list[np.ndarray]:
    """The arrays ``keys`` of a MATLAB file (version 4 to 7).

    Raises ReidError for a missing or damaged file, a missing key, and without SciPy.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise ReidError(
            f"{shown(file)} is a MATLAB file, read with SciPy: pip install scipy"
        ) from None
    if not file.is_file():
        raise ReidError(f"{title} lacks the file {shown(file)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = loadmat(str(file), variable_names=list(keys))
    except Exception as error:  # a damaged file makes SciPy raise nearly anything
        what = " ".join(str(error).split()) or type(error).__name__
        raise ReidError(
            f"{shown(file)} is not a readable MATLAB file ({what}): fetch it again"
        ) from error
    for key in keys:
        if key not in found:
            raise ReidError(f'{shown(file)} has no variable "{key}": is it {title}\'s own?')
    return [np.asarray(found[key]) for key in keys]


def integers(array: np.ndarray, file: Path, key: str) -> np.ndarray:
    """``array`` as int64. Anything but whole numbers is a ReidError that names file and key."""
    fits = array.dtype.kind in "iu" or (
        array.dtype.kind == "f" and bool((np.abs(array) < 2**53).all())
    )
    if not (fits and array.size):
        raise ReidError(f'{shown(file)}: "{key}" holds no whole numbers: fetch it again')
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise ReidError(f'{shown(file)}: "{key}" holds numbers that are not whole: fetch it again')
    return whole
