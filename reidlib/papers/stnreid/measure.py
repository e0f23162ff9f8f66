"""Does a spatial transformer find the true patch? Measured where that patch is known.

A pair is a partial image and a holistic one, with the box of the latter that shows what the former
shows. In the same image that is the crop itself; in another one of an embedded person it follows
from the true boxes of the two bodies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data import Dataset, ImageBank
from reidlib.data.augment import SIDES
from reidlib.data.dataset import boxes
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.evaluate.compare import per_query, summary
from reidlib.evaluate.metrics import Metrics
from reidlib.evaluate.verdict import compared
from reidlib.geometry import (
    box_iou,
    box_to_theta,
    compose,
    identity,
    sample,
    theta_iou,
    theta_to_box,
    transform_box,
)
from reidlib.models.base import evaluating
from reidlib.papers.stnreid.model import STNReID, blurred

Of = Literal["same image", "same person", "another person"]
TOGETHER = 512  # pairs that pass the STN at once
OF: tuple[Of, ...] = ("same image", "same person", "another person")
CONTROLS = ("identity", "side of the cut alone")  # rows of a table of overlaps without a model


@dataclass(frozen=True)
class Pairs:
    """partial, holistic [N, 3, H, W] normalised; true [N, 4]: the patch, a box of the latter; pid
    [N]: who is on the former, which says what is drawn together to find an interval."""

    partial: Tensor
    holistic: Tensor
    true: Tensor
    pid: Tensor | None = None

    def __len__(self) -> int:
        return len(self.true)


def make_pairs(
    dataset: Dataset, size: tuple[int, int], of: Of = "same image", *, seed: int = 0
) -> Pairs:
    """One pair for each query of ``dataset``, cut as ``make_partial`` cuts (40 to 80 % is kept).

    of: where the patch is looked for: in the image that it was cut from, or in the first gallery
    image by another camera of the same person or of the next one. size: (H, W).
    Raises ReidError where the latter have no true boxes, or no image by another camera.
    """
    whole = dataset.query.reset_index(drop=True)
    cut = make_partial(dataset.but(query=whole), seed=seed).query
    crop = torch.tensor(cut["box"].tolist(), dtype=torch.float32)
    pid = torch.tensor(whole["pid"].to_numpy())
    if of == "same image":
        return Pairs(_images(cut, size), _images(whole, size), crop, pid)
    pids = sorted(whole["pid"].unique())
    following = dict(zip(pids, pids[1:] + pids[:1], strict=True))
    wanted = whole["pid"] if of == "same person" else whole["pid"].map(following)
    found = [_other(dataset.gallery, p, c) for p, c in zip(wanted, whole["cam"], strict=True)]
    target = dataset.gallery.iloc[found].reset_index(drop=True)
    true = patch(boxes(whole, "body"), boxes(target, "body"), crop)
    return Pairs(_images(cut, size), _images(target, size), true, pid)


def patch(here: Tensor, there: Tensor, crop: Tensor) -> Tensor:
    """Where [N, 4] an image shows what ``crop`` [N, 4] of another one shows, by the true boxes of
    the bodies in that other one (``here``) and in this one (``there``) [N, 4]: a point's place
    within its body is the same in both."""
    within = transform_box(box_to_theta(here), crop)
    return theta_to_box(compose(box_to_theta(there), box_to_theta(within)))


def _other(gallery: pd.DataFrame, pid: int, cam: int) -> int:
    rows = ((gallery["pid"] == pid) & (gallery["cam"] != cam)).to_numpy().nonzero()[0]
    if not len(rows):
        raise ReidError(f"identity {pid} has no gallery image by another camera than {cam}")
    return int(rows[0])


def _images(split: pd.DataFrame, size: tuple[int, int]) -> Tensor:
    return ImageBank.from_split(split, size).images(slice(0, len(split)))


def thetas(model: STNReID, pairs: Pairs) -> Tensor:
    """The thetas [N, 2, 3] that the model's STN gives the pairs."""
    with evaluating(model):
        both = zip(pairs.partial.split(TOGETHER), pairs.holistic.split(TOGETHER), strict=True)
        return torch.cat([model.localization(*some) for some in both])


