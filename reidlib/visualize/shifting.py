"""The steps of random shifting augmentation, from one draw of training's own code (RMGL Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from reidlib.data.augment import Placed, random_shift
from reidlib.data.bank import ImageBank, denormalise
from reidlib.data.read import read
from reidlib.data.sampler import generator
from reidlib.geometry import identity

STEPS = ("image, crop", "cropped", "resized", "shifted")
BOX = "#ffd166"


def shifted(
    bank: ImageBank, rows: Sequence[int], seed: int = 0, **options: float
) -> tuple[Placed, Tensor]:
    """One draw of random shifting for the bank's ``rows``, and the images training would see.

    options: of ``augment.random_shift``. The images [n, 3, H, W] are normalised.
    """
    placed = random_shift(len(rows), generator(seed), bank.size, **options)
    index = torch.tensor(list(rows))
    return placed, read(bank, index, identity(len(rows)), placed)


def shifting_steps(bank: ImageBank, rows: Sequence[int], seed: int = 0, **options: float) -> Figure:
    """One column an image: with the box of its crop; the crop; the crop resized; put into the grey
    frame, which is what training sees.

    rows: of the bank. options: of ``augment.random_shift``. Everything is drawn on the pixels of
    the frame, at one scale. r_c is the share of the height that is kept, r_h and r_w are the rates
    of resizing.
    """
    placed, images = shifted(bank, rows, seed, **options)
    height, width = bank.size
    before = bank.raw(torch.tensor(list(rows))).permute(0, 2, 3, 1).cpu().numpy()
    after = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    n, wide = len(rows), 2.2 * width / height + 0.15
    figure, axes = plt.subplots(
        4, n, figsize=(n * wide + 0.5, 9.4), layout="constrained", squeeze=False
    )
    length = np.array([width, height] * 2)
    for i in range(n):
        x0, y0, x1, y1 = np.rint((placed.source[i].numpy() + 1) / 2 * length).astype(int)
        left, top, right, bottom = placed.window[i].tolist()
        crop, patch = before[i, y0:y1, x0:x1], after[i, top:bottom, left:right]
        for axis, picture, (x, y) in zip(
            axes[:, i],
            (before[i], crop, patch, after[i]),
            ((0, 0), (x0, y0), (0, 0), (0, 0)),
            strict=True,
        ):
            _put(axis, picture, x, y, bank.size)
        axes[0, i].add_patch(
            Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec=BOX, lw=2.5)
        )
        r_c, r_h, r_w = (y1 - y0) / height, (bottom - top) / (y1 - y0), (right - left) / (x1 - x0)
        axes[0, i].set_title(
            f"$r_c$ {r_c:.2f}\n$r_h$ {r_h:.2f}\n$r_w$ {r_w:.2f}", loc="center", fontsize="small"
        )
    for axis, name in zip(axes[:, 0], STEPS, strict=True):
        axis.text(-0.12, 0.5, name, rotation=90, ha="right", va="center", transform=axis.transAxes)
    return figure


def _put(axis: Axes, picture: np.ndarray, x: int, y: int, size: tuple[int, int]) -> None:
    """A picture at pixel (x, y) of an empty frame of ``size``, whose edge is drawn."""
    height, width = size
    extent = (x - 0.5, x + picture.shape[1] - 0.5, y + picture.shape[0] - 0.5, y - 0.5)
    axis.imshow(picture, extent=extent, interpolation="nearest")
    axis.set(xlim=(-1.5, width + 0.5), ylim=(height + 0.5, -1.5), aspect="equal")
    axis.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, ec="#bbbbbb", lw=0.8))
    axis.set_axis_off()
