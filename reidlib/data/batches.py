"""From (seed, step) to a training batch on the device: index, read through one theta, erase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import torch
from torch import Tensor

from reidlib.data import augment
from reidlib.data.bank import ImageBank
from reidlib.data.colour import apply_colour, colour_matrices
from reidlib.data.read import fill_around, read
from reidlib.data.sampler import IdentitySampler, generator
from reidlib.errors import ReidError
from reidlib.geometry import compose
from reidlib.system.types import check_options, options_of


@dataclass(frozen=True)
class Batch:
    """images [N, 3, H, W] normalised; label [N] in 0 ... num_ids - 1."""

    images: Tensor
    label: Tensor


@dataclass
class Batches:
    """``batches(step)`` is the batch of that step, and of no other state.

    mirror, erasing, shifting: probabilities. pad_crop: padding as a share of the height. shifting
    is RMGL's, with ``shifting_options`` (see ``augment.random_shift``); crop_resize_shift is the
    variant it is compared with. cropping: probability that an image becomes a partial one, of 40 to
    80 % of it (``augment.partial_crop``). jitter: strength of brightness, contrast and saturation,
    a quarter of it for hue. rows: those of each batch that are made here, where several processes
    share it; what is drawn for them is the same.
    """

    bank: ImageBank
    sampler: IdentitySampler
    _: KW_ONLY
    mirror: float = 0.5
    pad_crop: float = 0.0
    erasing: float = 0.0
    shifting: float = 0.0
    shifting_options: Mapping[str, float] = field(default_factory=dict)
    crop_resize_shift: bool = False
    cropping: float = 0.0
    jitter: float = 0.0
    rows: slice = field(default_factory=lambda: slice(None))

    def __post_init__(self) -> None:
        if self.shifting and self.crop_resize_shift:
            raise ReidError("shifting and crop_resize_shift exclude each other: set one")
        known = options_of(augment.random_shift, "p")
        self.shifting_options = check_options(self.shifting_options, known, "shifting")
        self._label = torch.from_numpy(np.searchsorted(self.sampler.ids, self.bank.pid))

    def __call__(self, step: int) -> Batch:
        """The batch of ``step`` (0, 1, ...) on the bank's device."""
        device = self.bank.device
        index = torch.from_numpy(self.sampler(step))
        n = len(index)
        theta, boxes = self.draw(n, step)
        placed = self.place(n, step)
        index, theta = index[self.rows], theta[self.rows]
        boxes = boxes[self.rows] if boxes is not None else None
        if placed is not None:
            parts = (placed.theta, placed.source, placed.window)
            placed = augment.Placed(*(part[self.rows] for part in parts))
        if placed is None and not (self.mirror or self.pad_crop or self.cropping):
            images = self.bank.images(index)
        else:
            images = read(self.bank, index, theta, placed, None if self.jitter else boxes)
            boxes = boxes if self.jitter else None
        if self.jitter:
            j = self.jitter
            jitter = colour_matrices(n, generator(self.sampler.seed, 5, step), j, j, j, j / 4)
            images = apply_colour(images, *(drawn[self.rows] for drawn in jitter))
            if placed is not None:  # what surrounds the patch keeps its grey
                images = fill_around(images, placed.window)
        if boxes is not None:
            images = augment.erase(images, boxes.to(device, non_blocking=True))
        return Batch(images, self._label[index].to(device, non_blocking=True))

    def theta(self, step: int) -> Tensor:
        """How each image of ``step`` is read from its original, [N, 2, 3]; for whoever asks."""
        n = len(self.sampler(step))
        theta, placed = self.draw(n, step)[0], self.place(n, step)
        return (theta if placed is None else compose(theta, placed.theta))[self.rows]

    def draw(self, n: int, step: int) -> tuple[Tensor, Tensor | None]:
        """What mirror, crop and erasing do at ``step``: thetas [n, 2, 3], boxes [n, 4] or None."""
        rng, size = generator(self.sampler.seed, 3, step), self.bank.size
        theta = augment.mirror(n, rng, self.mirror)
        if self.pad_crop:
            theta = compose(augment.pad_crop(n, rng, size, self.pad_crop), theta)
        boxes = augment.erase_boxes(n, rng, size, self.erasing) if self.erasing else None
        if self.cropping:
            rng = generator(self.sampler.seed, 6, step)
            whole = torch.from_numpy(rng.random(n) >= self.cropping)
            crop = augment.partial_crop(n, rng)
            crop[whole] = torch.eye(2, 3)
            theta = compose(theta, crop)
        return theta, boxes

    def place(self, n: int, step: int) -> augment.Placed | None:
        """Where shifting puts the images at ``step``, after all else that moves them."""
        rng, size = generator(self.sampler.seed, 4, step), self.bank.size
        if self.crop_resize_shift:
            return augment.crop_resize_shift(n, rng, size)
        if self.shifting:
            return augment.random_shift(n, rng, size, self.shifting, **self.shifting_options)
        return None