def overlaps(model: STNReID | None, pairs: Pairs) -> Tensor:
    """Intersection over union [N] of the true patch and the upright box around what the STN reads
    (0 if it shows that upside down or mirrored); without a model, of the identity transform, which
    reads the whole image."""
    found = identity(len(pairs)) if model is None else thetas(model, pairs)
    return theta_iou(found, pairs.true)


def side_alone(pairs: Pairs) -> Tensor:
    """Overlap [N] of a box that knows from which side of the image was cut, and nothing else.

    It keeps the mean share that all pairs keep. An STN that is above it compares the two images;
    one that is not may have learned where people stand.
    """
    missing = (
        pairs.true - torch.tensor([-1.0, -1.0, 1.0, 1.0])
    ).abs()  # at left, top, right, below
    side = missing.argmax(1)
    guess = torch.tensor([-1.0, -1.0, 1.0, 1.0]).repeat(len(pairs), 1)
    rows = torch.arange(len(pairs))
    guess[rows, side] += torch.where(side < 2, 1.0, -1.0) * missing[rows, side].mean()
    return box_iou(guess, pairs.true)


def mismatched(pairs: Pairs, what: Literal["partial image", "holistic image"]) -> Pairs:
    """The pairs with the partial image of the next pair, or with noise as the holistic image: what
    an STN finds then, it did not find by comparing the two."""
    if what == "partial image":
        return replace(pairs, partial=pairs.partial.roll(1, 0))
    noise = torch.randn(pairs.holistic.shape, generator=torch.Generator().manual_seed(0))
    return replace(pairs, holistic=noise)


def pointing(model: STNReID, pairs: Pairs, way: float = 0.0, sigma: float = 0.0) -> Tensor:
    """Whether the gradient of L_STN (Eq. 5) points to the true patch: the cosine [N] between the
    way that it moves the two scales and two shifts of theta and the way that they have to go.

    way: how far theta is already, from the identity (0) to the true patch (1, where there is no
    way left). sigma: of a Gaussian in pixels that both images go through. It is the ReID module
    alone that is asked, not the STN.
    """
    true, start = box_to_theta(pairs.true), identity(len(pairs))
    theta = torch.lerp(start, true, way).requires_grad_()
    _descend(model, pairs, theta, sigma)
    assert theta.grad is not None
    moved, wanted = (x[:, [0, 1, 0, 1], [0, 1, 2, 2]] for x in (-theta.grad, true - start))
    return F.cosine_similarity(moved, wanted)


def descended(
    model: STNReID, pairs: Pairs, sigma: float = 0.0, steps: int = 30, lr: float = 0.03
) -> Tensor:
    """Where L_STN leads each pair by itself, without a network that has to know the way: its theta
    [N, 2, 3] after so many steps of Adam from the identity, at a rate that falls to 0. sigma: as in
    ``pointing``."""
    theta = identity(len(pairs)).requires_grad_()
    optimizer = torch.optim.Adam([theta], lr)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    for _ in range(steps):
        _descend(model, pairs, theta, sigma)
        optimizer.step()
        falling.step()
    return theta.detach()


def moving_table(models: Mapping[str, Sequence[STNReID]], pairs: Pairs) -> pd.DataFrame:
    """Whether STNs have left the place where they start: by row the mean IoU with the partial image
    of the pair and with another pair's, and the spread of theta over pairs (mean sd of its six
    values). One that compares nothing has twice the same IoU, one that moves nothing no spread."""
    other = mismatched(pairs, "partial image")
    lines = {}
    for name, own in models.items():
        spread = [thetas(model, pairs).std(0).mean() for model in own]
        lines[name] = {
            "IoU": float(overlaps_by_seed(own, pairs).mean()),
            "IoU, another's partial image": float(overlaps_by_seed(own, other).mean()),
            "spread of theta": float(torch.stack(spread).mean()),
        }
    return pd.DataFrame(lines).T.rename_axis("row")


def at_rest(models: Sequence[STNReID], pairs: Pairs) -> str:
    """Why an STN, one model a seed, is not to be judged: whatever partial image it is shown, it
    reads the same, as the identity does where it starts. "" if it does compare."""
    own, other = (overlaps_by_seed(models, x) for x in (pairs, mismatched(pairs, "partial image")))
    told = compared("", "", other, own, "IoU", people=pairs.pid).verdict == "holds"
    return "" if told else "its STN reads the same whatever partial image it is shown"


