"""A split's images as one uint8 tensor: a batch is an index and a cast, with no worker processes.

Three tiers. ``device``: the tensor lies on the accelerator (or in memory, for the CPU). ``pinned``:
in page-locked memory, copied per batch. ``mmap``: in a file of the cache folder, read per batch,
never loaded as a whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from reidlib.data.decode import decode_into, decoded_file
from reidlib.errors import ReidError, nearest
from reidlib.geometry import placement, sample

Tier = Literal["device", "pinned", "mmap"]
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1]
STD = (0.229, 0.224, 0.225)
SHARED_BY = "REIDLIB_GPU_SHARED_BY"  # how many processes use this one's GPU (``train.processes``)


def choose_tier(num_bytes: int, device: torch.device) -> Tier:
    """The fastest tier that ``num_bytes`` fit into, by half of what there is of any memory.

    On an accelerator that is what is free or in torch's own cache, and no more than is left of this
    process's share, if several use it: each would see the same memory free at the same time. The
    machine's memory holds the images while they are decoded, and page-locked ones a second time, as
    they are copied there.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if num_bytes >= memory / 2:
        return "mmap"
    if device.type != "cuda":
        return "device"
    free, total = torch.cuda.mem_get_info(device)
    used = torch.cuda.memory_allocated(device)
    share = total / int(os.environ.get(SHARED_BY, 1))
    if num_bytes < min(free + torch.cuda.memory_reserved(device) - used, share - used) / 2:
        return "device"
    return "pinned" if 2 * num_bytes < memory / 2 else "mmap"


class ImageBank:
    """The images of one split, [N, 3, H, W] uint8, with their ``pid`` and ``cam`` (numpy, [N])."""

    def __init__(
        self, data: Tensor | np.ndarray, split: pd.DataFrame, device: torch.device, tier: Tier
    ) -> None:
        self._data = data
        self.device, self.tier = device, tier
        self.pid = split.pid.to_numpy(np.int64, copy=True)
        self.cam = split.cam.to_numpy(np.int64, copy=True)
        self.size = (int(data.shape[2]), int(data.shape[3]))
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(MEAN, device=device).reshape(shape) * 255
        self._std = torch.tensor(STD, device=device).reshape(shape) * 255

    @classmethod
    def from_split(
        cls,
        split: pd.DataFrame,
        size: tuple[int, int],
        device: str | torch.device = "cpu",
        *,
        tier: Tier | None = None,
        progress: bool = False,
    ) -> ImageBank:
        """Decodes a split with all cores.

        size: (H, W) in pixels. tier: ``None`` chooses by size. Raises ReidError for the first file
        that does not decode, and for ``tier="pinned"`` without an accelerator.
        """
        if len(split) == 0:
            raise ReidError(
                "this split has no images: the column split of a CSV says which are for train, "
                "query and gallery"
            )
        device = torch.device(device)
        shape = (len(split), 3, *size)
        tier = tier or choose_tier(int(np.prod(shape)), device)
        if tier not in get_args(Tier):
            raise ReidError(f'unknown tier "{tier}"{nearest(tier, get_args(Tier))}')
        if tier == "pinned" and not torch.cuda.is_available():
            raise ReidError('tier="pinned" needs an accelerator: use "device" or "mmap"')
        if tier == "mmap":
            path = decoded_file(split, size, progress)
            return cls(np.load(path, mmap_mode="r"), split, device, tier)
        array = np.empty(shape, np.uint8)
        decode_into(array, split, size, progress)
        data = torch.from_numpy(array)
        data = data.to(device) if tier == "device" else data.pin_memory()
        return cls(data, split, device, tier)

    def __len__(self) -> int:
        return int(self._data.shape[0])

    def bytes(self) -> np.ndarray:
        """All images, uint8 [N, 3, H, W], in memory or mapped from the file; not to be written."""
        return self._data if isinstance(self._data, np.ndarray) else self._data.cpu().numpy()

    def raw(self, index: Tensor | np.ndarray | slice) -> Tensor:
        """uint8 [n, 3, H, W] on the bank's device."""
        if isinstance(self._data, np.ndarray):
            place = index.cpu().numpy() if isinstance(index, Tensor) else index
            return self._sent(torch.from_numpy(np.array(self._data[place])))
        if isinstance(index, slice):
            return self._data[index].to(self.device, non_blocking=True)
        where = torch.as_tensor(index, device=self._data.device)
        return self._sent(self._data.index_select(0, where))

    def _sent(self, images: Tensor) -> Tensor:
        """Gathered images on the bank's device; by way of page-locked memory, else the copy would
        wait until all queued work is done."""
        if self.device.type == "cuda" and images.device.type == "cpu":
            images = images.pin_memory()
        return images.to(self.device, non_blocking=True)

    def images(self, index: Tensor | np.ndarray | slice) -> Tensor:
        """float32 [n, 3, H, W] on the bank's device, normalised with ImageNet's mean and std."""
        return self.raw(index).float().sub_(self._mean).div_(self._std)

    def blocks(self, size: int) -> Iterator[slice]:
        """Slices that cover the bank in order, ``size`` images each."""
        for start in range(0, len(self), size):
            yield slice(start, min(start + size, len(self)))


def denormalise(images: Tensor) -> Tensor:
    """Normalised images [..., 3, H, W] back to [0, 1], for showing them."""
    mean = torch.tensor(MEAN, device=images.device).reshape(3, 1, 1)
    std = torch.tensor(STD, device=images.device).reshape(3, 1, 1)
    return (images * std + mean).clamp(0, 1)


def padded_bank(split: pd.DataFrame, size: tuple[int, int]) -> ImageBank:
    """The images of ``split`` at ``size`` (H, W), each in its own proportions: as large as fits, in
    the middle, the mean colour around it (PPCL's row "Pad"; its model is given these).

    For ``evaluate(..., query_bank=...)``. An image's proportions are those of its file, or of what
    the column ``box`` keeps of it.
    """
    bank = ImageBank.from_split(split, size)
    keep = split["box"] if "box" in split.columns else [(-1.0, -1.0, 1.0, 1.0)] * len(split)
    half = []
    for path, (x0, y0, x1, y1) in zip(split["path"], keep, strict=True):
        with Image.open(path) as image:
            half.append((image.width * (x1 - x0) / size[1], image.height * (y1 - y0) / size[0]))
    shape = torch.tensor(half)
    shape = shape / shape.amax(1, keepdim=True)
    images = bank.images(slice(0, len(split)))
    padded = sample(images, placement(torch.cat([-shape, shape], 1)))
    data = (denormalise(padded) * 255).round().to(torch.uint8)
    return ImageBank(data, split, bank.device, "device")
