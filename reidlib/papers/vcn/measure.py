"""Does a spatial transformer undo the detector's error? Measured where the true box is known.

The *true correction* of an image is the theta that puts the body where a perfect detector would
have: into NOMINAL. Its factors are those of VCN Eq. 1, (s_w, s_h, t_w, t_h); nothing of it is ever
shown to a model. A network may settle on another frame of its own, the same for all images: then
its factors still go with the true ones (correlation), the boxes still agree with one another (their
median box), but not with NOMINAL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.data.dataset import boxes
from reidlib.data.drawn.synthetic import NOMINAL
from reidlib.errors import ReidError
from reidlib.evaluate.compare import bootstrap
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.verdict import Claim
from reidlib.geometry import (
    box_iou,
    box_to_theta,
    collapsed,
    compose,
    identity,
    invert,
    transform_box,
)

if TYPE_CHECKING:
    from reidlib.data import Dataset
    from reidlib.models import ReIDModel
    from reidlib.train.store import Run

FACTORS = ("s_w", "s_h", "t_w", "t_h")
UNMOVED = (1.0, 1.0, 0.0, 0.0)

# Vertical kernels are learned once training has moved them by half of the size they began with.
LEARNED = 0.5


def true_correction(split: pd.DataFrame) -> Tensor:
    """The theta [N, 2, 3] that takes each image of ``split`` to the box a perfect detector gives.

    Raises ReidError for a dataset that has no true boxes.
    """
    body = boxes(split, "body")
    nominal = torch.tensor(NOMINAL).expand_as(body)
    return compose(box_to_theta(body), invert(box_to_theta(nominal)))


def factors(theta: Tensor) -> Tensor:
    """s_w, s_h, t_w, t_h [N, 4] of a theta [N, 2, 3]; the identity has 1, 1, 0, 0."""
    return torch.stack([theta[:, 0, 0], theta[:, 1, 1], theta[:, 0, 2], theta[:, 1, 2]], 1)


def error_size(theta: Tensor) -> Tensor:
    """How large a correction is, [N]: the smallest eps whose ranges (VCN Eq. 2) contain it."""
    return (factors(theta) - theta.new_tensor(UNMOVED)).abs().amax(1)


def corrections(model: ReIDModel, dataset: Dataset, *, batch_size: int = 128) -> pd.DataFrame:
    """What a model's transformer does to each query image, beside what it should do; a line each.

    For each of FACTORS its value and, with ``_true`` added, the true one; eps (learned; NaN for the
    original STN) and eps_true (``error_size``); iou_before, iou_after: of the body's box with
    NOMINAL in the image as it is and as the transformer shows it; own_before, own_after: with the
    median of these boxes, which is what counts if the network has a frame of its own. A transformer
    that shows a line or a point of the image shows no box: IoU 0.
    Raises ReidError for a model without a spatial transformer, and without true boxes.
    """
    from reidlib.data import ImageBank

    truth, body = true_correction(dataset.query), boxes(dataset.query, "body")
    found = encode_split(
        model, ImageBank.from_split(dataset.query, model.size), batch_size=batch_size
    )
    if "theta" not in found:
        raise ReidError(f"this {type(model).__name__} has no spatial transformer to measure")
    theta = found["theta"].cpu().float()
    flat = collapsed(theta)
    moved = transform_box(torch.where(flat[:, None, None], identity(len(theta)), theta), body)
    own = moved[~flat].median(0).values if not flat.all() else torch.tensor(NOMINAL)
    columns = {
        **dict(zip(FACTORS, factors(theta).T, strict=True)),
        **{f"{k}_true": v for k, v in zip(FACTORS, factors(truth).T, strict=True)},
        "eps": found["eps"].cpu().float() if _learns(model) else torch.full((len(theta),), np.nan),
        "eps_true": error_size(truth),
        "iou_before": box_iou(body, torch.tensor(NOMINAL)),
        "iou_after": box_iou(moved, torch.tensor(NOMINAL)).where(~flat, 0),
        "own_before": box_iou(body, body.median(0).values),
        "own_after": box_iou(moved, own).where(~flat, 0),
    }
    return pd.DataFrame({name: values.numpy() for name, values in columns.items()})


def _learns(model: ReIDModel) -> bool:
    return getattr(model.transformer, "kind", "") in ("self", "wide")


def learned_eps(runs: Sequence[Run]) -> float:
    """The eps that SC-STN allowed itself at the end of training, mean over seeds, two digits."""
    return round(float(np.mean([run.history["eps"].iloc[-1] for run in runs])), 2)


def sampling_gmacs(model: Any) -> float:
    """Billions of multiply-accumulates of moving one image's map, four for each value, which
    torch's counter leaves out."""
    cells = model.transformer.fc1.in_features
    return float(4 * model.backbone.out_channels * cells / 1e9)


def first_kernels(run: Run) -> Tensor:
    """The vertical kernels [C, K, H] that a run began with."""
    from reidlib.train.build import started_model

    model: Any = started_model(run)
    kernels: Tensor = model.spatial_head.kernels.detach()
    return kernels


def kernel_change(runs: Sequence[Run]) -> np.ndarray:
    """How far training moved the vertical kernels, a value a seed: the mean absolute difference of
    their values to those they began with, over the mean size of these."""
    found = []
    for run in runs:
        model: Any = run.load_model()
        first, last = first_kernels(run), model.spatial_head.kernels.detach().float().cpu()
        found.append(float((last - first).abs().mean() / first.abs().mean()))
    return np.array(found)


