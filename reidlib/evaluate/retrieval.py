"""Evaluation of a model on a dataset: encode both splits, stream the distances, score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib import rerank as reranking
from reidlib.data.bank import ImageBank, padded_bank
from reidlib.data.dataset import Dataset
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.encode import (
    Encoding,
    cosine_blocks,
    device_of,
    distance_blocks,
    distance_columns,
    encode_cut,
    encode_split,
    evaluating,
)
from reidlib.evaluate.metrics import Metrics, score
from reidlib.evaluate.ranking import PROTOCOLS
from reidlib.evaluate.single_shot import single_shot
from reidlib.evaluate.video import Compare, Pooling, Sampling, Short, pair_distances, plan
from reidlib.models.base import ReIDModel
from reidlib.system.compute import forget
from reidlib.system.types import check_options, options_of

GALLERY = 1024  # images whose encodings are held at once by a model with a distance of its own


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model made of all images of a split, in its order, instead of a bank of the images:
    for a test that is repeated with other poolings of the same frames. size: of the images."""

    encoding: Encoding
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(next(iter(self.encoding.values())))

    def encode(self, rows: Tensor | None = None) -> Encoding:
        """That of some images, or of all."""
        if rows is None:
            return self.encoding
        return {key: value[rows.to(value.device)] for key, value in self.encoding.items()}


def evaluate(
    model: ReIDModel,
    dataset: Dataset,
    *,
    flip: bool = False,
    rerank: bool | Mapping[str, float] | None = None,
    aqe: int | None = None,
    device: torch.device | str | None = None,
    batch_size: int = 128,
    protocol: str | None = None,
    frames: int | None = None,
    sampling: Sampling = "even",
    groups: int = 1,
    frame_norm: bool = False,
    frame_seed: int = 0,
    short: Short = "spread",
    compare: Compare = "concatenated",
    swap: bool = False,
    pad: bool = False,
    max_rank: int = 50,
    amp: bool = False,
    compile: str | None = None,
    query_bank: ImageBank | Encoded | None = None,
    gallery_bank: ImageBank | Encoded | None = None,
) -> Metrics:
    """Encodes query and gallery of ``dataset`` and scores the distances between them.

    ``flip``, ``amp``, ``compile``, ``batch_size``, ``device``: as in ``encode_split``.
    ``rerank``: True, or the k1, k2, lambda_ of ``rerank.k_reciprocal``. ``aqe``: number of gallery
    images for average query expansion. ``protocol``: "market1501", "cuhk03", "partial" as in
    ``score``, "tracklet" (one encoding per tracklet, then as "market1501") or "single-shot" (100
    draws of one gallery image per identity, CUHK03's old protocol); default: the dataset's.
    ``frames``, ``sampling``, ``groups``, ``frame_norm``, ``frame_seed``, ``short``: how the frames
    of a tracklet become its encoding (``video.Pooling``); by default the mean over all of them;
    ``compare``: how two are compared.
    ``swap``: query and gallery change places. ``pad``: query images keep their proportions, in the
    middle of the mean colour (``data.bank.padded_bank``), instead of filling the size.
    ``query_bank``, ``gallery_bank``: the images of the dataset's splits at ``model.size``, which
    saves decoding them again, or what the model made of them (``Encoded``), which saves encoding
    them again. Junk is not encoded, nor are frames that are not sampled.
    A dataset of several test sets (``Dataset.test_sets``) is ranked one after the other. A model
    with ``own_size`` is given what boxes keep of images as large as that is.
    """
    asked = {k: v for k, v in locals().items() if k in options_of(evaluate)}
    if len(several := dataset.test_sets) > 1:
        if query_bank is not None or gallery_bank is not None:
            raise ReidError("a bank holds one test set, not several: leave banks out")
        return Metrics.joined([evaluate(model, some, **asked) for some in several])
    if not (hasattr(model, "encode") and hasattr(model, "size")):
        raise ReidError(
            f"{type(model).__name__} is no re-identification model: wrap it, "
            "reidlib.models.wrap(network, size=(256, 128))"
        )
    protocol = protocol or dataset.protocol
    if protocol not in (known := (*PROTOCOLS, "tracklet", "single-shot")):
        raise ReidError(f'unknown protocol "{protocol}"{nearest(protocol, known)}')
    pooling = Pooling(frames, sampling, groups, frame_norm, frame_seed, short, compare)
    if protocol != "tracklet" and pooling != Pooling():
        raise ReidError(
            "frames, sampling, groups, frame_norm, frame_seed, short and compare are for "
            f'protocol="tracklet", not "{protocol}"'
        )
    if compare == "pairs" and (own_distance(model) or rerank or rerank == {} or aqe is not None):
        raise ReidError(
            'compare="pairs" is a distance between features: it goes with no other distance, '
            "re-ranking or query expansion"
        )
    if compile:
        forget()
    banks = (query_bank, gallery_bank)
    if pad and query_bank is not None:
        raise ReidError("pad reads the query images itself: leave query_bank out")
    plain = not rerank and rerank != {} and aqe is None
    only = compared(model) if plain else None
    streamed = plain and own_distance(model) and compile is None
    sides: list[Any] = []
    tables = []
    for split, bank in zip((dataset.query, dataset.gallery), banks, strict=True):
        if bank is not None and (len(bank) != len(split) or tuple(bank.size) != tuple(model.size)):
            raise ReidError(
                f"the bank holds {len(bank)} images of {tuple(bank.size)}, "
                f"the split {len(split)} and the model takes {tuple(model.size)}"
            )
        wanted = np.flatnonzero(split["pid"] != -1)
        if not len(wanted):
            side = ("query", "gallery")[len(sides)]
            raise ReidError(f"the {side} of {dataset.name} has no images but junk: nothing to rank")
        planned = plan(split.iloc[wanted], pooling) if protocol == "tracklet" else None
        if planned:
            wanted = wanted[planned.rows]
        table = split.iloc[wanted]
        rows = torch.from_numpy(wanted) if planned or len(wanted) < len(split) else None
        own_size = getattr(model, "own_size", False) and "box" in table.columns
        if own_size and (bank is not None or pad or planned):
            raise ReidError(
                f"{type(model).__name__} takes what boxes keep in its own size: leave banks, pad "
                "and tracklets out"
            )
        if bank is None and not own_size:
            where = device if device is not None else device_of(model)
            if pad and not sides:
                bank = padded_bank(table, model.size)
            else:
                bank = ImageBank.from_split(table, model.size, where)
            rows = torch.arange(len(table)) if planned else None
        rows = None if own_size else rows
        source: Any = (encode_cut, model, table) if own_size else (encode_split, model, bank)
        encode = bank.encode if isinstance(bank, Encoded) else partial(
            *source, flip=flip, batch_size=batch_size, device=device, amp=amp, compile=compile,
            only=only,
        )  # fmt: skip
        if planned:
            sides.append(planned.encode(encode, rows, only=compared(model)))
            table = planned.table
        elif streamed and len(sides) == (0 if swap else 1):
            sides.append(_in_blocks(encode, torch.arange(len(table)) if rows is None else rows))
        else:
            sides.append(encode(rows=rows))
        tables.append(table)
    if swap:
        sides.reverse()
        tables.reverse()
    found: Tensor | Iterable[Tensor]
    if compare == "pairs":
        found = pair_distances(sides[0]["feature"], sides[1]["feature"], groups)
    elif isinstance(sides[1], dict):
        found = distances(model, *sides, rerank=rerank, aqe=aqe)
    else:
        found = distance_columns(model, sides[0], sides[1], amp)
    query, gallery = tables
    labels = query["pid"], gallery["pid"], query["cam"], gallery["cam"]
    if protocol == "single-shot":
        return single_shot(found, *labels, max_rank)
    protocol = "market1501" if protocol == "tracklet" else protocol
    return score(found, *labels, max_rank, protocol=protocol)


