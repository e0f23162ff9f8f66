"""Reading a batch out of the bank: every image once, along its own rows and columns.

All augmentations keep rows rows, so where an output pixel is read from is one x for its column and
one y for its row. On an accelerator that becomes one ``grid_sample``; on the CPU, if numba is
there, one compiled pass from bytes to normalised floats, five times as fast as torch's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.augment import GREY, Placed, erase
from reidlib.data.bank import MEAN, STD, ImageBank


def coordinates(
    theta: Tensor, size: tuple[int, int], placed: Placed | None = None
) -> tuple[Tensor, Tensor]:
    """Where each output column and row is read from: x [n, W], y [n, H], normalised.

    theta [n, 2, 3] without rotation; ``placed`` comes after it, and its crop limits what is read.
    """
    points = []
    for axis, length in ((0, size[1]), (1, size[0])):
        centre = (2 * torch.arange(length) + 1) / length - 1
        at = centre.expand(len(theta), length)
        if placed is not None:
            at = at * placed.theta[:, axis, axis, None] + placed.theta[:, axis, 2, None]
            half = 1 / length  # half a pixel: no blending with what lies beyond the crop
            low, high = placed.source[:, axis, None] + half, placed.source[:, axis + 2, None] - half
            at = torch.minimum(torch.maximum(at, low), high)
        points.append(at * theta[:, axis, axis, None] + theta[:, axis, 2, None])
    return points[0], points[1]


def read(
    bank: ImageBank,
    index: Tensor,
    theta: Tensor,
    placed: Placed | None = None,
    erased: Tensor | None = None,
) -> Tensor:
    """Images ``index`` [n] of the bank read through ``theta`` [n, 2, 3], then ``placed``.

    erased: boxes [n, 4] (pixels x0, y0, x1, y1) set to the mean colour (0) in the end.
    float32 [n, 3, H, W], normalised, on the bank's device. Beyond the image there is the mean
    colour, around a placed crop mid-grey.
    """
    x, y = coordinates(theta, bank.size, placed)
    kernel = _kernel()
    if kernel is not None and bank.device.type == "cpu":
        return _read_bytes(kernel, bank, index, x, y, placed, erased)
    x, y = (at.to(bank.device, non_blocking=True) for at in (x, y))
    height, width = bank.size
    shape = (len(index), height, width)
    grid = torch.stack([x.unsqueeze(1).expand(shape), y.unsqueeze(2).expand(shape)], -1)
    images = F.grid_sample(bank.images(index), grid, padding_mode="zeros", align_corners=False)
    if placed is not None:
        images = fill_around(images, placed.window)
    if erased is not None:
        images = erase(images, erased.to(images.device, non_blocking=True))
    return images


def fill_around(images: Tensor, window: Tensor) -> Tensor:
    """``images`` with mid-grey outside of ``window`` [n, 4]."""
    grey = ((GREY - torch.tensor(MEAN)) / torch.tensor(STD)).to(images.device).reshape(3, 1, 1)
    inside = erase(torch.ones_like(images[:, :1]), window.to(images.device)) == 0
    return torch.where(inside, images, grey)


def _read_bytes(
    kernel: Any,
    bank: ImageBank,
    index: Tensor,
    x: Tensor,
    y: Tensor,
    placed: Placed | None,
    erased: Tensor | None,
) -> Tensor:
    height, width = bank.size
    n = len(index)
    window = np.tile(np.array([0, 0, width, height], np.int64), (n, 1))
    if placed is not None:
        window = placed.window.numpy()
    boxes = np.zeros((n, 4), np.int64) if erased is None else erased.numpy()
    mean, std = np.array(MEAN), np.array(STD)
    scale, offset = (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
    fill = ((GREY - mean) / std).astype(np.float32)
    # pixels of the input: the centre of the first is 0
    px, py = (((at.numpy() + 1) * length - 1) / 2 for at, length in ((x, width), (y, height)))
    out = torch.empty(n, 3, height, width)
    with _torch_threads():
        kernel(bank.bytes(), index.numpy(), px, py, window, boxes, scale, offset, fill, out.numpy())
    return out


@contextmanager
def _torch_threads() -> Iterator[None]:
    """numba with as many threads as torch has now; both share OpenMP, where each call of numba's
    would otherwise set its own number for torch too, and with it the last bits of what follows."""
    import numba

    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    yield
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@cache
def _kernel() -> Any:
    """The compiled reader, or None where numba is not installed."""
    try:
        from reidlib.data.kernel import read_rows
    except ImportError:
        return None
    return read_rows
