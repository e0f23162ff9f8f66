"""Files to bytes, with all cores: into memory, or into a file that an interrupted call resumes.

JPEG's draft mode (decoding at 1/2, 1/4, 1/8) is not used: wherever it saves work it changes the
result, by 2.9 of 255 on average and up to 47 for Market-1501 at 64x32, because it averages blocks
and not what the resize filter covers.
"""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write, cache_dir
from reidlib.system.lock import claim

Box = tuple[float, float, float, float]  # x0, y0, x1, y1
# what PIL raises for a file that is cut short, damaged or no image
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
CHUNK = 4096  # images between two notes of how far a file is


def decode(path: str, size: tuple[int, int], box: Box | None = None) -> np.ndarray:
    """One file as uint8 RGB [H, W, 3], resized, bilinear and antialiased; ``box`` is cut out of
    that and enlarged.

    So a partial probe is as sharp as the partial images of training, which are cut from images of
    this size too. Cut from the file, its sharpness alone would tell what training never shows.
    """
    height, width = size
    shares = None if box is None else np.clip((np.ravel(box) + 1) / 2, 0, 1)
    if shares is not None and not (shares.size == 4 and (shares[2:] > shares[:2]).all()):
        raise ReidError(f"{path}: its box {box} holds nothing of the image")
    try:
        with Image.open(path) as image:
            rgb = image.convert("RGB")
            if rgb.size != (width, height):
                rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
            if shares is not None:
                left, top, right, bottom = (shares * (rgb.size * 2)).tolist()
                # cropped first: resizing alone would blend in the pixels just outside of the box
                x, y = math.floor(left), math.floor(top)
                rgb = rgb.crop((x, y, math.ceil(right), math.ceil(bottom)))
                pixels = (left - x, top - y, right - x, bottom - y)
                rgb = rgb.resize((width, height), Image.Resampling.BILINEAR, box=pixels)
            return np.asarray(rgb)
    except FileNotFoundError:
        raise ReidError(f"{path} is not there: was the dataset moved?") from None
    except UNREADABLE as error:
        raise ReidError(f"{path} does not decode ({error}): replace it") from error


def decode_into(
    array: np.ndarray,
    split: pd.DataFrame,
    size: tuple[int, int],
    progress: bool = False,
    start: int = 0,
    stop: int | None = None,
) -> None:
    """Decodes rows ``start`` to ``stop`` of a split into ``array`` [N, 3, H, W], with all cores."""
    boxes = split["box"] if "box" in split.columns else [None] * len(split)
    jobs = list(zip(split.path, boxes, strict=True))
    rows = range(start, len(jobs) if stop is None else stop)

    def work(i: int) -> None:
        path, box = jobs[i]
        array[i] = decode(path, size, box).transpose(2, 0, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(work, rows)
        for _ in tqdm(
            done, total=len(jobs), initial=start, desc="decode", unit="image", disable=not progress
        ):
            pass


def decoded_file(split: pd.DataFrame, size: tuple[int, int], progress: bool = False) -> Path:
    """The .npy [N, 3, H, W] uint8 of a split in the cache folder, made if it is not there.

    Its name follows the files' paths, sizes and times, their boxes and ``size``. A call that was
    cut off is resumed where it stopped; two calls at once do not disturb each other.
    """
    path = cache_dir() / "banks" / f"{_key(split, size)}.npy"
    if path.is_file():
        return path
    part, note = path.with_suffix(".part"), path.with_suffix(".done")
    with claim(path):
        try:
            if not path.is_file():
                _fill(part, note, split, size, progress)
                os.replace(part, path)
        except ReidError:  # a broken file: once it is replaced, the name is another
            part.unlink(missing_ok=True)
            raise
        finally:
            if not part.exists():
                note.unlink(missing_ok=True)
    return path


def _fill(
    part: Path, note: Path, split: pd.DataFrame, size: tuple[int, int], progress: bool
) -> None:
    start = int(note.read_text()) if note.is_file() and part.is_file() else 0
    shape = (len(split), 3, *size)
    array = np.lib.format.open_memmap(part, "r+" if start else "w+", np.uint8, shape)
    while start < len(split):
        stop = min(start + CHUNK, len(split))
        decode_into(array, split, size, progress, start, stop)
        array.flush()
        atomic_write(note, str(stop))
        start = stop


def _key(split: pd.DataFrame, size: tuple[int, int]) -> str:
    digest = hashlib.sha256(f"{size}".encode())
    boxes = split["box"] if "box" in split.columns else [None] * len(split)
    for path, box in zip(split.path, boxes, strict=True):
        file = Path(path)
        if not file.is_file():
            raise ReidError(f"{path} is not there: was the dataset moved?")
        stat = file.stat()
        cut = "" if box is None else "cut at this size"
        digest.update(f"{path}|{stat.st_size}|{stat.st_mtime_ns}|{box}{cut}\n".encode())
    return digest.hexdigest()[:16]
