"""Many small heads as one: each part of a person has its own reduction and its own classifier."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Heads(nn.Module):
    """For each of ``parts``: a 1x1 convolution and batch norm to ``width``, then a classifier.

    A 1x1 convolution of a pooled vector is a matrix product; those of all parts are one batched
    product.
    """

    def __init__(self, parts: int, channels: int, width: int, num_ids: int) -> None:
        super().__init__()
        self.reduction = nn.Parameter(torch.empty(parts, channels, width))
        self.norm = nn.BatchNorm1d(parts * width)
        self.classifier = nn.Parameter(torch.empty(parts, width, num_ids))
        self.bias = nn.Parameter(torch.zeros(parts, 1, num_ids))
        nn.init.normal_(self.reduction, std=1 / math.sqrt(channels))
        nn.init.normal_(self.classifier, std=0.001)

    def forward(self, pooled: Tensor) -> Tensor:
        """Pooled vectors [N, parts, channels] to features [N, parts, width]."""
        reduced = torch.bmm(pooled.transpose(0, 1), self.reduction).transpose(0, 1)
        return self.norm(reduced.flatten(1)).view_as(reduced)

    def logits(self, feature: Tensor) -> Tensor:
        """Features [N, parts, width] to [N, parts, num_ids]."""
        product = torch.baddbmm(self.bias, feature.transpose(0, 1), self.classifier)
        return product.transpose(0, 1)


def identity_losses(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of each part, mean over the images: logits [N, parts, C] to [parts]."""
    n, parts = logits.shape[:2]
    each = F.cross_entropy(
        logits.float().flatten(0, 1), label.repeat_interleave(parts), reduction="none"
    )
    return each.view(n, parts).mean(0)
