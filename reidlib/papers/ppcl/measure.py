"""Do PPCL's two modules find the true regions? Measured where these are known.

A pair (``stnreid.measure.make_pairs``) is a partial image and a holistic one, with the box of the
latter that shows what the former shows: in the same image the cut itself, in another one of an
embedded person the region that lies on the body as the cut does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.data import Dataset, ImageBank
from reidlib.data.partial import kept
from reidlib.errors import ReidError
from reidlib.evaluate.compare import bootstrap, summary
from reidlib.evaluate.verdict import Claim, judged, untestable
from reidlib.geometry import box_iou
from reidlib.models.base import device_of, evaluating
from reidlib.papers.ppcl.constraints import cycle_error
from reidlib.papers.ppcl.model import PPCL, in_image
from reidlib.papers.ppcl.pooling import frame
from reidlib.papers.ppcl.rectifier import GLRec
from reidlib.papers.stnreid.measure import Of, Pairs

Model = GLRec | PPCL
BATCH = 64  # images encoded at once
CLOSED = 1e-3  # mean cycle error below which regions return: by root mean square to 1.6 % of a side


def rectified_boxes(model: Model, images: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rectifier puts images [N, 3, H, W]: boxes [N, 4] of the frame (all of it where the
    gate says "whole"), and the gate's eta [N]. Raises ReidError for a PPCL without a rectifier."""
    rectifier = model if isinstance(model, GLRec) else model.rectifier
    if rectifier is None:
        raise ReidError("this model has no rectifier: its option rectify is not glrec")
    device = device_of(rectifier)
    with evaluating(rectifier):
        found = [rectifier.encode(some.to(device)) for some in images.split(BATCH)]
    return tuple(torch.cat([f[key] for f in found]).cpu() for key in ("box", "eta"))  # type: ignore[return-value]


def gate_accuracy(model: Model, pairs: Pairs) -> Tensor:
    """Of each pair [N] the share of its two images, partial and holistic, that the gate knows."""
    partial, whole = (rectified_boxes(model, x)[1] for x in (pairs.partial, pairs.holistic))
    return ((partial >= 0.5).float() + (whole < 0.5).float()) / 2


class Found(NamedTuple):
    """Boxes [N, 4] of the holistic images as they are, also where the gate took one for partial:
    the ``region`` that CRLoc finds, and the one ``fixed`` at GLRec's box of the probe. ``cycle``
    [N]: Eq. 11's error, on the way back into the rectified image: a test does not know the whole
    one."""

    region: Tensor
    fixed: Tensor
    cycle: Tensor


def found_regions(model: PPCL, pairs: Pairs) -> Found:
    """What CRLoc finds in all pairs. Raises ReidError without a locator."""
    found, device = [], device_of(model)
    with evaluating(model):
        for p, h in zip(pairs.partial.split(BATCH), pairs.holistic.split(BATCH), strict=True):
            query, reference = model.encode(p.to(device)), model.encode(h.to(device))
            there = model.regions(query, reference)
            back = model.regions({**reference, "box": there}, query)
            boxes = (in_image(box, reference["place"]) for box in (there, query["box"]))
            found.append((*boxes, cycle_error(back, query["box"])))
    return Found(*(torch.cat(parts).cpu() for parts in zip(*found, strict=True)))


def measures(model: Model | None, pairs: Pairs) -> dict[str, Tensor]:
    """What can be measured of a model on pairs, each [N].

    "rectified", "located", "fixed": IoU of GLRec's box, of CRLoc's region and of what it is at
    first (``Found``) with the true patch, all within the frame; without a model that of the whole
    frame. "gate": its accuracy. "cycle": squared error in the frame's units (its side is 2).
    """
    true = pairs.true.clamp(-1, 1)
    if model is None:
        whole = box_iou(frame(len(pairs), true.device), true)
        return {"rectified": whole, "located": whole, "fixed": whole}
    found = {}
    if isinstance(model, GLRec) or model.rectifier is not None:
        box, _ = rectified_boxes(model, pairs.partial)
        found["rectified"] = box_iou(box.clamp(-1, 1), true)
        found["gate"] = gate_accuracy(model, pairs)
    if isinstance(model, PPCL) and model.locator is not None:
        region, fixed, found["cycle"] = found_regions(model, pairs)
        found["located"] = box_iou(region.clamp(-1, 1), true)
        found["fixed"] = box_iou(fixed.clamp(-1, 1), true)
    return found


