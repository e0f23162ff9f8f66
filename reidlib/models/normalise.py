"""The mean and deviation that a network wants its images normalised with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reidlib.data.bank import MEAN, STD
from reidlib.errors import ReidError


class Renormalise(nn.Module):
    """Images normalised with ImageNet's mean and deviation, as batches are, to another one's.

    mean, std: of a channel, RGB in [0, 1]. Has no weights.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ReidError(f"mean {tuple(mean)} and std {tuple(std)}: three each, std above 0")
        a, b, c, d = (torch.tensor(x, dtype=torch.float64) for x in (MEAN, STD, mean, std))
        for name, value in (("scale", b / d), ("shift", (a - c) / d)):
            self.register_buffer(name, value.float().reshape(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift


def normalisation(mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """``Renormalise``, or nothing where mean and std are ImageNet's."""
    own = (tuple(mean), tuple(std)) != (MEAN, STD)
    return Renormalise(mean, std) if own else nn.Identity()
