"""Augmentations: each draws, for a whole batch, where to read, what to erase, which colours.

All thetas of a sample are composed and the image is read once (``reidlib.data.read``). Draws come
from a numpy generator on the host, so that a batch is the same on every device; what they do to
pixels runs on the device. Whatever is placed or cut is placed and cut at whole pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from reidlib.geometry import box_to_theta, compose, invert

SIDES = ("top", "bottom", "left", "right")
Side = Literal["any", "top", "bottom", "left", "right"]
Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # x0, y0, x1, y1 in pixels
GREY = 0.5  # what random shifting fills with, of [0, 1]: 127 of 255 (RMGL III-D)


@dataclass(frozen=True)
class Placed:
    """A crop put somewhere into an empty frame.

    theta [n, 2, 3] takes the frame to the image; source [n, 4]: the crop, a box of the image,
    beyond which nothing is read; window [n, 4] (int64 pixels x0, y0, x1, y1): where it lies in the
    frame, the rest of which is filled.
    """

    theta: Tensor
    source: Tensor
    window: Tensor


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


def random_shift(
    n: int,
    rng: np.random.Generator,
    size: tuple[int, int],
    p: float = 1.0,
    p_crop: float = 0.5,
    crop: float = 0.7,
    height: float = 0.5,
    width: float = 0.5,
) -> Placed:
    """Random shifting augmentation (RMGL, III-D and Fig. 6): crop, resize, shift.

    Of an image, with probability ``p`` (not stated there), first a share r_c ~ U(crop, 1) of the
    height is cropped at a random place, with probability ``p_crop`` (else r_c = 1); it is resized
    by independent rates r_h ~ U(height, 1 / r_c) and r_w ~ U(width, 1), then put at a random place
    of a frame of the image's size. The crop keeps the full width: only so the limits 1 / r_c of
    r_h and 1 of r_w belong together.
    """
    high, wide = size
    r_c = np.where(rng.random(n) < p_crop, crop + (1 - crop) * rng.random(n), 1.0)
    r_h = height + (1 / r_c - height) * rng.random(n)
    r_w = width + (1 - width) * rng.random(n)
    keep = rng.random(n) >= p
    r_c, r_h, r_w = (np.where(keep, 1.0, rate) for rate in (r_c, r_h, r_w))
    rows = np.clip(np.rint(r_c * high), 1, high)  # of the crop
    h = np.clip(np.rint(r_h * rows), 1, high)  # of the patch
    w = np.clip(np.rint(r_w * wide), 1, wide)
    top = np.floor(rng.random(n) * (high - rows + 1))
    y = np.floor(rng.random(n) * (high - h + 1))
    x = np.floor(rng.random(n) * (wide - w + 1))
    zero = np.zeros(n)
    return _placed(size, (zero, top, zero + wide, top + rows), (x, y, x + w, y + h))


def crop_resize_shift(
    n: int,
    rng: np.random.Generator,
    size: tuple[int, int],
    area: tuple[float, float] = (0.5, 1.0),
    shift: float = 0.2,
) -> Placed:
    """RMGL's comparison "RCRS" (Table VI): crop, resize to the full size, translate.

    The crop has a share U(area) of the image's area and the image's proportions; the translation is
    uniform over ``shift`` of width and height to both sides. The paper gives neither value.
    """
    high, wide = size
    side = np.sqrt(area[0] + (area[1] - area[0]) * rng.random(n))
    h, w = (np.clip(np.rint(side * length), 1, length) for length in size)
    top, left = np.floor(rng.random(n) * (high - h + 1)), np.floor(rng.random(n) * (wide - w + 1))
    x = np.rint((2 * rng.random(n) - 1) * shift * wide)
    y = np.rint((2 * rng.random(n) - 1) * shift * high)
    return _placed(size, (left, top, left + w, top + h), (x, y, x + wide, y + high))


def _placed(size: tuple[int, int], source: Boxes, window: Boxes) -> Placed:
    """Boxes in pixels -> Placed."""
    length = np.array([size[1], size[0]] * 2)
    boxes = [torch.from_numpy(2 * np.stack(b, 1) / length - 1).float() for b in (source, window)]
    theta = compose(box_to_theta(boxes[0]), invert(box_to_theta(boxes[1])))
    limits = np.clip(np.stack(window, 1), 0, length)
    return Placed(theta, boxes[0], torch.from_numpy(limits.astype(np.int64)))


def keep_boxes(n: int, rng: np.random.Generator, ratio: tuple[float, float], side: Side) -> Tensor:
    """Boxes [n, 4] that keep a share U(ratio) of the image; the rest is cut from one ``side``,
    ``"any"`` of the four with the same probability."""
    share = 2 * (ratio[0] + (ratio[1] - ratio[0]) * rng.random(n))
    which = rng.integers(0, 4, n) if side == "any" else np.full(n, SIDES.index(side))
    boxes = np.tile([-1.0, -1.0, 1.0, 1.0], (n, 1))
    for number, (column, sign) in enumerate(((1, -1), (3, 1), (0, -1), (2, 1))):
        cut = which == number
        boxes[cut, column] = sign * (share[cut] - 1)
    return torch.from_numpy(boxes)


def partial_crop(
    n: int, rng: np.random.Generator, recipe: Literal["remove", "keep", "vertical"] = "remove"
) -> Tensor:
    """Thetas [n, 2, 3] of partial images made from whole ones, resized to the full input.

    "remove": 20 to 60 % is removed from one of the four sides (STNReID, "Generate Partial Images",
    as we read it); "keep": 20 to 60 % is what remains; "vertical": 10 to 40 % is removed from the
    bottom (a second recipe by its first author).
    """
    recipes: dict[str, tuple[tuple[float, float], Side]] = {
        "remove": ((0.4, 0.8), "any"),
        "keep": ((0.2, 0.6), "any"),
        "vertical": ((0.6, 0.9), "bottom"),
    }
    return box_to_theta(keep_boxes(n, rng, *recipes[recipe]).float())
