"""Many small heads as one: each part of a person has its own reduction and its own classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Heads(nn.Module):
    """For each of ``parts``: a 1x1 convolution and batch norm to ``width``, then a classifier.

    A 1x1 convolution of a pooled vector is a matrix product; those of all parts are one batched
    product. relu: behind the batch norm. std: of the classifiers' initial weights, by default as
    the bag of tricks has it (Luo et al. 2019).
    """

    def __init__(
        self,
        parts: int,
        channels: int,
        width: int,
        num_ids: int,
        relu: bool = False,
        std: float = 0.001,
    ) -> None:
        super().__init__()
        self.relu = relu
        self.reduction = nn.Parameter(torch.empty(parts, channels, width))
        self.norm = nn.BatchNorm1d(parts * width)
        self.classifier = nn.Parameter(torch.empty(parts, width, num_ids))
        self.bias = nn.Parameter(torch.zeros(parts, 1, num_ids))
        nn.init.normal_(self.reduction, std=1 / math.sqrt(channels))
        nn.init.normal_(self.classifier, std=std)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled vectors [N, parts, channels] to features [N, parts, width]."""
        reduced = torch.bmm(pooled.transpose(0, 1), self.reduction).transpose(0, 1)
        normed = self.norm(reduced.flatten(1)).view_as(reduced)
        return normed.relu() if self.relu else normed

    def logits(self, feature: Tensor) -> Tensor:
        """Features [N, parts, width] to [N, parts, num_ids]."""
        product = torch.baddbmm(self.bias, feature.transpose(0, 1), self.classifier)
        return product.transpose(0, 1)


class MixedHeads(nn.Module):
    """``Heads`` of parts of different lengths: neighbours of equal length are one batched product.

    channels: the length of each part's vector. std: as in ``Heads``.
    """

    def __init__(
        self, channels: Sequence[int], width: int, num_ids: int, std: float = 0.001
    ) -> None:
        super().__init__()
        runs = [(length, len(list(same))) for length, same in groupby(channels)]
        self.numbers = [number for _, number in runs]
        self.runs = nn.ModuleList(Heads(n, c, width, num_ids, std=std) for c, n in runs)

    def forward(self, pooled: Sequence[Tensor]) -> Tensor:
        """Pooled vectors [N, channels], one for each part, to features [N, parts, width]."""
        starts = [sum(self.numbers[:k]) for k in range(len(self.numbers))]
        return torch.cat(
            [
                heads(torch.stack(tuple(pooled[start : start + number]), 1))
                for heads, start, number in zip(self.runs, starts, self.numbers, strict=True)
            ],
            1,
        )

    def logits(self, feature: Tensor) -> Tensor:
        """Features [N, parts, width] to [N, parts, num_ids]."""
        each = zip(self.runs, feature.split(self.numbers, 1), strict=True)
        return torch.cat([heads.logits(part) for heads, part in each], 1)  # type: ignore[operator]


def identity_losses(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of each part, mean over the images: logits [N, parts, C] to [parts]."""
    n, parts = logits.shape[:2]
    each = F.cross_entropy(
        logits.float().flatten(0, 1), label.repeat_interleave(parts), reduction="none"
    )
    return each.view(n, parts).mean(0)
