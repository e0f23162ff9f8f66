"""Ranked lists: the query, then what the model holds to be nearest."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from reidlib.data import Dataset
from reidlib.data.decode import decode
from reidlib.visualize.people import TILE
from reidlib.visualize.style import QUERY, RIGHT, WRONG, framed, mosaic, rgb, show


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
    axes.set_title("Query (black) and nearest gallery images (green: same identity, red: another)")
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
