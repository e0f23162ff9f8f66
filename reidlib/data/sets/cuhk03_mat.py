"""Unpacking the original ``cuhk-03.mat`` (MATLAB 7.3, which is HDF5) into PNG files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from reidlib.data.sets.layout import shown
from reidlib.errors import ReidError
from reidlib.system.files import atomic_folder

PAIRS, IMAGES = 5, 10  # camera pairs; images a person, of which 1-5 are of view 1, 6-10 of view 2


def read(file: Path, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    """Name such as ``1_001_1_01.png`` and pixels, uint8 [H, W, 3], of every image of ``kind``.

    ``kind`` is a row of references to one cell array per camera pair, [people, 10], whose cells
    refer to the images; an empty cell is no array of three dimensions. HDF5 stores all transposed.
    """
    import h5py

    with h5py.File(file, "r") as store:
        pairs: Any = store[kind]
        for pair, reference in enumerate(pairs[:].ravel(), 1):
            people = store[reference][:].T
            if pair > PAIRS or people.ndim != 2 or people.shape[1] != IMAGES:
                raise ValueError(f"camera pair {pair} is not a cell array of {IMAGES} columns")
            for person, cells in enumerate(people, 1):
                for number, cell in enumerate(cells, 1):
                    pixels = store[cell][:].T
                    if pixels.ndim < 3:
                        continue
                    if pixels.dtype != np.uint8 or pixels.shape[2] != 3:
                        raise ValueError(f"person {person} of pair {pair} is no colour image")
                    view = 1 if number <= IMAGES // 2 else 2
                    yield f"{pair}_{person:03}_{view}_{number:02}.png", pixels


def extract(file: Path, kind: str, target: Path) -> None:
    """Writes every image of ``kind`` ("labeled", "detected") below ``target``, all or nothing.

    Raises ReidError for a damaged file, and without h5py.
    """
    try:
        import h5py  # noqa: F401
    except ImportError:
        raise ReidError(
            f"{shown(file)} is an HDF5 file, read with h5py: pip install h5py, or unpack the images"
        ) from None
    with atomic_folder(target) as part:
        try:
            for name, pixels in tqdm(read(file, kind), desc=f"unpack {kind}", disable=None):
                Image.fromarray(np.ascontiguousarray(pixels)).save(part / name)
        except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
            what = " ".join(str(error).split())
            raise ReidError(
                f"{shown(file)} is not the original cuhk-03.mat ({what}): fetch it again"
            ) from error
