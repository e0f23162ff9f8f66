"""From (seed, step) to a training batch on the device: index, read through one theta, erase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reidlib.data import augment
from reidlib.data.bank import ImageBank
from reidlib.data.sampler import IdentitySampler, generator
from reidlib.geometry import compose, sample


@dataclass(frozen=True)
class Batch:
    """images [N, 3, H, W] normalised; label [N] in 0 ... num_ids - 1; cam [N]; index [N] into the
    bank; theta [N, 2, 3]: how each image was read from its original."""

    images: Tensor
    label: Tensor
    cam: Tensor
    index: Tensor
    theta: Tensor


class Batches:
    """``batches(step)`` is the batch of that step, and of no other state."""

    def __init__(
        self,
        bank: ImageBank,
        sampler: IdentitySampler,
        *,
        mirror: float = 0.5,
        pad_crop: float = 0.0,
        erasing: float = 0.0,
    ) -> None:
        self.bank, self.sampler = bank, sampler
        self.mirror, self.pad_crop, self.erasing = mirror, pad_crop, erasing
        self._label = torch.from_numpy(np.searchsorted(sampler.ids, bank.pid))
        self._cam = torch.from_numpy(bank.cam)

    def __call__(self, step: int) -> Batch:
        """The batch of ``step`` (0, 1, ...) on the bank's device."""
        device = self.bank.device
        index = torch.from_numpy(self.sampler(step))
        theta, boxes = self.draw(len(index), step)
        images = self.bank.images(index)
        theta = theta.to(device, non_blocking=True)
        if self.mirror or self.pad_crop:
            images = sample(images, theta)  # outside of the image: the mean colour
        if boxes is not None:
            images = augment.erase(images, boxes.to(device, non_blocking=True))
        return Batch(
            images=images,
            label=self._label[index].to(device, non_blocking=True),
            cam=self._cam[index].to(device, non_blocking=True),
            index=index.to(device, non_blocking=True),
            theta=theta,
        )

    def draw(self, n: int, step: int) -> tuple[Tensor, Tensor | None]:
        """What augmentation does at ``step``: thetas [n, 2, 3], boxes to erase [n, 4] or None."""
        rng, size = generator(self.sampler.seed, 3, step), self.bank.size
        theta = augment.mirror(n, rng, self.mirror)
        if self.pad_crop:
            theta = compose(augment.pad_crop(n, rng, size, self.pad_crop), theta)
        boxes = augment.erase_boxes(n, rng, size, self.erasing) if self.erasing else None
        return theta, boxes
