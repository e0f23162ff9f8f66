"""Colour jitter as one matrix a sample, as a crop is one theta."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reidlib.data.bank import MEAN, STD

LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601
# RGB -> YIQ: hue is a turn of the plane (I, Q)
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def colour_matrices(
    n: int,
    rng: np.random.Generator,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
    hue: float = 0.05,
) -> tuple[Tensor, Tensor]:
    """Draws jitter: matrices [n, 3, 3] for RGB, and contrasts [n].

    Factors of brightness, contrast and saturation are U(1 - x, 1 + x); hue turns the colours by
    U(-hue, hue) of a full turn around the grey axis.
    """
    b, c, s = (1 + x * (2 * rng.random(n) - 1) for x in (brightness, contrast, saturation))
    angle = 2 * np.pi * hue * (2 * rng.random(n) - 1)
    turn = np.zeros((n, 3, 3))
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 2, 1] = np.sin(angle)
    turn[:, 1, 2] = -np.sin(angle)
    rotated = torch.linalg.inv(YIQ) @ torch.from_numpy(turn).float() @ YIQ
    scale, keep = (torch.from_numpy(x).float().reshape(n, 1, 1) for x in (b, s))
    saturated = keep * torch.eye(3) + (1 - keep) * LUMA.expand(3, 3)
    return scale * saturated @ rotated, torch.from_numpy(c).float()


def apply_colour(images: Tensor, matrix: Tensor, contrast: Tensor) -> Tensor:
    """Normalised images [n, 3, H, W] with their colours changed, clamped to [0, 1] once.

    First the matrix, then the contrast: a blend with the mean luminance of the image.
    """
    device = images.device
    mean, std = (torch.tensor(v, device=device).reshape(3, 1, 1) for v in (MEAN, STD))
    rgb = (images * std + mean).flatten(2)
    rgb = matrix.to(device) @ rgb
    grey = (LUMA.to(device) @ rgb).mean(1)  # [n]
    c = contrast.to(device).reshape(-1, 1, 1)
    rgb = (c * rgb + (1 - c) * grey.reshape(-1, 1, 1)).clamp(0, 1)
    return (rgb.view_as(images) - mean) / std
