"""Augmentations: each draws, for a whole batch, a theta (where to read) or boxes (what to erase).

All thetas of a sample are composed and the image is read once. Draws come from a numpy generator
on the host, so that a batch is the same on every device; what they do to pixels runs on the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def mirror(n: int, rng: np.random.Generator, p: float = 0.5) -> Tensor:
    """Thetas [n, 2, 3] that mirror left and right with probability ``p``."""
    theta = torch.eye(2, 3).repeat(n, 1, 1)
    theta[:, 0, 0] = torch.from_numpy(np.where(rng.random(n) < p, -1.0, 1.0)).float()
    return theta


def pad_crop(n: int, rng: np.random.Generator, size: tuple[int, int], pad: float) -> Tensor:
    """Thetas [n, 2, 3] of "pad by p pixels on all sides, crop back at a random place".

    size: (H, W). pad: p as a share of the height, rounded to whole pixels; 10 / 256 is the bag of
    tricks' (Luo et al. 2019). The shift is uniform over -p ... p pixels in x and in y.
    """
    height, width = size
    pixels = round(pad * height)
    theta = torch.eye(2, 3).repeat(n, 1, 1)
    shift = torch.from_numpy(rng.integers(-pixels, pixels + 1, (n, 2))).float()
    theta[:, 0, 2] = 2 * shift[:, 0] / width
    theta[:, 1, 2] = 2 * shift[:, 1] / height
    return theta


def erase_boxes(
    n: int,
    rng: np.random.Generator,
    size: tuple[int, int],
    p: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: float = 0.3,
    tries: int = 20,
) -> Tensor:
    """Boxes [n, 4] (int64 pixels x0, y0, x1, y1) of random erasing (Zhong et al. 2020, Alg. 1).

    A share U(area) of the image, height / width drawn from U(aspect, 1 / aspect), redrawn until it
    fits (at most ``tries`` times); empty (all 0) with probability 1 - p.
    """
    height, width = size
    share = area[0] + (area[1] - area[0]) * rng.random((n, tries))
    ratio = aspect + (1 / aspect - aspect) * rng.random((n, tries))
    h = np.rint(np.sqrt(share * height * width * ratio)).astype(np.int64)
    w = np.rint(np.sqrt(share * height * width / ratio)).astype(np.int64)
    fits = (h < height) & (w < width)
    first = fits.argmax(1)
    rows = np.arange(n)
    h, w = h[rows, first], w[rows, first]
    x0 = np.floor(rng.random(n) * (width - w + 1)).astype(np.int64)
    y0 = np.floor(rng.random(n) * (height - h + 1)).astype(np.int64)
    keep = (rng.random(n) < p) & fits.any(1)
    boxes = np.stack([x0, y0, x0 + w, y0 + h], 1) * keep[:, None]
    return torch.from_numpy(boxes)


def erase(images: Tensor, boxes: Tensor, fill: float = 0.0) -> Tensor:
    """``images`` [n, C, H, W] with the pixels of ``boxes`` [n, 4] set to ``fill``.

    0 is the mean colour of normalised images.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device)
    y = torch.arange(height, device=images.device)
    x0, y0, x1, y1 = boxes.unsqueeze(-1).unbind(1)
    in_x = (x >= x0) & (x < x1)  # [n, W]
    in_y = (y >= y0) & (y < y1)  # [n, H]
    return images.masked_fill((in_y.unsqueeze(2) & in_x.unsqueeze(1)).unsqueeze(1), fill)
