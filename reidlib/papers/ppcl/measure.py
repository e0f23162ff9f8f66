"""Do PPCL's two modules find the true regions? Measured where these are known.

A pair (``patches.make_pairs``) is a partial image and a holistic one, with the box of the latter
that shows what the former shows: in the same image the cut itself, in another one of an embedded
person the region that lies on the body as the cut does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reidlib.errors import ReidError
from reidlib.evaluate.compare import bootstrap, summary
from reidlib.evaluate.verdict import Claim, judged
from reidlib.geometry import box_iou
from reidlib.models.base import device_of, evaluating
from reidlib.papers.ppcl.constraints import cycle_error
from reidlib.papers.ppcl.model import PPCL, in_image
from reidlib.papers.ppcl.rectifier import GLRec
from reidlib.papers.ppcl.region import frame
from reidlib.papers.stnreid.measure import Of, Pairs

Model = GLRec | PPCL
BATCH = 64  # images encoded at once


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


class Located(NamedTuple):
    """Boxes [N, 4] of the holistic images as they are, also where the gate took one for partial:
    the ``region`` that CRLoc finds, and the one ``fixed`` at GLRec's box of the probe. ``cycle``
    [N]: Eq. 11's error, on the way back into the rectified image: a test does not know the whole
    one."""

    region: Tensor
    fixed: Tensor
    cycle: Tensor


def located(model: PPCL, pairs: Pairs) -> Located:
    """What CRLoc finds in all pairs. Raises ReidError without a locator."""
    found, device = [], device_of(model)
    with evaluating(model):
        for p, h in zip(pairs.partial.split(BATCH), pairs.holistic.split(BATCH), strict=True):
            query, reference = model.encode(p.to(device)), model.encode(h.to(device))
            there = model.regions(query, reference)
            back = model.regions({**reference, "box": there}, query)
            boxes = (in_image(box, reference["box"]) for box in (there, query["box"]))
            found.append((*boxes, cycle_error(back, query["box"])))
    return Located(*(torch.cat(parts).cpu() for parts in zip(*found, strict=True)))


def measures(model: Model | None, pairs: Pairs) -> dict[str, Tensor]:
    """What can be measured of a model on pairs, each [N].

    "rectified", "located", "fixed": IoU of GLRec's box, of CRLoc's region and of what it is at
    first (``Located``) with the true patch, all within the frame; without a model that of the whole
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
        region, fixed, found["cycle"] = located(model, pairs)
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
    box, _, error = located(model, pairs)
    iou = box_iou(box.clamp(-1, 1), pairs.true.clamp(-1, 1))
    lines = []
    for index in error.argsort().tensor_split(parts):
        _, low, high, *_ = bootstrap(iou[index], None if pairs.pid is None else pairs.pid[index])
        lines.append({"cycle": error[index].mean().item(), "located": iou[index].mean().item(),
                      "low": low, "high": high, "pairs": len(index)})  # fmt: skip
    return pd.DataFrame(lines)


def returning(claim: str, where: str, models: Sequence[PPCL], pairs: Pairs) -> Claim:
    """A claim that regions are the better the nearer their cycle closes: that the rank correlation
    of cycle error and IoU over pairs, mean over the models (seeds), is negative."""
    moments = []
    for model in models:
        box, _, error = located(model, pairs)
        iou = box_iou(box.clamp(-1, 1), pairs.true.clamp(-1, 1))
        a, b = (x.argsort().argsort().double() / len(pairs) for x in (error, iou))
        moments.append(torch.stack([a, b, a * b, a * a, b * b], 1))
    found = bootstrap(torch.stack(moments), pairs.pid, statistic=_correlation)
    return judged(claim, where, found, "rank correlation", sign=-1, digits=2)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's r [...] from the sums [..., 6] of a, b, ab, a², b² and their number."""
    a, b, ab, aa, bb = np.moveaxis(sums[..., :5] / sums[..., 5:], -1, 0)
    return (ab - a * b) / np.sqrt(np.maximum((aa - a * a) * (bb - b * b), 1e-24))
