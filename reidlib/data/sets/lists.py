"""Reading what other people's tools wrote: list files and MATLAB files, with errors that name them.

Nothing here unpickles or runs anything from a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from reidlib.data.sets import matfile
from reidlib.data.sets.layout import shown
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


def mat(file: Path, keys: tuple[str, ...], title: str) -> list[Any]:
    """The variables ``keys`` of a MATLAB file: see ``matfile.read``.

    Raises ReidError for a missing or damaged file and a missing variable.
    """
    try:
        found = matfile.read(file.read_bytes(), keys)
    except FileNotFoundError:
        raise ReidError(f"{title} lacks the file {shown(file)}") from None
    except (OSError, ValueError) as error:
        raise ReidError(
            f"{shown(file)} is not a readable MATLAB file: {shown(error)}; fetch it again"
        ) from error
    for key in keys:
        if key not in found:
            raise ReidError(f'{shown(file)} has no variable "{key}": is it {title}\'s own?')
    return [found[key] for key in keys]


def integers(value: Any, file: Path, key: str) -> np.ndarray:
    """``value`` as int64. Anything but whole numbers is a ReidError that names file and key."""
    array = value if isinstance(value, np.ndarray) else np.zeros(0)
    if not (array.size and (np.abs(array) < 2**53).all()):  # also false for what is not a number
        raise ReidError(f'{shown(file)}: "{key}" holds no whole numbers: fetch it again')
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise ReidError(f'{shown(file)}: "{key}" holds numbers that are not whole: fetch it again')
    return whole
