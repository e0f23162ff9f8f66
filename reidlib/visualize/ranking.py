"""Ranked lists: the query, then what one or several models hold to be nearest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from reidlib.data import Dataset, ImageBank
from reidlib.data.decode import decode
from reidlib.evaluate.encode import encode_split
from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating
from reidlib.visualize.images import RGB, TILE, framed, mosaic, show
from reidlib.visualize.style import DARK, side

RIGHT, WRONG, QUERY = "#2a9d4a", "#d1352b", DARK  # borders of the images
WORDS = "query (black) and nearest gallery images (green: same identity, red: another)"


def rgb(colour: str) -> RGB:
    """``"#2a9d4a"`` as (42, 157, 74)."""
    red, green, blue = (round(255 * value) for value in to_rgb(colour))
    return red, green, blue


def ranked_lists(
    distance: Tensor, dataset: Dataset, queries: Sequence[int], top: int = 10
) -> Figure:
    """One row a query: query, then the ``top`` nearest gallery images, right green, wrong red.

    distance [len(queries), G]: the rows of these ``queries`` (positions in ``dataset.query``).
    What the protocol ignores (junk; with a camera filter, the query's id in its own camera) is
    left out.
    """
    rows = list_tiles(allowed_distance(distance, dataset, queries), dataset, queries, top)
    figure, axes = plt.subplots(figsize=((top + 1) * 0.75, len(rows) * 1.42), layout="constrained")
    show(axes, mosaic(rows))
    axes.set_title(WORDS.capitalize())
    return figure


def list_tiles(
    allowed: Tensor, dataset: Dataset, queries: Sequence[int], top: int
) -> list[list[np.ndarray]]:
    """For each query its image and the ``top`` nearest of the gallery, framed in their colours.

    allowed: of ``allowed_distance``, the rows of these ``queries``.
    """
    gallery = dataset.gallery
    boxes = gallery["box"].tolist() if "box" in gallery.columns else [None] * len(gallery)
    rows = []
    for row, position in zip(allowed, queries, strict=True):
        query = dataset.query.iloc[position]
        tiles = [framed(decode(query.path, TILE, query.get("box")), rgb(QUERY))]
        order = row.argsort(stable=True)[:top]
        for i in order[row[order] < torch.inf].tolist():
            colour = RIGHT if gallery.pid.iloc[i] == query.pid else WRONG
            tiles.append(framed(decode(gallery.path.iloc[i], TILE, boxes[i]), rgb(colour)))
        rows.append(tiles)
    return rows


def allowed_distance(distance: Tensor, dataset: Dataset, queries: Sequence[int]) -> Tensor:
    """``distance`` [len(queries), G] with what the protocol ignores set to infinity."""
    g_pid, g_cam = (torch.tensor(dataset.gallery[c].to_numpy(copy=True)) for c in ("pid", "cam"))
    ignored = (g_pid == -1).repeat(len(queries), 1)
    if dataset.protocol != "partial":
        asked = dataset.query.iloc[list(queries)]
        q_pid, q_cam = (torch.tensor(asked[c].to_numpy(copy=True)) for c in ("pid", "cam"))
        ignored |= (q_pid[:, None] == g_pid) & (q_cam[:, None] == g_cam)
    return distance.float().cpu().masked_fill(ignored, torch.inf)


def nearest_allowed(distance: Tensor, dataset: Dataset, queries: Sequence[int]) -> Tensor:
    """The nearest gallery image [len(queries)] of each query that the protocol does not ignore."""
    return allowed_distance(distance, dataset, queries).argmin(1)


def query_distances(
    model: ReIDModel, dataset: Dataset, queries: Sequence[int], flip: bool = False
) -> Tensor:
    """Distances [len(queries), G] of some queries to the whole gallery; flip: as ``evaluate``."""
    device = device_of(model)
    banks = [
        ImageBank.from_split(split, model.size, device)
        for split in (dataset.query.iloc[list(queries)], dataset.gallery)
    ]
    query, gallery = (encode_split(model, bank, flip=flip) for bank in banks)
    with evaluating(model):
        return model.distance(query, gallery).cpu()


def paired_lists(
    models: Mapping[str, ReIDModel],
    dataset: Dataset,
    queries: Sequence[int],
    top: int = 5,
    captions: Sequence[str] | None = None,
    flip: bool = False,
) -> Figure:
    """One panel a query: for each model a row of the query and its ``top`` nearest gallery images,
    green where the identity is right, red where not (VCN Fig. 7, SCR Fig. 4).

    queries: positions in ``dataset.query``; those that only the second of two models gets right
    are in ``compare(first, second, "rank1").changes`` with the difference 1. flip: the evaluation's
    choice, so that lists and metrics agree. What the protocol ignores is left out.
    """
    rows = []
    for model in models.values():
        distance = query_distances(model, dataset, queries, flip)
        rows.append(list_tiles(allowed_distance(distance, dataset, queries), dataset, queries, top))
    columns = min(2, len(queries))
    lines = -(-len(queries) // columns)
    figure, axes = plt.subplots(
        lines, columns, layout="constrained", squeeze=False,
        figsize=(columns * ((top + 1) * 0.72 + 0.9), lines * (len(models) * 1.38 + 0.35)),
    )  # fmt: skip
    for axis in axes.flat[len(queries) :]:
        axis.set_axis_off()
    for k, (query, axis) in enumerate(zip(queries, axes.flat, strict=False)):
        show(axis, mosaic([found[k] for found in rows], gap=6))
        for row, name in enumerate(models):
            side(axis, name, 1 - (row + 0.5) / len(models), x=-0.02)
        axis.set_title(captions[k] if captions else f"query {query}", fontsize="small")
    figure.supxlabel(WORDS, fontsize="small")
    return figure
