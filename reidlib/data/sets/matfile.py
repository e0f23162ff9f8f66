"""A small strict reader of MATLAB files, format 5 to 7: numbers, texts and cells of them.

That is what the lists of MARS and CUHK03 are made of. SciPy reads far more, but can crash on a
damaged file; here every length is checked against the bytes that are there, and whatever does not
fit is a ValueError. Source: MathWorks, "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

HEADER = 128
LARGEST = 2**28  # bytes that a compressed variable may unpack to
MATRIX, COMPRESSED = 14, 15
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, CHAR, NUMERIC = 1, 4, range(6, 16)  # classes of arrays
COMPLEX, DEPTH = 0x800, 4


def read(content: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """The variables ``keys`` of a file, those that it has.

    Numbers become arrays, texts str, cells a flat list (column by column) of these. Raises
    ValueError if the file is damaged, is no such file, or a variable is of another kind.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it does not begin as a MATLAB file")
    version = int(np.frombuffer(content[124:126], f"{order}u2")[0])
    if version != 0x0100:
        raise ValueError(
            f"its format is {version >> 8:d}.{version & 255:d}, not 1.0 (MATLAB 5 to 7)"
        )
    found = {}
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            ((kind, data),) = _elements(_unpack(data), order)
        if kind != MATRIX:
            raise ValueError(f"it holds an element of type {kind} where a variable should be")
        name, value = _matrix(data, order, keys)
        if name in keys:
            found[name] = value
    return found


def _unpack(data: bytes) -> bytes:
    try:
        stream = zlib.decompressobj()
        unpacked = stream.decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(f"a compressed variable does not unpack: {error}") from error
    if not stream.eof:
        raise ValueError("a compressed variable is cut short or too large")
    return unpacked


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and bytes of one element after the other."""
    start = 0
    while start < len(data):
        if len(data) - start < 8:
            raise ValueError("it ends within the head of an element")
        kind, size = (int(n) for n in np.frombuffer(data[start : start + 8], f"{order}u4"))
        begin = start + 8
        if kind >> 16:  # a small element: its size, type and data lie in these eight bytes
            kind, size, begin = kind & 0xFFFF, kind >> 16, start + 4
            if size > 4:
                raise ValueError("a small element is larger than four bytes")
            start += 8
        else:  # padded to eight bytes, but for compressed ones
            start = begin + (size if kind == COMPRESSED else math.ceil(size / 8) * 8)
        if begin + size > len(data):
            raise ValueError("it ends within an element")
        yield kind, data[begin : begin + size]


def _matrix(
    data: bytes, order: str, keys: tuple[str, ...] | None, depth: int = 0
) -> tuple[str, Any]:
    """Name and value of an array; the value is left out (None) if ``keys`` lacks the name."""
    if not data:
        return "", np.zeros((0, 0))
    parts = _elements(data, order)
    flags = _numbers(*_next(parts), order)
    shape = [int(n) for n in _numbers(*_next(parts), order)]
    name = _next(parts)[1].decode("ascii", "replace")
    if keys is not None and name not in keys:
        return name, None
    if len(flags) < 1 or not 2 <= len(shape) <= 8 or min(shape) < 0:
        raise ValueError(f'the head of its variable "{name}" is damaged')
    kind, count = int(flags[0]) & 0xFF, math.prod(shape)
    if kind == CELL and depth < DEPTH:
        cells = []
        for inner, content in parts:
            if inner != MATRIX:
                raise ValueError(f'the cells of "{name}" are damaged')
            cells.append(_matrix(content, order, None, depth + 1)[1])
        if len(cells) != count:
            raise ValueError(f'"{name}" has {len(cells)} cells, not {count}')
        return name, cells
    if kind == CHAR:
        return name, _text(*_next(parts), order) if count else ""
    if kind not in NUMERIC or int(flags[0]) & COMPLEX:
        raise ValueError(f'"{name}" holds no real numbers, texts or cells (class {kind})')
    values = _numbers(*_next(parts), order) if count else np.zeros(0)
    if len(values) != count:
        raise ValueError(f'"{name}" has {len(values)} numbers, not {count}')
    return name, values.reshape(shape, order="F")


def _next(parts: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    for part in parts:
        return part
    raise ValueError("a variable is cut short")


def _numbers(kind: int, data: bytes, order: str) -> np.ndarray:
    if kind not in NUMBERS:
        raise ValueError(f"it holds numbers of unknown type {kind}")
    return np.frombuffer(data, np.dtype(order + NUMBERS[kind]))


def _text(kind: int, data: bytes, order: str) -> str:
    if kind not in TEXTS:
        raise ValueError(f"it holds text of unknown type {kind}")
    wide = {"<": "-le", ">": "-be"}[order] if TEXTS[kind] in ("utf-16", "utf-32") else ""
    return data.decode(TEXTS[kind] + wide)
