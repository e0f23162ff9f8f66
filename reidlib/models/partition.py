"""Spatial-channel partition of a feature map (SCR, section 2.2 and 3.1, Fig. 1).

A partition is written as the paper writes it: ``p3(s3c3)`` is a branch named p3 whose map is cut
into 3 spatial parts (rows) and, independently, 3 channel groups; ``p1`` is not cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor

from reidlib.errors import ReidError

Kind = Literal["whole", "rows", "channels"]
BRANCH = re.compile(r"(p\d+)(?:\((?=[sc])(?:s(\d+))?(?:c(\d+))?\))?")


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
        letter = {"whole": "", "rows": ".s", "channels": ".c"}[self.kind]
        return f"{self.branch}{letter}{self.number + 1}" if letter else self.branch

    def rows(self, height: int) -> tuple[int, int]:
        """First row and the row after the last one that it sees in a map of ``height`` rows."""
        return spans(height, self.of)[self.number] if self.kind == "rows" else (0, height)

    def channels(self, number: int) -> tuple[int, int]:
        """The same of its channels, in a map with ``number`` of them."""
        return spans(number, self.of)[self.number] if self.kind == "channels" else (0, number)


@dataclass(frozen=True)
class Partition:
    """A branch: its name, into how many spatial parts and channel groups it is cut (1: not)."""

    name: str
    rows: int = 1
    channels: int = 1

    @property
    def parts(self) -> list[Part]:
        """The whole map first, then spatial parts from top to bottom, then channel groups."""
        cut: list[tuple[Kind, int]] = [("rows", self.rows), ("channels", self.channels)]
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
        return [whole, *stripes, *groups]


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
        name, rows, channels = match[1], int(match[2] or 1), int(match[3] or 1)
        if "1" in (match[2], match[3]) or not rows or not channels:
            raise ReidError(
                f'branches is "{text}", where "{term}" cuts into fewer than 2 parts: leave that out'
            )
        if name in [branch.name for branch in found]:
            raise ReidError(f'branches is "{text}" with {name} twice: give each its own number')
        found.append(Partition(name, rows, channels))
    return tuple(found)
