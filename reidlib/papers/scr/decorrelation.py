"""Whether channel partition decorrelates the channel groups, as SCR's section 2.2 says it does.

A channel's response to an image is its maximum over the map, which is what the groups are cut
from. Where groups are decorrelated, channels of different groups agree less than channels of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.models.base import device_of, evaluating
from reidlib.papers.scr.model import spans

if TYPE_CHECKING:
    from reidlib.papers.scr.model import SCR


@dataclass(frozen=True)
class Correlation:
    """Mean absolute Pearson correlations over pairs of channels, in [0, 1].

    within: of one group; across: of two groups; chance: what independent, normally distributed
    channels show over as many images. channels: how many count; images: how many were looked at.
    """

    within: float
    across: float
    chance: float
    channels: int
    images: int


def correlations(responses: Tensor) -> Tensor:
    """Pearson correlations [C, C] (float64) between the columns of ``responses`` [N, C].

    A column that is the same in every row has none: its row and column are NaN. Raises ReidError
    for fewer than 3 rows, between which everything seems correlated.
    """
    if len(responses) < 3:
        raise ReidError(f"correlations over {len(responses)} images mean nothing: give 3 or more")
    x = responses.double()
    x = x - x.mean(0)
    length = x.norm(dim=0)
    constant = length <= 1e-9 * responses.double().norm(dim=0)
    x = x / length.masked_fill(constant, torch.nan)
    return (x.T @ x).clamp(-1, 1)


def group_correlation(responses: Tensor, groups: int) -> Correlation:
    """Correlations within and across ``groups`` of channels, cut as SCR cuts them.

    responses [N, C], one row an image. Channels that answer all images alike are left out. Raises
    ReidError for fewer than 2 groups or if no pair of channels is left.
    """
    n, channels = responses.shape
    if not 2 <= groups <= channels:
        raise ReidError(f"groups is {groups}, not from 2 to the {channels} channels")
    strength = correlations(responses).abs()
    group = torch.empty(channels, dtype=torch.int64, device=responses.device)
    for k, (start, end) in enumerate(spans(channels, groups)):
        group[start:end] = k
    alive = ~strength.diagonal().isnan()
    pair = torch.ones_like(strength, dtype=torch.bool).triu(1) & alive & alive[:, None]
    same = group == group[:, None]
    if not (pair & same).any() or not (pair & ~same).any():
        raise ReidError(f"{int(alive.sum())} of {channels} channels vary: nothing to compare")
    return Correlation(
        within=float(strength[pair & same].mean()),
        across=float(strength[pair & ~same].mean()),
        # E|r| of n independent normal pairs
        chance=math.exp(math.lgamma((n - 1) / 2) - math.lgamma(n / 2)) / math.sqrt(math.pi),
        channels=int(alive.sum()),
        images=n,
    )


def branch_responses(
    model: SCR, split: pd.DataFrame, branch: str, *, batch_size: int = 128
) -> Tensor:
    """The max-pooled vectors [N, C] of a branch's map ("p1", "p2", ...) for all images of a split.

    Raises ReidError if the model has no such branch.
    """
    from reidlib.data import ImageBank

    model.branch(branch)  # an unknown one is said before anything is read
    bank = ImageBank.from_split(split, model.size)
    found = []
    for rows in bank.blocks(batch_size):
        with evaluating(model):
            found.append(model.pooled(bank.images(rows).to(device_of(model)))[branch])
    return torch.cat(found)


def decorrelation_table(
    branches: Mapping[str, tuple[SCR, str]], split: pd.DataFrame, groups: int = 2
) -> pd.DataFrame:
    """``group_correlation`` of several networks' branches, cut alike, over the images of a split.

    branches: by the row's name a model and the name of its branch, for example trained with
    "p2(c2)" and, for comparison, without a partition: "p1". Columns: within, across, ratio (across
    / within: below 1 the groups are decorrelated), chance, channels, images.
    """
    lines = {}
    for name, (model, branch) in branches.items():
        found = group_correlation(branch_responses(model, split, branch), groups)
        lines[name] = {
            "within": found.within,
            "across": found.across,
            "ratio": found.across / found.within,
            "chance": found.chance,
            "channels": found.channels,
            "images": found.images,
        }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("network")