def leads(models: Sequence[STNReID], pairs: Pairs, sigma: float = 0.0) -> dict[str, float]:
    """Where L_STN leads, the mean over pairs and the models' ReID modules: ``pointing`` a tenth and
    half of the way, and the IoU with the true patch where ``descended`` ends."""
    found = {
        f"cosine, {named} of the way": [pointing(model, pairs, way, sigma) for model in models]
        for named, way in {"a tenth": 0.1, "half": 0.5}.items()
    }
    found["IoU"] = [theta_iou(descended(model, pairs, sigma), pairs.true) for model in models]
    return {name: torch.stack(values).mean().item() for name, values in found.items()}


def _descend(model: STNReID, pairs: Pairs, theta: Tensor, sigma: float) -> None:
    """The gradient of every pair's L_STN (Eq. 5) as ``theta.grad``."""
    theta.grad = None
    with evaluating(model, gradients=True):
        parts = (x.split(TOGETHER) for x in (pairs.partial, pairs.holistic, theta))
        for partial, holistic, some in zip(*parts, strict=True):
            both = torch.cat([partial, sample(holistic, some)])
            wanted, found = model.pooled(blurred(both, sigma) if sigma else both).chunk(2)
            (wanted.detach() - found).pow(2).sum().backward(inputs=[theta])


def overlap_table(
    models: Mapping[str, Sequence[STNReID]], pairs: Mapping[Of, Pairs]
) -> pd.DataFrame:
    """Mean overlap of every row's models (one for each seed) on all kinds of pairs, tidy.

    Columns: row, of, mean, sd (over seeds, NaN for one), low, high (95 %), n
    (see ``compare.summary``). The first rows are ``CONTROLS``.
    """
    lines = []
    for of, some in pairs.items():
        found = dict(
            zip(CONTROLS, (overlaps(None, some)[None], side_alone(some)[None]), strict=True)
        )
        found |= {row: overlaps_by_seed(group, some) for row, group in models.items()}
        for row, values in found.items():
            lines.append({"row": row, "of": of, **summary(values, some.pid)})
    return pd.DataFrame(lines)


def overlaps_by_seed(models: Sequence[STNReID | None], pairs: Pairs) -> Tensor:
    """Each pair's overlap by each of the models (seeds) [S, N]; [None]: the identity."""
    return torch.stack([overlaps(model, pairs) for model in models])


def select(pairs: Pairs, rows: Sequence[int]) -> Pairs:
    """Some of the pairs."""
    index = torch.tensor(rows)
    pid = None if pairs.pid is None else pairs.pid[index]
    return Pairs(pairs.partial[index], pairs.holistic[index], pairs.true[index], pid)


def four_partial(dataset: Dataset, size: tuple[int, int], share: float = 0.6) -> dict[str, Pairs]:
    """What Fig. 4 shows: one holistic image and four partial ones of the same person, cut from
    each side so that ``share`` remains: of another image by the same camera, and of one by another
    camera ("same camera", "another camera": those there are). ``true`` is NaN for real people."""
    found: dict[str, Pairs] = {}
    for pid in sorted(set(dataset.query["pid"])):
        mine = dataset.gallery[dataset.gallery["pid"] == pid]
        if mine.empty:
            continue
        shown = mine.iloc[[0] * len(SIDES)].reset_index(drop=True)
        asked = dataset.query[dataset.query["pid"] == pid]
        same = asked["cam"] == shown["cam"][0]
        found = {}
        for name, some in (("same camera", asked[same]), ("another camera", asked[~same])):
            if len(some):
                whole = some.iloc[[0] * len(SIDES)].reset_index(drop=True)
                found[name] = _four(whole, shown, size, share)
        if len(found) == 2:
            break
    return found


def _four(whole: pd.DataFrame, shown: pd.DataFrame, size: tuple[int, int], share: float) -> Pairs:
    edge = 2 * share - 1
    kept = {"top": (-1, -edge, 1, 1), "bottom": (-1, -1, 1, edge),
            "left": (-edge, -1, 1, 1), "right": (-1, -1, edge, 1)}  # fmt: skip
    cut = whole.assign(box=pd.Series([kept[side] for side in SIDES], dtype=object))
    true = torch.full((len(SIDES), 4), torch.nan)
    if "body" in whole.columns:
        crop = torch.tensor(cut["box"].tolist(), dtype=torch.float32)
        true = patch(boxes(whole, "body"), boxes(shown, "body"), crop)
    return Pairs(_images(cut, size), _images(shown, size), true)


