"""Ranked lists of several models for the same queries (VCN Fig. 7, SCR Fig. 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor

from reidlib.data import Dataset, ImageBank
from reidlib.evaluate.encode import encode_split
from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating
from reidlib.visualize.ranking import allowed_distance, list_tiles
from reidlib.visualize.style import mosaic, show


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
    green where the identity is right, red where not.

    queries: positions in ``dataset.query``; those that only the second of two models gets right
    are in ``compare(first, second, "rank1").changes`` with the difference 1. flip: the evaluation's
    choice, so that lists and metrics agree. What the protocol ignores is left out.
    """
    rows = {}
    for name, model in models.items():
        distance = query_distances(model, dataset, queries, flip)
        rows[name] = list_tiles(allowed_distance(distance, dataset, queries), dataset, queries, top)
    columns = min(2, len(queries))
    lines = -(-len(queries) // columns)
    figure, axes = plt.subplots(
        lines, columns, layout="constrained", squeeze=False,
        figsize=(columns * ((top + 1) * 0.72 + 0.9), lines * (len(models) * 1.38 + 0.35)),
    )  # fmt: skip
    for axis in axes.flat[len(queries) :]:
        axis.set_axis_off()
    for k in range(len(queries)):
        axis = axes.flat[k]
        tiles = [found[k] for found in rows.values()]
        picture = mosaic(tiles, gap=6)
        show(axis, picture)
        step = picture.shape[0] / len(rows)
        for row, name in enumerate(rows):
            axis.text(-6, (row + 0.5) * step, name, rotation=90, ha="right", va="center",
                      fontsize="small")  # fmt: skip
        axis.set_title(captions[k] if captions else f"query {queries[k]}", fontsize="small")
    figure.supxlabel(
        "query (black) and nearest gallery images (green: same identity, red: another)",
        fontsize="small",
    )
    return figure
