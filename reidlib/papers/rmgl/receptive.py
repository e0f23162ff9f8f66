"""What part of an image a stripe can see, by calculation and by measurement (RMGL section III-B).

Rows are counted in pixels from the image's top, columns behave alike. Three partitions differ in
where the stripes are cut: the input (IP), a map in the middle (RP), the last map (OP).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.errors import ReidError
from reidlib.models.backbone import STAGES, Backbone
from reidlib.models.base import evaluating
from reidlib.models.receptive import (
    SPLITS,
    Field,
    map_length,
    path_to,
    receptive_field,
    stages_to,
)
from reidlib.papers.rmgl.model import RMGL

PARTITIONS = {
    "OP": "conv5",
    **{f"RP {stage}": stage for stage in STAGES[-2::-1]},
    "IP": "input",
}  # name -> the map that is cut, from the widest view to the narrowest


def layers_to(net: Backbone | RMGL, end: str = "conv5") -> list[nn.Module]:
    """What an image passes up to the map of stage ``end``; in an RMGL by its trunk and its first
    branch (all branches have the same layers)."""
    if isinstance(net, Backbone):
        return path_to(net, end)
    own: nn.ModuleDict = net.branches[0]  # type: ignore[assignment]
    return [net.trunk[s] if s in net.trunk else own[s] for s in stages_to(end)]


def field(net: Backbone | RMGL, end: str = "conv5") -> Field:
    """What a row of ``end``'s map sees, and where (RMGL Eq. 5): ``models.receptive.Field``."""
    return receptive_field(*layers_to(net, end))


def map_height(net: Backbone | RMGL, end: str, height: int) -> int:
    """Rows of ``end``'s map of an image with ``height`` rows."""
    return map_length(height, *layers_to(net, end))


def row_centres(model: RMGL, n: int, path: str, height: int) -> Tensor:
    """Where the rows of a path's last map lie in an image of ``height`` rows: pixels [h].

    path: "original", or "receptive", where each of the ``n`` stripes is convolved alone, from its
    own first row on.
    """
    if path == "original":
        return field(model).centres(map_height(model, "conv5", height))
    cut, rest = field(model, model.split), layers_to(model)[len(stages_to(model.split)) :]
    rows = map_height(model, model.split, height) // n  # of a stripe
    inside = receptive_field(*rest).centres(map_length(rows, *rest))
    first = rows * torch.arange(n)
    return cut.offset + cut.stride * (first[:, None] + inside).flatten()


