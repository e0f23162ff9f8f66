"""Partial probes of PPCL's tables and figures: what its gate knows of them, and their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from reidlib.data import Dataset, ImageBank
from reidlib.data.partial import kept
from reidlib.errors import ReidError
from reidlib.evaluate.compare import summary
from reidlib.papers.ppcl.measure import rectified_boxes
from reidlib.papers.ppcl.model import PPCL
from reidlib.papers.ppcl.rectifier import GLRec


def gate_right(
    models: Sequence[GLRec | PPCL],
    split: pd.DataFrame,
    dataset: Dataset,
    shares: Sequence[float] = (0.2, 0.4, 0.6, 0.8),
) -> dict[float, Tensor]:
    """Whether each model's gate (one a seed) tells what each image of ``split`` is: 0 or 1 [S, N],
    by the share that is kept of it; 1: whole. ``dataset`` gives the rest of what is cut."""
    found = {}
    for share in [*shares, 1.0]:
        table = kept(dataset.but(query=split.reset_index(drop=True)), share).query
        bank = ImageBank.from_split(table, models[0].size)
        images = bank.images(slice(0, len(bank)))
        eta = torch.stack([rectified_boxes(model, images)[1] for model in models])
        found[share] = ((eta >= 0.5) == (share < 1)).float()
    return found


def gate_table(right: Mapping[float, Tensor], people: pd.Series) -> pd.DataFrame:
    """How often the gate tells partial images from whole ones: what ``gate_right`` found on images
    of ``people`` [N].

    Columns: kept (the share, 1: whole), right (mean over the models), sd (over them), low, high
    (95 %, see ``compare.summary``), n (models).
    """
    lines = [{"kept": share, **summary(some, people)} for share, some in right.items()]
    return pd.DataFrame(lines).rename(columns={"mean": "right"})


def balanced(right: Mapping[float, Tensor]) -> Tensor:
    """Of each model and image [S, N] the share of ``gate_right`` that is right; partial and whole
    count as much."""
    partial = [some for share, some in right.items() if share < 1]
    return (torch.stack(partial).mean(0) + right[1.0]) / 2


def with_references(
    dataset: Dataset, queries: Sequence[int], size: tuple[int, int], n: int = 3
) -> tuple[Tensor, Tensor]:
    """Some queries and, of each, ``n`` references: images of the same person, by other cameras
    first, and as the last one (if n > 1) an image of the next person.

    Returns images [Q, 3, H, W] and [Q, n, 3, H, W], normalised. Where the gallery has too few
    images of the person, some are repeated. Raises ReidError if it has none.
    """
    people = dataset.gallery[dataset.gallery["pid"] > 0]
    pids = sorted(people["pid"].unique())
    chosen = []
    for pid, cam in dataset.query.iloc[list(queries)][["pid", "cam"]].itertuples(index=False):
        own = people[people["pid"] == pid]
        if own.empty:
            raise ReidError(f"identity {pid} has no gallery image to refer to")
        own = pd.concat([own[own["cam"] != cam], own[own["cam"] == cam]])
        other = people[people["pid"] == pids[(pids.index(pid) + 1) % len(pids)]]
        same = max(1, n - 1)
        chosen += [own.iloc[[i % len(own) for i in range(same)]], other[: n - same]]
    table = pd.concat(chosen).reset_index(drop=True)
    probes = dataset.query.iloc[list(queries)].reset_index(drop=True)
    one, many = (ImageBank.from_split(x, size).images(slice(0, len(x))) for x in (probes, table))
    return one, many.unflatten(0, (len(probes), n))