def distances(
    model: ReIDModel,
    query: Encoding,
    gallery: Encoding,
    *,
    rerank: bool | Mapping[str, float] | None = None,
    aqe: int | None = None,
) -> Tensor | Iterable[Tensor]:
    """Distances for ``score`` between two encodings: row blocks, or [Q,G] if re-ranked.

    Re-ranking and query expansion compare L2-normalised features. A model with a distance of its
    own must say which features these are (``rerank_features(encoding) -> [N,D]``), else this
    raises ReidError: re-ranking would quietly replace its distance by the cosine.
    """
    if not rerank and rerank != {} and aqe is None:
        return distance_blocks(model, query, gallery)
    with evaluating(model):
        a, b = _features(model, query), _features(model, gallery)
        if aqe is not None:
            a = reranking.average_query_expansion(a, b, k=aqe)
        if not rerank and rerank != {}:
            return cosine_blocks(a, b)
        given = rerank if isinstance(rerank, Mapping) else {}
        options = check_options(given, options_of(reranking.k_reciprocal), "rerank")
        return reranking.k_reciprocal(a, b, **options)


def own_distance(model: ReIDModel) -> bool:
    """Whether it compares images by another distance than the cosine of their features: by
    encodings so large that those of a gallery are not held together."""
    return type(model).distance is not ReIDModel.distance


def compared(model: ReIDModel) -> tuple[str, ...] | None:
    """The entries of an encoding that a distance is made of; None: perhaps all."""
    return None if own_distance(model) or hasattr(model, "rerank_features") else ("feature",)


def _in_blocks(encode: Callable[..., Encoding], rows: Tensor) -> Iterator[Encoding]:
    """The encodings of the images ``rows``, GALLERY at a time."""
    for some in rows.split(GALLERY):
        yield encode(rows=some)


def _features(model: ReIDModel, encoding: Encoding) -> Tensor:
    features = getattr(model, "rerank_features", None)
    if callable(features):
        return F.normalize(features(encoding))
    if own_distance(model):
        raise ReidError(
            f"{type(model).__name__} compares images by a distance of its own, which re-ranking "
            "and query expansion from features cannot follow: evaluate without them"
        )
    return F.normalize(encoding["feature"])
