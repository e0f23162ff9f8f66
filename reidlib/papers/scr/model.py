"""Spatial-channel partition of a feature map (SCR, section 2.2 and 3.1, Fig. 1).

A partition is written as the paper writes it: ``p3(s3c3)`` is a branch named p3 whose map is cut
into 3 spatial parts (rows) and, independently, 3 channel groups; ``p1`` is not cut. ``p2(w4)`` is
our control: four parts more, each of which sees the whole map.
"""

from __future__ import annotations

import copy
import math
import re
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.attention import Attention, insert_attention
from reidlib.models.backbone import build_backbone
from reidlib.models.base import Encoding, ReIDModel
from reidlib.models.heads import MixedHeads, identity_losses

Kind = Literal["whole", "rows", "channels", "again"]  # again: whole, too
BRANCH = re.compile(r"(p\d+)(?:\((?=[scw])(?:s(\d+))?(?:c(\d+))?(?:w(\d+))?\))?")


def spans(length: int, n: int) -> list[tuple[int, int]]:
    """Where ``n`` parts of ``length`` rows or channels begin and end (not included).

    The first ``length % n`` are one longer, as in the paper (683, 683, 682 of 2,048 channels).
    """
    short, longer = divmod(length, n)
    starts = [k * short + min(k, longer) for k in range(n + 1)]
    return list(pairwise(starts))


@dataclass(frozen=True)
class Part:
    """One vector of a branch. name: "p2", "p2.s1", "p2.c2"; number: from 0, out of ``of``."""

    branch: str
    kind: Kind
    number: int = 0
    of: int = 1

    @property
    def name(self) -> str:
        letter = {"whole": "", "rows": ".s", "channels": ".c", "again": ".w"}[self.kind]
        return f"{self.branch}{letter}{self.number + 1}" if letter else self.branch

    def rows(self, height: int) -> tuple[int, int]:
        """First row and the row after the last one that it sees in a map of ``height`` rows."""
        return spans(height, self.of)[self.number] if self.kind == "rows" else (0, height)

    def channels(self, number: int) -> tuple[int, int]:
        """The same of its channels, in a map with ``number`` of them."""
        return spans(number, self.of)[self.number] if self.kind == "channels" else (0, number)


@dataclass(frozen=True)
class Partition:
    """A branch: its name, into how many spatial parts and channel groups it is cut (1: not), and
    how often its whole map is seen again (1: not)."""

    name: str
    rows: int = 1
    channels: int = 1
    again: int = 1

    @property
    def parts(self) -> list[Part]:
        """The whole map first, then spatial parts from top to bottom, then channel groups."""
        cut: list[tuple[Kind, int]] = [("rows", self.rows), ("channels", self.channels)]
        cut.append(("again", self.again))
        local = [Part(self.name, kind, k, n) for kind, n in cut if n > 1 for k in range(n)]
        return [Part(self.name, "whole"), *local]

    def lengths(self, channels: int) -> list[int]:
        """How long the vector of each part is, for a map of ``channels`` channels."""
        ends = [part.channels(channels) for part in self.parts]
        return [end - start for start, end in ends]

    def pool(self, maps: Tensor) -> list[Tensor]:
        """Global maximum of each part of maps [N, C, H, W]: ``lengths(C)`` vectors [N, length].

        Raises ReidError if the map has fewer rows than there are spatial parts.
        """
        if self.rows > maps.shape[2]:
            raise ReidError(
                f"a map of {maps.shape[2]} rows cannot be cut into the {self.rows} spatial parts "
                f"of {self.name}: choose higher images or fewer parts"
            )
        rows = maps.amax(3)  # [N, C, H]
        whole = rows.amax(2)
        stripes = [s.amax(2) for s in rows.tensor_split(self.rows, 2)] if self.rows > 1 else []
        groups = whole.tensor_split(self.channels, 1) if self.channels > 1 else ()
        return [whole, *stripes, *groups, *([whole] * self.again if self.again > 1 else ())]


def parse_branches(text: str) -> tuple[Partition, ...]:
    """``"p1+p2(s2c2)+p3(s3c3)"``, or any other sum of such terms, as partitions.

    Raises ReidError, in one sentence, for anything else.
    """
    found: list[Partition] = []
    for term in text.split("+"):
        match = BRANCH.fullmatch(term)
        if not match:
            raise ReidError(
                f'branches is "{text}", where "{term}" is not a branch such as p1, p2(s2), p2(c2) '
                "or p3(s3c3): join them by + without spaces"
            )
        name, *numbers = match.groups()
        rows, channels, again = (int(number or 1) for number in numbers)
        if "1" in numbers or not rows * channels * again:
            raise ReidError(
                f'branches is "{text}", where "{term}" cuts into fewer than 2 parts: leave that out'
            )
        if name in [branch.name for branch in found]:
            raise ReidError(f'branches is "{text}" with {name} twice: give each its own number')
        found.append(Partition(name, rows, channels, again))
    return tuple(found)


