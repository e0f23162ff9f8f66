"""Horizontal stripes of a feature map: where they are cut, and what is pooled from them.

Cuts are rows [N, n + 1] (int64), the first 0, the last H: stripe k of image i has the rows from
``cuts[i, k]`` to before ``cuts[i, k + 1]``.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.errors import ReidError

Pooling = Literal["avg", "max"]
Rounding = Literal["nearest", "floor", "ceil"]


def partition(maps: Tensor, n: int) -> Tensor:
    """[N, C, H, W] as ``n`` stripes in the batch dimension: [N * n, C, H / n, W] (RMGL III-B).

    The stripes of an image follow one another, so that maps in channels-last order are not copied.
    Raises ReidError if n does not divide H.
    """
    height = maps.shape[2]
    if height % n:
        raise ReidError(
            f"a map of {height} rows cannot be cut into {n} equal stripes: choose an image height "
            f"that makes it a multiple of {n}, or split later or earlier"
        )
    return maps.unflatten(2, (n, height // n)).transpose(1, 2).flatten(0, 1)


def unpartition(stripes: Tensor, n: int) -> Tensor:
    """The stripes [N * n, C, h, W] of ``partition`` below one another again: [N, C, n * h, W]."""
    return stripes.unflatten(0, (-1, n)).transpose(1, 2).flatten(2, 3)


def activation_histogram(maps: Tensor) -> Tensor:
    """In how many channels the maximum lies in each row: [N, C, H, W] -> int64 [N, H] (RMGL Eq. 8).

    A channel that is the same everywhere (after a ReLU: dead) has no maximum and is not counted; of
    equal maxima the uppermost, then leftmost, counts.
    """
    height, width = maps.shape[2:]
    flat = maps.flatten(2)
    top, place = flat.max(2)  # [N, C]
    alive = top > flat.amin(2)
    counts = torch.zeros(len(maps), height, dtype=torch.int64, device=maps.device)
    return counts.scatter_add_(1, place // width, alive.to(torch.int64))


def equal_cuts(maps: Tensor, n: int) -> Tensor:
    """Cuts [N, n + 1] of stripes of equal height. Raises ReidError if n does not divide H."""
    height = maps.shape[2]
    if height % n:
        raise ReidError(f"a map of {height} rows cannot be cut into {n} equal stripes")
    return (torch.arange(n + 1, device=maps.device) * (height // n)).expand(len(maps), -1)


def balanced_cuts(maps: Tensor, n: int, rounding: Rounding = "nearest") -> Tensor:
    """Cuts [N, n + 1] of stripes that hold equally many channels' maxima (RMGL Eq. 9 and 10).

    k / n of all maxima seldom lie exactly above a row's border. rounding: cut k is the border with
    the count "nearest" to that share (of equally near ones the one nearest to an equal cut), the
    last border that does not exceed it ("floor", the left side of Eq. 10), or the first that
    reaches it ("ceil"). Every stripe has at least one row. (The right side of Eq. 10 as printed,
    ceil(c n_s / C), is no such count.)
    """
    height = maps.shape[2]
    if n > height:
        raise ReidError(f"a map of {height} rows cannot be cut into {n} stripes")
    reached = F.pad(activation_histogram(maps).cumsum(1), (1, 0))  # H_x(h), Eq. 9: [N, H + 1]
    border = torch.arange(height + 1, device=maps.device)
    cuts = torch.zeros(len(maps), n + 1, dtype=torch.int64, device=maps.device)
    cuts[:, n] = height
    for k in range(1, n):
        beyond = reached * n - k * reached[:, -1:]  # n times what a border is above the share
        if rounding == "floor":
            best = (beyond <= 0).sum(1) - 1
        elif rounding == "ceil":
            best = (beyond < 0).sum(1)
        else:
            off_centre = (border * n - k * height).abs()  # at most n * height: decides ties alone
            best = (beyond.abs() * (n * height + 1) + off_centre).argmin(1)
        cuts[:, k] = best.maximum(cuts[:, k - 1] + 1).clamp(max=height - n + k)
    return cuts


def activation_shares(maps: Tensor, cuts: Tensor) -> Tensor:
    """Which share of the channels' maxima each stripe holds: [N, n], each row's sum is 1."""
    reached = F.pad(activation_histogram(maps).cumsum(1), (1, 0))
    held = reached.gather(1, cuts).diff(dim=1)
    return held / reached[:, -1:].clamp(min=1)


def pool_equal(maps: Tensor, n: int, pooling: Pooling) -> Tensor:
    """Maximum or mean of each of n stripes of equal height: [N, C, H, W] -> [N, n, C].

    Raises ReidError if n does not divide H: torch would let such stripes overlap.
    """
    equal_cuts(maps, n)
    pool = F.adaptive_avg_pool2d if pooling == "avg" else F.adaptive_max_pool2d
    return pool(maps, (n, 1)).squeeze(3).transpose(1, 2)


def pool_stripes(maps: Tensor, cuts: Tensor, pooling: Pooling) -> Tensor:
    """Maximum or mean (RMGL Eq. 11, over the stripe alone) of each stripe: [N, n, C].

    maps [N, C, H, W], cuts [N, n + 1]. Works row by row, so no stripe is cut out.
    """
    row = torch.arange(maps.shape[2], device=maps.device)
    inside = (row >= cuts[:, :-1, None]) & (row < cuts[:, 1:, None])  # [N, n, H]
    if pooling == "avg":
        rows = maps.mean(3)  # [N, C, H]
        weight = inside / inside.sum(2, keepdim=True)
        return weight.to(rows.dtype) @ rows.transpose(1, 2)
    rows = maps.amax(3).transpose(1, 2).unsqueeze(1)  # [N, 1, H, C]
    return rows.masked_fill(~inside.unsqueeze(3), -torch.inf).amax(2)
