"""Do stripes show the parts they are meant for? Measured where the true box of the body is known.

Rows are y in [-1, 1] of the image a model is given. The body's box may reach beyond: what a
detector's box cuts off is in no stripe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.data.batches import Batch
from reidlib.data.dataset import boxes
from reidlib.errors import ReidError
from reidlib.losses import hardest
from reidlib.models.base import evaluating
from reidlib.models.receptive import edges
from reidlib.papers.rmgl.model import RMGL, Maps
from reidlib.papers.rmgl.receptive import row_centres
from reidlib.papers.rmgl.stripes import activation_shares, balanced_cuts, equal_cuts

if TYPE_CHECKING:
    from reidlib.data import Dataset
    from reidlib.train.store import Run

Parts = Literal["equal", "named"]


def stripe_share(cuts: Tensor, intended: Tensor) -> Tensor:
    """Share [N, n] in [0, 1] of each stripe's rows that lie on its intended part.

    cuts [N, n + 1], ascending: stripe k lies between cuts k and k + 1. intended [N, n, 2]: first
    and last y of each part.
    """
    top = torch.maximum(cuts[:, :-1], intended[..., 0])
    bottom = torch.minimum(cuts[:, 1:], intended[..., 1])
    return (bottom - top).clamp(min=0) / (cuts[:, 1:] - cuts[:, :-1])


def intended_parts(split: pd.DataFrame, n: int, parts: Parts = "equal") -> Tensor:
    """What each of ``n`` stripes is meant to show: first and last y [N, n, 2].

    "equal": the k-th of n equal parts of the body's height. "named", for two stripes: the upper
    body down to the torso's hem, and the rest. (No three parts that can be named have a similar
    height, so there is none for three.)
    """
    body = boxes(split, "body")
    if parts == "equal":
        at = torch.arange(n + 1) / n
        edges = body[:, 1, None] + (body[:, 3] - body[:, 1])[:, None] * at
    elif n == 2:
        edges = torch.stack([body[:, 1], boxes(split, "torso")[:, 3], body[:, 3]], 1)
    else:
        raise ReidError(f'parts="named" is for two stripes, not {n}: use parts="equal"')
    return torch.stack([edges[:, :-1], edges[:, 1:]], 2)


def _edges(model: RMGL, maps: Maps, branch: int, path: str, height: int, balanced: bool) -> Tensor:
    """Of one batch of images with ``height`` rows: [N, n + 1] in [-1, 1]."""
    last, n = maps[branch, path], model.stripes[branch]
    ends = edges(row_centres(model, n, path, height), height)  # of the map's rows
    rows = last.shape[2]
    cuts = balanced_cuts(last, n).cpu() if balanced else rows * torch.arange(n + 1)[None] / n
    found = np.interp(cuts, np.arange(rows + 1), 2 * ends / height - 1)
    return torch.from_numpy(found).float().expand(len(last), -1)


def _maps(model: RMGL, images: Tensor, batch_size: int) -> Iterator[Maps]:
    for batch in images.split(batch_size):
        with evaluating(model):
            yield model.maps(batch)


def stripe_edges(
    model: RMGL, images: Tensor, branch: int, path: str, balanced: bool, *, batch_size: int = 64
) -> Tensor:
    """Where the stripes of a branch's last map begin and end in each image: y [N, n + 1].

    images [N, 3, H, W] normalised. path: "original" or "receptive". balanced: cut by activation
    balanced pooling (RMGL Eq. 10), else into equal stripes.
    """
    maps = _maps(model, images, batch_size)
    height = images.shape[2]
    return torch.cat([_edges(model, found, branch, path, height, balanced) for found in maps])


def balance(model: RMGL, images: Tensor, branch: int, path: str = "original") -> dict[str, Tensor]:
    """Share of the channels' maxima that lies in each stripe, for equal and for balanced stripes.

    images [N, 3, H, W] normalised, on the model's device. Name of the cut -> [N, n] in [0, 1];
    every row sums to 1 (RMGL Eqs. 8 to 10).
    """
    n = model.stripes[branch]
    found: dict[str, list[Tensor]] = {"equal stripes": [], "balanced stripes": []}
    for maps in _maps(model, images, 64):
        last = maps[branch, path]
        for name, cuts in zip(found, (equal_cuts(last, n), balanced_cuts(last, n)), strict=True):
            found[name].append(activation_shares(last, cuts).cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def learned(rows: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """How far each row had come when its training ended, the mean over its runs; rows that share
    their runs are one line, named by the first.

    "training accuracy": of its classifiers on training batches as the row augments them, percent,
    over the last tenth of its log; "identity loss": the last, in percent of chance's
    (``verdict.chance_share``); "epochs": how often each training image was seen.
    """
    table, known = {}, set()
    for name, runs in rows.items():
        same = tuple(run.fingerprint for run in runs)
        if same in known:
            continue
        known.add(same)
        logs = [run.history for run in runs]
        ends = [log["accuracy"].tail(max(1, len(log) // 10)).mean() for log in logs]
        table[name] = {
            "training accuracy": 100 * np.mean(ends),
            "identity loss": 100 * np.mean([run.chance_share for run in runs]),
            "epochs": np.mean([log["epoch"].iloc[-1] for log in logs]),
        }
    return pd.DataFrame(table).T.rename_axis("row")


def margins(run: Run, values: Sequence[float], *, batches: int = 8) -> pd.DataFrame:
    """Does the triplet loss's margin act? What Eq. 3 finds in a run's first training batches, at
    its first step and with its trained weights: one row each for every branch.

    Distances are between features as training has them: not normalised, with the batch's own batch
    norm. "farthest positive", "nearest negative": the means over the anchors; "m = 0.6" for each of
    ``values``: percent of the anchors that the loss with that margin still moves. Where these
    columns are alike, the margin decides nothing.
    """
    from reidlib.data import ImageBank
    from reidlib.train.build import build_batches, started_model

    bank = ImageBank.from_split(run.recipe.load_dataset().train, run.recipe.size)
    some = [build_batches(run.recipe, bank)(step) for step in range(batches)]
    table = {}
    for when, model in {"first step": started_model(run), "trained": run.load_model()}.items():
        if not isinstance(model, RMGL):
            raise ReidError(f"{type(model).__name__} has no branches to measure: use an RMGL")
        for n, (positive, negative) in zip(model.stripes, _hardest(model, some), strict=True):
            row = {"farthest positive": positive.mean(), "nearest negative": negative.mean()}
            row |= {f"m = {m:g}": 100 * (m + positive > negative).float().mean() for m in values}
            table[f"{n}-stripe, {when}"] = {name: float(value) for name, value in row.items()}
    return pd.DataFrame(table).T.rename_axis("branch")


def _hardest(model: RMGL, batches: Sequence[Batch]) -> list[tuple[Tensor, Tensor]]:
    """``losses.hardest`` of each branch over all anchors of the batches, in training mode."""
    found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in model.stripes]
    model.train()
    with torch.no_grad():
        for batch in batches:
            for branch, feature in zip(found, model.features(batch.images), strict=True):
                branch.append(hardest(feature.flatten(1), batch.label))
    return [(torch.cat([p for p, _ in b]), torch.cat([n for _, n in b])) for b in found]


def alignment_table(
    source: Run | RMGL, dataset: Dataset, parts: Parts = "equal", *, batch_size: int = 64
) -> pd.DataFrame:
    """How well equal and balanced stripes meet the body's parts in the query images.

    One row a branch, path and partition. stripes, branch, path; partition: "uniform" or
    "balanced"; share, sd: of a stripe's rows on its intended part (``stripe_share``), the mean over
    stripes, then mean and standard deviation over images; cut_spread: standard deviation over
    images of where the inner cuts lie on the body, in heights of the body (0: always at the same
    part; mean over the cuts), whatever part that is; images: their number.
    Branches that ``parts="named"`` does not suit are left out.
    """
    from reidlib.data import ImageBank

    model = source if isinstance(source, RMGL) else source.load_model()
    if not isinstance(model, RMGL):
        raise ReidError(f"{type(model).__name__} has no stripes to measure: use an RMGL")
    body = boxes(dataset.query, "body")
    bank = ImageBank.from_split(dataset.query, model.size)
    device = next(model.parameters()).device
    found: dict[tuple[int, str, str], list[Tensor]] = {}
    for rows in bank.blocks(batch_size):
        for maps in _maps(model, bank.images(rows).to(device), batch_size):
            for branch, path in maps:
                for name in ("uniform", "balanced"):
                    cuts = _edges(model, maps, branch, path, model.size[0], name == "balanced")
                    found.setdefault((branch, path, name), []).append(cuts)
    table = []
    for (branch, path, name), batches in found.items():
        cuts, n = torch.cat(batches), model.stripes[branch]
        if parts == "named" and n != 2:
            continue
        share = stripe_share(cuts, intended_parts(dataset.query, n, parts)).mean(1)
        on_body = (cuts[:, 1:-1] - body[:, 1, None]) / (body[:, 3] - body[:, 1])[:, None]
        table.append(
            {
                "branch": branch,
                "stripes": n,
                "path": path,
                "partition": name,
                "parts": parts,
                "share": float(share.mean()),
                "sd": float(share.std()),
                "cut_spread": float(on_body.std(0).mean()) if n > 1 else float("nan"),
                "images": len(share),
            }
        )
    return pd.DataFrame(table)