class SCR(ReIDModel):
    """Shared up to the first block of conv4, then a branch for each term of ``branches``.

    Each branch has its own rest of conv4 and its own conv5 (last stride 1); its map is max-pooled
    as a whole, in spatial parts and in channel groups, which are cut from the whole map's vector.
    Each part has a 1x1 convolution without bias and batch norm to 256, then a classifier with bias.

    ``encode``: "feature" [N, 256 * parts], branch by branch in the order of ``part_names``: the
    whole map, spatial parts from top to bottom, channel groups.
    """

    head: ClassVar[tuple[str, ...]] = ("heads.",)

    def __init__(
        self,
        num_ids: int,
        *,
        backbone: str = "resnet50",
        weights: str | None = None,
        size: tuple[int, int] = (384, 192),
        branches: str = "p1+p2(s2c2)+p3(s3c3)",
        width: int = 256,
        lambda_: float = 2.0,
        triplet: bool = True,
        margin: float = 1.2,
        attention: Attention = "none",
        classifiers: Literal["small", "fan-out"] = "small",
    ) -> None:
        """branches: see ``partition.parse_branches``. width: of a part's feature. lambda_: weight
        of the cross entropy in Eq. 3. triplet: False leaves its loss out (Table 4). attention: see
        ``models.attention.insert_attention``. classifiers: their initial weights: of deviation
        0.001, or by Kaiming's rule over the outputs, as the authors' code has it (0.052 for 751
        identities); the text says nothing."""
        super().__init__()
        self.size, self.lambda_, self.triplet, self.margin = size, lambda_, triplet, margin
        self.width = width
        self.partitions = parse_branches(branches)
        net: Any = build_backbone(backbone, weights, last_stride=1)
        insert_attention(net, attention)
        self.channels: int = net.out_channels  # of each branch's map
        first, *rest = net.conv4
        self.trunk = nn.Sequential(
            OrderedDict(stem=net.stem, conv2=net.conv2, conv3=net.conv3, conv4=first)
        )
        own = nn.Sequential(OrderedDict(conv4=nn.Sequential(*rest), conv5=net.conv5))
        self.branches = nn.ModuleList(copy.deepcopy(own) for _ in self.partitions)
        std = 0.001 if classifiers == "small" else math.sqrt(2 / num_ids)
        self.heads = nn.ModuleList(
            MixedHeads(partition.lengths(self.channels), width, num_ids, std)
            for partition in self.partitions
        )

    @property
    def part_names(self) -> list[str]:
        """ "p1", "p2", "p2.s1", ... in the order in which they stand in the representation."""
        return [part.name for partition in self.partitions for part in partition.parts]

    def maps(self, images: Tensor) -> dict[str, Tensor]:
        """The last map [N, C, h, w] of each branch by its name ("p1", "p2", ...)."""
        shared = self.trunk(images)
        named = zip(self.partitions, self.branches, strict=True)
        return {partition.name: branch(shared) for partition, branch in named}

    def pooled(self, images: Tensor) -> dict[str, Tensor]:
        """What each part's reduction is given, by part name: [N, C], [N, C / n] of a group."""
        maps = self.maps(images)
        return {
            part.name: vector
            for partition in self.partitions
            for part, vector in zip(
                partition.parts, partition.pool(maps[partition.name]), strict=True
            )
        }

    def features(self, images: Tensor) -> list[Tensor]:
        """Of each branch [N, parts, width], the whole map's feature first."""
        maps = self.maps(images)
        return [
            head(partition.pool(maps[partition.name]))
            for partition, head in zip(self.partitions, self.heads, strict=True)
        ]

    def part_features(self, images: Tensor) -> dict[str, Tensor]:
        """The features [N, width] by part name; "p2.s1" is p2's upper part, "p2.c2" its second
        channel group."""
        each = [f for branch in self.features(images) for f in branch.unbind(1)]
        return dict(zip(self.part_names, each, strict=True))

    def part_logits(self, images: Tensor) -> dict[str, Tensor]:
        """What each part's classifier says, by part name: [N, num_ids]."""
        each = [
            logits
            for feature, head in zip(self.features(images), self.heads, strict=True)
            for logits in head.logits(feature).unbind(1)  # type: ignore[operator]
        ]
        return dict(zip(self.part_names, each, strict=True))

    def branch(self, part: str) -> nn.Module:
        """The module whose last map the part named ``part`` is cut from, for Grad-CAM.

        Raises ReidError for an unknown part.
        """
        if part not in self.part_names:
            raise ReidError(f'no part "{part}": there are {", ".join(self.part_names)}')
        names = [partition.name for partition in self.partitions]
        return self.branches[names.index(part.split(".")[0])]

    def encode(self, images: Tensor) -> Encoding:
        return {"feature": torch.cat([f.flatten(1) for f in self.features(images)], 1)}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        identity, right, triplet = [], [], []
        for feature, head in zip(self.features(batch.images), self.heads, strict=True):
            logits = head.logits(feature)  # type: ignore[operator]
            identity.append(identity_losses(logits, batch.label))  # Eq. 1, its mean over the images
            right.append((logits.argmax(2) == batch.label[:, None]).float().mean(0))
            if self.triplet:  # Eq. 2, a mean too, on the global feature, not normalised
                whole = feature[:, 0].float()
                triplet.append(batch_hard_triplet(whole, batch.label, self.margin))
        parts = {"id": torch.cat(identity).mean(), "accuracy": torch.cat(right).mean()}
        total = self.lambda_ * parts["id"]  # Eq. 3
        if triplet:
            parts["triplet"] = torch.stack(triplet).mean()
            total = total + parts["triplet"]
        return {"loss": total, **parts}