def region(net: Backbone | RMGL, split: str, n: int, height: int) -> int:
    """Image rows that a stripe can see at most, if the map after ``split`` is cut into ``n``
    (RMGL Eq. 6). It may exceed the image's ``height``: see ``regions``.

    "conv5" is the output partition: nothing is cut before the pooling.
    """
    rows = map_height(net, split, height)
    if n > rows:
        raise ReidError(f"the map after {split} has {rows} rows: too few for {n} stripes")
    size, jump, _ = field(net, split)
    return size + (-(-rows // n) - 1) * jump  # Eq. 6


def reach(net: Backbone | RMGL, numbers: Sequence[int], height: int) -> pd.DataFrame:
    """Eqs. 5 and 6 for every place of the cut, one row each: the field of one neuron there, and the
    region of a stripe if the map is cut into each of ``numbers``, in rows of ``height``."""
    rows = {
        split: {
            "receptive field": field(net, split).size,
            "rows of the map": map_height(net, split, height),
        }
        | {f"region, {n} stripes": region(net, split, n, height) for n in numbers}
        for split in SPLITS
    }
    return pd.DataFrame(rows).T.rename_axis("cut after")


def regions(net: Backbone | RMGL, split: str, n: int, height: int) -> list[tuple[int, int]]:
    """The region of Eq. 6 of each of the ``n`` stripes, as far as it lies in the image.

    (first row, last row), both included. Where n does not divide the map, the stripes are those of
    adaptive pooling, which share a row.
    """
    region(net, split, n, height)  # checks n
    rows = map_height(net, split, height)
    size, jump, offset = field(net, split)
    start = int(offset - (size - 1) / 2)  # where the field of the map's first row begins
    found = []
    for k in range(n):
        top, bottom = k * rows // n, -(-(k + 1) * rows // n) - 1
        found.append((max(0, start + top * jump), min(height, start + bottom * jump + size) - 1))
    return found


def footprint(
    model: RMGL,
    images: Tensor,
    branch: int,
    path: str,
    stripe: int,
    *,
    directions: int = 2,
    seed: int = 0,
) -> Tensor:
    """How much each image row moves a stripe: mean absolute gradient [H], in evaluation mode.

    The gradient is that of the mean of the path's last map over the (uniform) stripe, along
    ``directions`` random directions over its channels; the mean is over these, images [N, 3, H, W],
    colours and columns. path: "original" or "receptive".
    """
    x = images.detach().requires_grad_()
    draw = torch.Generator().manual_seed(seed)
    with evaluating(model, gradients=True):
        last = model.maps(x)[branch, path]
        stripes = F.adaptive_avg_pool2d(last, (model.stripes[branch], 1))[:, :, stripe, 0]  # [N, C]
        total = torch.zeros(images.shape[2], device=images.device)
        for k in range(directions):
            along = torch.randn(stripes.shape[1], generator=draw).to(stripes)
            goal = (stripes @ along).sum()
            (gradient,) = torch.autograd.grad(goal, x, retain_graph=k + 1 < directions)
            total += gradient.abs().mean((0, 1, 3))
    return total / directions


def extent(profile: Tensor, share: float = 1.0) -> tuple[int, int]:
    """(first, last) of the fewest rows in a run that hold ``share`` of a profile [H] >= 0.

    1.0: from the first to the last row that is not zero. Raises ReidError if all are zero.
    """
    rows = torch.nonzero(profile).flatten()
    if not len(rows):
        raise ReidError("this profile is zero everywhere: no row reaches the stripe")
    if share >= 1:
        return int(rows[0]), int(rows[-1])
    below = F.pad(profile.detach().double().cpu().cumsum(0), (1, 0))  # of all rows before
    last = torch.searchsorted(below, below[:-1] + share * below[-1])  # first end that suffices
    width = torch.where(last < len(below), last - torch.arange(len(last)), len(below))
    first = int(width.argmin())
    return first, int(last[first]) - 1


def profiles(
    model: RMGL, images: Tensor, branch: int = 0, *, directions: int = 2, seed: int = 0
) -> dict[str, Tensor]:
    """The footprints [n, H] of a branch's stripes under each of PARTITIONS, with these weights.

    Only the place of the cut changes from one to the next. A partition whose map the number of
    stripes does not divide is left out.
    """
    found = {}
    for name, split in PARTITIONS.items():
        n = model.stripes[branch]
        if name != "OP" and map_height(model, split, images.shape[2]) % n:
            continue
        other = copy.copy(model)  # shares all weights
        path = "original" if name == "OP" else "receptive"
        other.paths, other.split = (path,), split  # type: ignore[assignment]
        rows = [
            footprint(other, images, branch, path, k, directions=directions, seed=seed)
            for k in range(n)
        ]
        found[name] = torch.stack(rows)
    return found


def measure(model: RMGL, found: Mapping[str, Tensor], share: float = 0.95) -> pd.DataFrame:
    """Calculation and measurement side by side, one row a partition and stripe.

    found: of ``profiles``. Columns, in rows of the image where nothing else is said: partition,
    split, stripes, stripe (from 1), receptive_field (Eq. 5, at the cut), region (Eq. 6), first and
    last of its part inside the image, measured (rows from the first to the last that moves the
    stripe), measured_first, measured_last, effective (rows that hold ``share`` of the gradient).
    With random weights the measured rows are Eq. 6's; a trained ReLU may close some.
    """
    table = []
    for name, profile in found.items():
        split, (n, height) = PARTITIONS[name], profile.shape
        expected = regions(model, split, n, height)
        for k in range(n):
            (first, last), (low, high) = extent(profile[k]), extent(profile[k], share)
            table.append(
                {
                    "partition": name,
                    "split": split,
                    "stripes": n,
                    "stripe": k + 1,
                    "receptive_field": field(model, split).size,
                    "region": region(model, split, n, height),
                    "first": expected[k][0],
                    "last": expected[k][1],
                    "measured": last - first + 1,
                    "measured_first": first,
                    "measured_last": last,
                    "effective": high - low + 1,
                }
            )
    return pd.DataFrame(table)