def joined(several: Sequence[Pairs]) -> Pairs:
    """Several sets of pairs as one."""
    return Pairs(*(torch.cat([getattr(pairs, key) for pairs in several])
                   for key in ("partial", "holistic", "true")))  # fmt: skip


def improvement(
    before: Sequence[Metrics], after: Sequence[Metrics], metric: str = "rank1"
) -> np.ndarray:
    """What each query gains [S, N], in points, from one row's evaluations to another's, seed by
    seed. All queries must have a true match."""
    return each(after, metric) - each(before, metric)


def each(of: Sequence[Metrics], metric: str = "rank1") -> np.ndarray:
    """What each query has [S, N], in %, in a row's evaluations (seeds)."""
    return 100 * per_query(of, metric).values


def by_true_patches(models: Sequence[STNReID], test: Dataset) -> Tensor:
    """Whether each query of a partial set of drawn people is right at rank 1, in % [S, N], by each
    of the models (seeds), if the true patch takes the place of what the STN reads, in every gallery
    image: what a perfect STN would give.

    test: with a box of each query, as ``partial_set`` makes it; each of its sets is ranked apart.
    """
    return torch.stack([
        torch.cat([_by_true_patches(model, some) for some in test.test_sets]) for model in models
    ])  # fmt: skip


def _by_true_patches(model: STNReID, test: Dataset) -> Tensor:
    partial, holistic = (_images(t, model.size) for t in (test.query, test.gallery))
    here = boxes(test.query.drop(columns="box"), "body")  # in the uncut image, as the cut is
    there = boxes(test.gallery, "body")
    crop = torch.tensor(test.query["box"].tolist(), dtype=torch.float32)
    pid, first = torch.tensor(test.gallery["pid"].to_numpy()), []
    with evaluating(model):
        wanted = F.normalize(_half(model, partial))
        for query, own, cut in zip(wanted, here, crop, strict=True):
            true = patch(own.expand_as(there), there, cut.expand_as(there))
            found = F.normalize(_half(model, sample(holistic, box_to_theta(true))))
            first.append(pid[(found @ query).argmax()])
    return 100.0 * (torch.stack(first) == torch.tensor(test.query["pid"].to_numpy()))


def _half(model: STNReID, images: Tensor) -> Tensor:
    """Their features by bfloat16, as in a test; places are not to be rounded so."""
    with torch.autocast(images.device.type, torch.bfloat16):
        return model.features(images).float()


def two_people(
    dataset: Dataset, size: tuple[int, int], seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, list[str]]:
    """What Fig. 5 shows: five partial images and three holistic ones of two identities.

    Returns partial [5, 3, H, W] (three of the first person, two of the second), holistic
    [3, 3, H, W] (two images of the first person, by different cameras, and one of the second), the
    true patches [3, 5, 4] of each in each, by the bodies (NaN for real people), and the holistic
    images' names.
    """
    gallery = dataset.gallery[dataset.gallery["pid"] > 0]
    cameras = gallery.groupby("pid")["cam"].nunique()
    first = next(pid for pid, number in cameras.items() if number > 1)
    second = next(pid for pid in cameras.index if pid != first)
    mine = gallery[gallery["pid"] == first]
    other = gallery[gallery["pid"] == second]
    holistic = pd.concat([mine.drop_duplicates("cam")[:2], other[:1]]).reset_index(drop=True)
    query = pd.concat([_five(mine, 3), _five(other, 2)]).reset_index(drop=True)
    cut = make_partial(dataset.but(query=query), seed=seed).query
    true = torch.full((len(holistic), len(cut), 4), torch.nan)
    if "body" in query.columns:
        crop = torch.tensor(cut["box"].tolist(), dtype=torch.float32)
        here, there = boxes(query, "body"), boxes(holistic, "body")
        true = torch.stack([patch(here, one.expand_as(here), crop) for one in there])
    return _images(cut, size), _images(holistic, size), true, ["A", "A'", "B"]


def _five(table: pd.DataFrame, n: int) -> pd.DataFrame:
    return table.iloc[[i % len(table) for i in range(-1, -1 - n, -1)]]