def judged(found: Sequence[Claim], moved: float) -> list[Claim]:
    """Claims on what vertical kernels do: too short to judge, with a note, if training moved the
    kernels of some row and seed by less than ``LEARNED`` of their size (``moved``, the least
    ``kernel_change``). Kernels that begin as a mean and stay near it are a second pooled feature,
    whatever its rows gain or lose."""
    if moved >= LEARNED:
        return list(found)
    note = f"kernels moved by {100 * moved:.0f} % of their size"
    return [
        replace(
            claim, verdict="too short to judge", note="; ".join(filter(None, [claim.note, note]))
        )
        for claim in found
    ]


def all_corrections(runs: Mapping[str, Sequence[Run]], dataset: Dataset) -> pd.DataFrame:
    """``corrections`` of several rows of a table and their seeds, with the columns row and seed."""
    return pd.concat(
        [
            corrections(run.load_model(), dataset).assign(row=row, seed=run.recipe.seed)
            for row, seeds in runs.items()
            for run in seeds
        ],
        ignore_index=True,
    )


def missed(images: pd.DataFrame, row: str, column: str) -> np.ndarray:
    """What a row's boxes do not share, in percent of their union: 100 (1 - IoU) [S, N] of seeds and
    images, from a column of ``measure``'s table."""
    seeds = images[images["row"] == row].groupby("seed", sort=False)[column]
    return 100 * (1 - np.stack([part.to_numpy() for _, part in seeds]))


def recovery(images: pd.DataFrame) -> pd.DataFrame:
    """How well each factor, and eps, is recovered: a line each row, seed and quantity.

    correlation (Pearson) over images with low and high (95 %, by Fisher's z; NaN where a value is
    the same for all images), error: mean absolute difference to the truth, untouched: the same if
    nothing were moved (for eps: 0 in its place), sd and sd_true, images.
    """
    lines = []
    for (row, seed), group in images.groupby(["row", "seed"], sort=False):
        for name in (*FACTORS, "eps"):
            found, true = group[name], group[f"{name}_true"]
            rest = 1.0 if name.startswith("s") else 0.0
            r, low, high = correlation(found.to_numpy(), true.to_numpy())
            lines.append(
                {
                    "row": row,
                    "seed": seed,
                    "quantity": name,
                    "correlation": r,
                    "low": low,
                    "high": high,
                    "error": (found - true).abs().mean(),
                    "untouched": (rest - true).abs().mean(),
                    "sd": found.std(),
                    "sd_true": true.std(),
                    "images": len(group),
                }
            )
    return pd.DataFrame(lines)


def correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Pearson's r of two series and its 95 % interval by Fisher's z; NaN if one is constant."""
    if len(a) < 4 or not np.isfinite(a).all() or min(a.std(), b.std()) < 1e-6:
        return float("nan"), float("nan"), float("nan")
    r = float(np.corrcoef(a, b)[0, 1])
    z, reach = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)), 1.96 / np.sqrt(len(a) - 3)
    return r, float(np.tanh(z - reach)), float(np.tanh(z + reach))


def overlaps(images: pd.DataFrame) -> pd.DataFrame:
    """Mean box IoUs of ``corrections`` over images: a line each row and seed."""
    columns = ["iou_before", "iou_after", "own_before", "own_after"]
    return images.groupby(["row", "seed"], sort=False)[columns].mean().reset_index()


def conclusion(images: pd.DataFrame, people: Any) -> str:
    """What each transformer does, a sentence a row: which shift it finds, and whether a body lies
    nearer to a perfect detector's place than in an untouched image (95 % interval over ``people``
    [N] and seeds)."""
    found, lines = recovery(images), []
    for row in dict.fromkeys(images["row"]):
        r = found[found["row"] == row].groupby("quantity").correlation
        untouched, moved = (missed(images, row, f"iou_{x}") for x in ("before", "after"))
        change = bootstrap(moved, people, minus=untouched)
        where = "nearer to" if change.value < 0 else "farther from"
        if change.low <= 0 <= change.high:
            where = "neither nearer to nor farther from"
        lines.append(
            f"{row}: its vertical shift goes with the true one by r = {_range(r.get_group('t_h'))},"
            f" the horizontal one by r = {_range(r.get_group('t_w'))}. Bodies lie {where} a perfect"
            f" detector's place than in untouched images: {moved.mean():.1f} % of the boxes' union"
            f" is not shared, untouched {untouched.mean():.1f} %"
            f" ({change.value:+.1f} [{change.low:+.1f}, {change.high:+.1f}])."
        )
    return "\n".join(lines)


def _range(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return "nothing (it is the same for all images)"
    ends = f" ({values.min():.2f} to {values.max():.2f} over {len(values)} seeds)"
    return f"{values.mean():.2f}{ends if len(values) > 1 else ''}"


def summary(images: pd.DataFrame) -> pd.DataFrame:
    """``recovery`` and ``overlaps`` for a reader: a line a row, means over seeds ± their standard
    deviation, as text. Errors and untouched are of the four factors together."""
    found, boxed = recovery(images), overlaps(images)
    moved = found[found.quantity != "eps"]
    lines: dict[object, dict[str, str]] = {}
    for row, group in found.groupby("row", sort=False):
        own, box = moved[moved.row == row].groupby("seed"), boxed[boxed.row == row]
        lines[row] = {
            **{f"r {name}": _mean(part.correlation) for name, part in
               group.groupby("quantity", sort=False)},
            "error": _mean(own.error.mean(), 3),
            "untouched": _mean(own.untouched.mean(), 3),
            **{name: _mean(100 * box[column], 1) for name, column in (
                ("IoU before", "iou_before"), ("after", "iou_after"),
                ("own frame before", "own_before"), ("own frame after", "own_after"))},
        }  # fmt: skip
    return pd.DataFrame(lines).T.rename_axis("transformer")


def _mean(values: pd.Series, digits: int = 2) -> str:
    values = values.dropna()
    if values.empty:
        return "–"
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"
