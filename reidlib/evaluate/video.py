"""Tracklets: which of their frames are encoded, how these become one encoding, how far two are
apart.

Temporal pooling (TP) is the mean over the sampled frames; temporal partition pooling (TPP) cuts
them into groups by time and takes the mean of each (SCR, section 4.3, Table 5). The text then
concatenates the groups; its authors' code compares each group with each (``compare="pairs"``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.sampler import generator
from reidlib.errors import ReidError, nearest
from reidlib.models.base import Encoding
from reidlib.system.compute import full_precision
from reidlib.system.types import check_type

Sampling = Literal["even", "starts", "random"]
Short = Literal["spread", "last"]
Compare = Literal["concatenated", "pairs"]
CHUNK = 4096  # frames whose encodings are held at once, before they are pooled
BLOCK = 2**24  # distances between groups that are held at once
_STREAM = 40  # of the random numbers that draw frames, beside those of ``data``


@dataclass(frozen=True)
class Pooling:
    """How the frames of a tracklet become one encoding.

    frames: how many are sampled from each tracklet, None for all of them. sampling: "even",
    "starts" or "random", short: "spread" or "last", see ``sample_frames``; seed: of the random one.
    groups: the sampled frames, in temporal order, are cut into so many runs of (nearly) equal
    length, whose means are concatenated: 1 is TP, 3 (beginning, middle, end) SCR's TPP.
    frame_norm: divides each frame's vectors [D], after mirror averaging, by their L2 norm before
    the mean, so that every frame counts alike; without it a frame with a longer vector counts more.
    compare: "concatenated" is the text of SCR, by the model's own distance, which divides the
    tracklet's vector by its norm; "pairs" is ``pair_distances``. SCR's authors' code is
    ``AUTHORS``. Raises ReidError for a value out of range.
    """

    frames: int | None = None
    sampling: Sampling = "even"
    groups: int = 1
    frame_norm: bool = False
    seed: int = 0
    short: Short = "spread"
    compare: Compare = "concatenated"

    def __post_init__(self) -> None:
        check_type(self.frames, int | None, "frames")
        check_type(self.groups, int, "groups")
        check_type(self.frame_norm, bool, "frame_norm")
        check_type(self.seed, int, "frame_seed")
        words = {"sampling": Sampling, "short": Short, "compare": Compare}
        for name, known in words.items():
            if (given := getattr(self, name)) not in get_args(known):
                raise ReidError(f'unknown {name} "{given}"{nearest(given, get_args(known))}')
        if self.frames is None and self.sampling == "random":
            raise ReidError('sampling "random" needs a number of frames: add frames=15')
        if self.seed < 0:
            raise ReidError(f"frame_seed is {self.seed}, must not be negative")
        most = self.frames if self.frames is not None else self.groups
        if not 1 <= self.groups <= most:
            raise ReidError(
                f"groups is {self.groups} and frames is {self.frames}: each group needs a frame"
            )


# what SCR's authors' code does where their text is silent, as options of ``evaluate``; its even
# sampling is "starts"
AUTHORS: Mapping[str, Any] = {"frame_norm": True, "short": "last", "compare": "pairs"}


def sample_frames(
    length: int,
    number: int,
    sampling: Sampling = "even",
    short: Short = "spread",
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    """``number`` positions, int64 in [0, length), ascending, out of a tracklet of that length.

    The tracklet is cut into ``number`` equal parts: "even" takes their middles, so that the k-th
    of n groups of them lies in the k-th n-th of its time; "starts" their first frames, so that the
    end is never seen. "random" draws from ``rng``; none is shown twice. Of a tracklet with fewer
    frames than ``number``, "spread" shows each as often as another, or once more; "last" shows all
    and then the last one again.
    """
    if length < 1 or number < 1:
        raise ReidError(f"cannot sample {number} frames from {length}: both must be at least 1")
    if length < number and short == "last":
        return np.minimum(np.arange(number), length - 1)
    if sampling != "random":
        half = 1 if sampling == "even" else 0
        return (2 * np.arange(number) + half) * length // (2 * number)
    if rng is None:
        raise ReidError("random frames need a generator")
    whole, rest = divmod(number, length)
    drawn = rng.permutation(length)[:rest]
    return np.sort(np.concatenate([np.tile(np.arange(length), whole), drawn]))


@dataclass(frozen=True, eq=False)
class Plan:
    """Which images of a split are encoded for its tracklets.

    table: tracklet, pid, cam, one row a tracklet, by number. rows: positions in the split, each
    once, tracklet by tracklet, in temporal order. sampled: positions in ``rows``; group: of which
    group each of these is one. first, start: where each tracklet's part begins in ``rows`` and in
    ``sampled`` (one more number than tracklets).
    """

    table: pd.DataFrame
    rows: np.ndarray
    sampled: np.ndarray
    group: np.ndarray
    first: np.ndarray
    start: np.ndarray
    pooling: Pooling

    def encode(
        self,
        encode: Callable[..., Encoding],
        rows: Tensor | None = None,
        only: Collection[str] | None = None,
    ) -> Encoding:
        """One encoding per tracklet [T, ...].

        encode: called with ``rows=`` [n] int64, the images to encode. rows: where the images of
        ``self.rows`` lie for it, if they do not lie where the split has them. only: the entries
        to pool, None for all; the others are left out.

        About CHUNK frames are held at once, whole tracklets always. With several groups an entry
        [N, D] becomes [T, groups * D]; raises ReidError for one of another shape.
        """
        rows = torch.from_numpy(self.rows) if rows is None else rows
        parts = []
        for some in self._chunks():
            frames = encode(rows=rows[int(self.first[some.start]) : int(self.first[some.stop])])
            kept = {k: v for k, v in frames.items() if only is None or k in only}
            parts.append(self._pooled(some, kept))
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _chunks(self) -> Iterator[slice]:
        """Slices of the tracklets."""
        begin = 0
        while begin < len(self.table):
            end = int(np.searchsorted(self.first, self.first[begin] + CHUNK, side="right")) - 1
            yield slice(begin, end := max(end, begin + 1))
            begin = end

    def _pooled(self, some: slice, frames: Encoding) -> Encoding:
        """Those of some tracklets, from their part of ``rows``, encoded."""
        number, groups = some.stop - some.start, self.pooling.groups
        inside = slice(int(self.start[some.start]), int(self.start[some.stop]))
        lengths = np.diff(self.start[some.start : some.stop + 1])
        cell = np.repeat(np.arange(number), lengths) * groups + self.group[inside]
        pooled = {}
        for key, value in frames.items():
            vectors = value.ndim == 2
            if groups > 1 and not vectors:
                raise ReidError(
                    f'groups={groups} concatenates vectors, and this model also compares "{key}" '
                    f"of shape {list(value.shape[1:])}: use groups=1"
                )
            if vectors and self.pooling.frame_norm:
                value = F.normalize(value)
            sampled = torch.as_tensor(
                self.sampled[inside] - self.first[some.start], device=value.device
            )
            cells = torch.as_tensor(cell, device=value.device)
            mean = _means(value[sampled], cells, number * groups)
            pooled[key] = mean.reshape(number, -1) if groups > 1 else mean
        return pooled


def plan(split: pd.DataFrame, pooling: Pooling = Pooling()) -> Plan:
    """The frames to encode of a split with the columns tracklet, pid, cam.

    Frames are in the order of the column ``frame``, without one in that of the table. A random
    sample depends on the seed and the tracklet's number alone. Raises ReidError if there is no
    column tracklet or a tracklet shows several persons or cameras.
    """
    table = tracklets(split)
    place = pd.Index(table["tracklet"]).get_indexer(split["tracklet"])
    keys = (split["frame"].to_numpy(), place) if "frame" in split.columns else (place,)
    order = np.split(np.lexsort(keys), np.cumsum(np.bincount(place))[:-1])
    rows, sampled, group = [], [], []
    first, start = [0], [0]
    for images, name in zip(order, table["tracklet"], strict=True):
        n = pooling.frames or max(len(images), pooling.groups)
        rng = generator(pooling.seed, _STREAM, int(name) % 2**32)
        chosen = sample_frames(len(images), n, pooling.sampling, pooling.short, rng)
        once, where = np.unique(chosen, return_inverse=True)
        rows.append(images[once])
        sampled.append(first[-1] + where)
        group.append(np.arange(n) * pooling.groups // n)
        first.append(first[-1] + len(once))
        start.append(start[-1] + n)
    a, b, c = (np.concatenate(part).astype(np.int64) for part in (rows, sampled, group))
    return Plan(table, a, b, c, np.array(first), np.array(start), pooling)


def tracklets(split: pd.DataFrame) -> pd.DataFrame:
    """The tracklets of a split: tracklet, pid, cam, by number. Raises ReidError as ``plan``."""
    if "tracklet" not in split.columns:
        raise ReidError('this split has no column "tracklet": choose another protocol')
    table = split[["tracklet", "pid", "cam"]].drop_duplicates().sort_values("tracklet")
    table = table.reset_index(drop=True)
    twice = table.tracklet[table.tracklet.duplicated()]
    if len(twice):
        raise ReidError(f"tracklet {twice.iloc[0]} shows more than one person or camera")
    return table


def pool_tracklets(
    encoding: Encoding, split: pd.DataFrame, pooling: Pooling = Pooling()
) -> tuple[Encoding, pd.DataFrame]:
    """One encoding per tracklet from those of all its images: by default the mean of every entry.

    ``split`` has the columns tracklet, pid, cam, one row per row of ``encoding``. Returns the
    pooled encoding and its table (tracklet, pid, cam), by tracklet number. Raises ReidError as
    ``plan``.
    """
    planned = plan(split, pooling)

    def some(rows: Tensor) -> Encoding:
        return {key: value[rows.to(value.device)] for key, value in encoding.items()}

    return planned.encode(some), planned.table


def pair_distances(query: Tensor, gallery: Tensor, groups: int) -> Iterator[Tensor]:
    """Row blocks [B, G] of the sum of all ``groups`` ** 2 Euclidean distances between the groups of
    two tracklets, as SCR's authors' code compares them.

    query, gallery: [Q, groups * D] and [G, groups * D], the groups one after the other. The order
    of the groups in time is thereby lost: somebody who walks to and fro is the same.
    """
    right = gallery.reshape(len(gallery) * groups, -1)
    for some in query.split(max(1, BLOCK // max(1, len(right) * groups))):
        with full_precision():
            each = torch.cdist(some.reshape(len(some) * groups, -1), right)
        yield each.reshape(len(some), groups, len(gallery), groups).sum((1, 3))


def _means(value: Tensor, cell: Tensor, number: int) -> Tensor:
    """Mean [number, ...] over the rows of ``value`` [N, ...] in each cell."""
    total = value.new_zeros((number, *value.shape[1:])).index_add_(0, cell, value)
    count = torch.bincount(cell, minlength=number).to(value.dtype)
    return total / count.reshape(-1, *[1] * (value.ndim - 1))