def region_table(models: Mapping[str, Sequence[Model]], pairs: Mapping[Of, Pairs]) -> pd.DataFrame:
    """Means of every row's models (one for each seed) on all kinds of pairs, tidy.

    Columns: row, of, measure (see ``measures``), mean, sd (over seeds, NaN for one), low, high
    (95 %), n (see ``compare.summary``). The first row is the whole frame.
    """
    lines = []
    rows: dict[str, Sequence[Model | None]] = {"whole frame": [None], **models}
    for of, some in pairs.items():
        for row, group in rows.items():
            each = [measures(model, some) for model in group]
            for name in each[0]:
                values = torch.stack([found[name] for found in each])
                lines.append({"row": row, "of": of, "measure": name, **summary(values, some.pid)})
    return pd.DataFrame(lines)


def cycle_table(model: PPCL, pairs: Pairs, parts: int = 4) -> pd.DataFrame:
    """Does a small cycle error mean a right region? Pairs sorted by it, in ``parts`` of one size.

    Columns: cycle (mean error), located (mean IoU), low, high (95 % bootstrap over the
    part's people), pairs (their number).
    """
    box, _, error = found_regions(model, pairs)
    iou = box_iou(box.clamp(-1, 1), pairs.true.clamp(-1, 1))
    lines = []
    for index in error.argsort().tensor_split(parts):
        _, low, high, *_ = bootstrap(iou[index], None if pairs.pid is None else pairs.pid[index])
        lines.append({"cycle": error[index].mean().item(), "located": iou[index].mean().item(),
                      "low": low, "high": high, "pairs": len(index)})  # fmt: skip
    return pd.DataFrame(lines)


def closes(models: Sequence[PPCL], pairs: Pairs) -> bool:
    """Whether the cycle of every model returns (``CLOSED``), so that to sort pairs by what is left
    of its error would be to sort rounding."""
    return all(found_regions(model, pairs).cycle.mean() < CLOSED for model in models)


def returning(claim: str, where: str, models: Sequence[PPCL], pairs: Pairs) -> Claim:
    """A claim that regions are the better the nearer their cycle closes: that the rank correlation
    of cycle error and IoU over pairs, mean over the models (seeds), is negative. Not testable where
    every cycle ``closes``."""
    if closes(models, pairs):
        return untestable(claim, where, "its cycles close: there is no error to sort pairs by")
    moments = []
    for model in models:
        box, _, error = found_regions(model, pairs)
        iou = box_iou(box.clamp(-1, 1), pairs.true.clamp(-1, 1))
        a, b = (x.argsort().argsort().double() / len(pairs) for x in (error, iou))
        moments.append(torch.stack([a, b, a * b, a * a, b * b], 1))
    found = bootstrap(torch.stack(moments), pairs.pid, statistic=_correlation)
    return judged(claim, where, found, "rank correlation", sign=-1, digits=2)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's r [...] from the sums [..., 6] of a, b, ab, a², b² and their number."""
    a, b, ab, aa, bb = np.moveaxis(sums[..., :5] / sums[..., 5:], -1, 0)
    return (ab - a * b) / np.sqrt(np.maximum((aa - a * a) * (bb - b * b), 1e-24))


def gate_right(
    models: Sequence[Model],
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


def gains_by_gate(
    gains: Mapping[tuple[float, float], np.ndarray], right: Mapping[float, Tensor]
) -> pd.DataFrame:
    """What queries gain of which the gate takes a cut for whole, and the others.

    gains [S, N]: of each query, in points, by the shares (in %) that are kept of it and of the
    gallery's images; right: of ``gate_right``, of the same queries. Columns: both shares, how many
    are taken for whole (%), the mean gain of these and of the others (NaN: there are none).
    """
    lines = []
    for (asked, shown), gain in gains.items():
        told = right[asked / 100].numpy() > 0
        line = {"query kept (%)": asked, "gallery kept (%)": shown}
        line["taken for whole (%)"] = 100 * (1 - told.mean())
        for name, some in (("gain of these", ~told), ("gain of others", told)):
            line[name] = gain[some].mean() if some.any() else np.nan
        lines.append(line)
    return pd.DataFrame(lines)


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
