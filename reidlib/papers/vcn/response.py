"""How much of a map's response lies on the person, where the true boxes of its parts are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from reidlib.data.dataset import boxes
from reidlib.data.drawn.people.figure import PARTS
from reidlib.models.base import device_of, evaluating
from reidlib.models.receptive import overlay, receptive_field

if TYPE_CHECKING:
    from reidlib.data import Dataset
    from reidlib.models import ReIDModel


def coverage(box: Tensor, shape: tuple[int, int]) -> Tensor:
    """Share [N, H, W] in [0, 1] of each pixel of an image of ``shape`` in ``box`` [N, 4]."""
    sides = []
    for cells, low, high in ((shape[0], box[:, 1], box[:, 3]), (shape[1], box[:, 0], box[:, 2])):
        edges = torch.linspace(-1, 1, cells + 1)
        start = torch.maximum(edges[:-1], low[:, None])
        end = torch.minimum(edges[1:], high[:, None])
        sides.append((end - start).clamp(min=0) * cells / 2)
    return sides[0][:, :, None] * sides[1][:, None, :]


def person_mask(split: pd.DataFrame, shape: tuple[int, int]) -> Tensor:
    """How far each pixel [N, H, W] shows the person: the most that a part covers of it."""
    parts = [coverage(boxes(split, part), shape) for part in PARTS]
    return torch.stack(parts).amax(0)


def person_share(model: ReIDModel, dataset: Dataset, *, batch_size: int = 128) -> Tensor:
    """Shares [N, 2] for each query: of the last map's response (mean over channels) on the person,
    and of the image's area, which is the share of a map that answers alike everywhere.

    The response is laid over the image with every cell at its place (``models.receptive``).
    """
    from reidlib.data import ImageBank

    bank = ImageBank.from_split(dataset.query, model.size)
    backbone: Any = model.backbone
    field, found = receptive_field(backbone), []
    for rows in bank.blocks(batch_size):
        with evaluating(model):
            found.append(backbone(bank.images(rows).to(device_of(model))).mean(1).cpu())
    maps = overlay(torch.cat(found), field, model.size)
    mask = person_mask(dataset.query, model.size)
    total = maps.sum((1, 2)).clamp(min=1e-12)
    return torch.stack([(maps * mask).sum((1, 2)) / total, mask.mean((1, 2))], 1)


def person_table(models: Mapping[str, ReIDModel], dataset: Dataset) -> pd.DataFrame:
    """``person_share`` of several models in percent, mean and standard deviation over the queries;
    the first line is the person's share of the area."""
    shares = {name: 100 * person_share(model, dataset) for name, model in models.items()}
    area = next(iter(shares.values()))[:, 1]
    lines = {"the person's area": area} | {name: share[:, 0] for name, share in shares.items()}
    return pd.DataFrame(
        {name: {"mean": float(v.mean()), "sd": float(v.std())} for name, v in lines.items()}
    ).T.rename_axis("map")
