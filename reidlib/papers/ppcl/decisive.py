"""The decisive run: which output and which constraint teach CRLoc the corresponding region?

GLRec and F are a trained PPCL's and stay as they are, so their maps are made once; locators alone
are trained on them, those of all ``ROWS`` side by side, from one start and on the same pairs. They
are held against what is there without a locator (GLRec's region), against a locator that is told
the true regions of its training, and against the true regions themselves, which drawn people have.

Where the detector errs more than in the town of GLRec and F, locators learn and are tested in that
town, GLRec and F stay.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from reidlib.data import Dataset, ImageBank
from reidlib.data.augment import keep_boxes
from reidlib.data.dataset import boxes, fingerprint_text
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.evaluate.compare import Interval, bootstrap
from reidlib.evaluate.verdict import Claim, judge, judged, least
from reidlib.geometry import (
    box_iou,
    box_to_theta,
    compose,
    placement,
    sample,
    theta_to_box,
    transform_box,
)
from reidlib.models.base import device_of, evaluating
from reidlib.papers.ppcl.constraints import cycle_error, negative_regions, part_triplet
from reidlib.papers.ppcl.locator import Coordinates, CRLoc
from reidlib.papers.ppcl.model import PPCL
from reidlib.papers.ppcl.pooling import Products, frame, region_distance
from reidlib.system.devices import pick_device
from reidlib.system.files import atomic_path
from reidlib.train.store import Run

LOSSES = ("cycle", "known", "pooled", "maps", "pull", "true")
ROWS: dict[str, dict[str, float]] = {  # the weight of each loss, by the row's name
    f"{triplet}, cycle {cycle:g}": {"cycle": cycle} | ({} if triplet == "none" else {triplet: 1.0})
    for triplet in ("none", "pooled", "maps")
    for cycle in (0.0, 0.1, 10.0)
    if cycle or triplet != "none"
} | {
    "none, cycle 10 to the cut": {"known": 10.0},  # Eq. 11 with the known cut of x as its end
    "maps, cycle 10 to the cut": {"known": 10.0, "maps": 1.0},
    "maps without negatives, cycle 0": {"pull": 1.0},
    "supervised": {"true": 1.0},
}
Weights = Mapping[str, Mapping[str, float]]  # as ROWS
UNTRAINED = ("none, cycle 0.1", "none, cycle 10")  # if relative: the cycle is 0 at the start
FIXED, WHOLE, TRUE = "fixed at GLRec's region", "the whole reference", "true regions"
ALL = (FIXED, WHOLE, *ROWS, TRUE)
STEPS = 300
PROBED = 336  # people, three probes each
COORDINATES: tuple[Coordinates, ...] = get_args(Coordinates)
METRICS = {"IoU": 1, "mAP": 100}  # what each is told in, of shares
VERSION = 4  # of what is stored: raise it when the same settings would give other values
BATCH, LR, DECAY = 24, 1e-3, 5e-4  # pairs a step; AdamW's (of which no loss's weight changes the
# decay), a tenth of the rate in the second half
IMAGES = 1024  # of a training set
PEOPLE = 32  # whose images a probe is ranked among
BLOCK = 64  # images encoded at once


class Maps(NamedTuple):
    """F's maps: of rectified cuts ``partial`` [N, C, h, w], with GLRec's ``region`` [N, 4], the
    ``cut`` [N, 4], which is the box of their own image that they show, and that box ``within`` the
    body [N, 4], all without what GLRec put beyond the frame; of ``whole`` images [M, C, h, w], with
    the box of their ``body`` [M, 4]."""

    partial: Tensor
    region: Tensor
    cut: Tensor
    within: Tensor
    whole: Tensor
    body: Tensor


class Partial(NamedTuple):
    """``images`` [N, 3, H, W] of which the boxes ``kept`` [N, 4] are left, in full size, and the
    ``body`` [N, 4] that the uncut images show."""

    images: Tensor
    kept: Tensor
    body: Tensor


def corresponding(within: Tensor, body: Tensor) -> Tensor:
    """The true regions [..., 4]: what lies ``within`` a ``body`` [..., 4]."""
    return theta_to_box(compose(box_to_theta(body), box_to_theta(within)))


def probes(dataset: Dataset) -> Dataset:
    """``dataset`` with one gallery image of each person, and the queries by other cameras."""
    gallery = dataset.gallery[dataset.gallery["pid"] > 0].drop_duplicates("pid")
    camera = dataset.query["pid"].map(gallery.set_index("pid")["cam"])
    query = dataset.query[dataset.query["cam"] != camera]
    tables = {"query": query, "gallery": gallery}
    return dataset.but(**{name: some.reset_index(drop=True) for name, some in tables.items()})


def owners(test: Dataset) -> Tensor:
    """Of each query [N] the row of the gallery that shows the same person."""
    rows = {pid: row for row, pid in enumerate(test.gallery["pid"])}
    return torch.tensor(test.query["pid"].map(rows).to_numpy())


def training_maps(model: PPCL, split: pd.DataFrame, noise: float, seed: int) -> Maps:
    """Of ``IMAGES`` images of ``split`` and of one cut of each. noise: standard deviation of what
    is added to the transform that GLRec says."""
    split = split.iloc[:: max(1, len(split) // IMAGES)].reset_index(drop=True)
    images, body = _images(split, model), boxes(split, "body")
    kept = keep_boxes(len(split), np.random.default_rng(seed), model.ratio, "any").float()
    partial = Partial(sample(images, box_to_theta(kept)), kept, body)
    return _encoded(model, partial, images, body, noise, seed)


def test_maps(model: PPCL, test: Dataset, noise: float) -> Maps:
    """Of the probes and gallery images of ``probes``; 40 to 80 % of a probe is kept. Probes are cut
    from images of the model's size, as in training: cut from larger ones they are sharper."""
    kept = torch.tensor(make_partial(test).query["box"].tolist(), dtype=torch.float32)
    cuts = sample(_images(test.query, model), box_to_theta(kept))
    partial = Partial(cuts, kept, boxes(test.query, "body"))
    body = boxes(test.gallery, "body")
    return _encoded(model, partial, _images(test.gallery, model), body, noise, 0)


def _images(split: pd.DataFrame, model: PPCL) -> Tensor:
    return ImageBank.from_split(split, model.size).images(slice(0, len(split)))


def _encoded(
    model: PPCL, partial: Partial, whole: Tensor, body: Tensor, noise: float, seed: int
) -> Maps:
    """GLRec without its gate: all of ``partial`` is."""
    assert model.rectifier is not None
    torch.manual_seed(seed)
    device, rectified = device_of(model), []
    for some in partial.images.split(BLOCK):
        t, _ = model.rectifier(some.to(device))
        placed = model.rectifier.box(t + noise * torch.randn(t.shape).to(device))
        images = sample(some.to(device), placement(placed))
        rectified.append((model.reid.backbone(images), placed))
    shown, placed = (torch.cat(parts) for parts in zip(*rectified, strict=True))
    region = placed.clamp(-1, 1)
    seen = transform_box(box_to_theta(placed), region)  # of what was kept
    cut = theta_to_box(compose(box_to_theta(partial.kept.to(device)), box_to_theta(seen)))
    within = transform_box(box_to_theta(partial.body.to(device)), cut)
    maps = torch.cat([model.reid.backbone(some.to(device)) for some in whole.split(BLOCK)])
    return Maps(shown, region, cut, within, maps, body.to(device))


def train(
    maps: Maps, locators: Sequence[CRLoc], steps: int, seed: int, rows: Weights = ROWS
) -> None:
    """Trains one locator for each of ``rows``, all of them in one step. y is a shuffle of x, as in
    Algorithm 1: mostly another person."""
    device, first = maps.whole.device, locators[0].train()
    params, buffers = stack_module_state(list(locators))
    table = [[row.get(loss, 0.0) for loss in LOSSES] for row in rows.values()]
    weights = torch.tensor(table, device=device)
    optimizer = torch.optim.AdamW(params.values(), weight_decay=DECAY)

    def loss(state: tuple[dict[str, Any], ...], weights: Tensor, *given: Tensor) -> Tensor:
        h_r, region, cut, h_x, h_y, true = given
        there = functional_call(first, state, (h_r, region, h_y))
        apart = {name: value.clone() for name, value in state[1].items()}
        back = functional_call(first, (state[0], apart), (h_y, there, h_x))  # no test goes back
        other, legal = negative_regions(there)
        products = Products.of(h_r, h_y)
        pooled, maps = (
            [region_distance(products, first.cells, region, box, mean) for box in (there, other)]
            for mean in (True, False)
        )
        parts = {
            "cycle": cycle_error(back, region).mean(),
            "known": cycle_error(back, cut).mean(),
            "pooled": part_triplet(pooled[0], pooled[1], legal),
            "maps": part_triplet(maps[0], maps[1], legal),
            "pull": maps[0].mean(),
            "true": cycle_error(there, true).mean(),
        }
        return (weights * torch.stack([parts[name] for name in LOSSES])).sum()

    each = vmap(loss, in_dims=((0, 0), 0, *[None] * 6), randomness="same")
    for step in range(steps):
        torch.manual_seed(seed * 1_000_003 + step)
        optimizer.param_groups[0]["lr"] = LR if step < steps / 2 else LR / 10
        x = torch.randperm(len(maps.partial))[:BATCH].to(device)
        y = x[torch.randperm(len(x)).to(device)]
        given = (maps.partial[x], maps.region[x], maps.cut[x], maps.whole[x], maps.whole[y])
        true = corresponding(maps.within[x], maps.body[y])
        optimizer.zero_grad()
        each((params, buffers), weights, *given, true).sum().backward()
        optimizer.step()
    trained = {name: value.detach() for name, value in {**params, **buffers}.items()}
    for n, locator in enumerate(locators):
        own = locator.state_dict()
        locator.load_state_dict({name: trained[name][n] for name in own})


def measure(
    model: PPCL, maps: Maps, locators: Sequence[CRLoc], owner: Tensor
) -> tuple[Tensor, Tensor]:
    """Of the rows of ``ALL``, or of other locators, and every probe [R, N] the overlap with its
    true region in the image of its ``owner`` [N], and the average precision of ranking that among
    ``PEOPLE``."""
    first, neck = locators[0].eval(), model.reid.neck
    rows, columns = first.rows(maps.partial, maps.region), first.columns(maps.whole)
    wanted, device = neck(model.region(maps.partial, maps.region)), maps.region.device
    iou, ap = (torch.empty(len(locators) + 3, len(owner)) for _ in range(2))
    for start in range(0, len(maps.whole), PEOPLE):
        some = slice(start, start + PEOPLE)
        index = ((owner >= start) & (owner < start + PEOPLE)).nonzero().flatten()
        found = []
        for n in index.tolist():
            region = maps.region[n].expand(len(columns[some]), 4)
            x = first.correlation(rows[n] @ columns[some].mT, region)
            learned = [locator.eval().read(x, region) for locator in locators]
            true = corresponding(maps.within[n], maps.body[some])
            found.append(torch.stack([region, frame(len(region), device), *learned, true]))
        box, mine = torch.stack(found, 1), owner[index] - start  # [R, n, PEOPLE, 4]
        own = box[:, torch.arange(len(index)), mine].clamp(-1, 1)
        iou[:, index] = box_iou(own, own[-1:]).cpu()
        gallery = model.region.prepare(maps.whole[some], neck)
        for row, regions in enumerate(box):
            asked = wanted[index.to(wanted.device)]
            distance = model.region.distance(asked, gallery, regions, first.cells).cpu()
            # ties count against a row: regions beyond the frame read nothing, all alike
            ap[row, index] = 1 / (distance <= distance.gather(1, mine[:, None])).sum(1).float()
    return iou, ap


def town_and_probes(
    load: Callable[..., Dataset], error: float, test_ids: int
) -> tuple[pd.DataFrame, Dataset]:
    """The training images of a town with that detector's error, and the probes of its test."""
    few = {"images": 2, "distractors": 0, "junk": 0, "test_only": True, "test_ids": test_ids}
    return load(detector_error=error).train, probes(load(detector_error=error, **few))


def values(
    run: Run,
    train_on: pd.DataFrame,
    test: Dataset,
    noise: float,
    steps: int,
    rows: Weights = ROWS,
    readings: Sequence[Coordinates] = COORDINATES,
) -> dict[str, Tensor]:
    """ "IoU" and "mAP" [C, R, N] of ``readings``, of ``rows`` between the three of ``ALL`` that
    have no locator, and of the probes of ``test`` (of ``probes``), with F and GLRec of a trained
    ``run``; stored beside it, read if stored before."""
    named = [VERSION, noise, steps, BATCH, LR, DECAY, IMAGES, PEOPLE, test.fingerprint]
    if rows is not ROWS:
        named += [rows, readings]
    key = fingerprint_text(json.dumps([*named, len(train_on), len(test.query)]))
    file = run.path / "decisive" / f"{key}.safetensors"
    if file.is_file():
        return load_file(file)
    model, seed = run.load_model(pick_device()), run.recipe.seed
    if not isinstance(model, PPCL) or model.rectifier is None or model.locator is None:
        raise ReidError(f"{run.path.name} is no PPCL with a rectifier and a locator: name one")
    found, device, cells = [], device_of(model), model.locator.cells
    with evaluating(model, gradients=True):
        with torch.no_grad():
            learned = training_maps(model, train_on, noise, seed)
            tested = test_maps(model, test, noise)
        for coordinates in readings:
            locators = []
            for _ in rows:
                torch.manual_seed(seed)  # all start alike
                locators.append(CRLoc(cells, coordinates=coordinates).to(device))
            train(learned, locators, steps, seed, rows)
            with torch.no_grad():
                found.append(measure(model, tested, locators, owners(test)))
    iou, ap = (torch.stack(parts) for parts in zip(*found, strict=True))
    with atomic_path(file) as part:
        save_file({"IoU": iou, "mAP": ap}, part)
    return {"IoU": iou, "mAP": ap}


def table(
    runs: Sequence[Run],
    load: Callable[..., Dataset],
    *,
    steps: int = STEPS,
    test_ids: int = PROBED,
    noises: Sequence[float] = (0.0, 0.15),
    errors: Sequence[float] = (0.08, 0.2),
) -> pd.DataFrame:
    """Every row with every reading of the output, with F and GLRec of ``runs`` (seeds), tidy.

    load: the dataset with the options given. noises: added to what GLRec says; errors: of the
    detector, whose images locators are trained and tested on.

    Columns: error, noise, coordinates ("" of what has none), row, metric (IoU, or mAP in percent),
    mean, sd (over seeds), gain over ``FIXED`` with low and high (95 %, people and seeds resampled),
    share (of the gain of the supervised row with relative coordinates, in percent; NaN where that
    gain is within chance), over_whole with whole_low and whole_high (the same gain over ``WHOLE``),
    probes, people, n (seeds).
    """
    lines: list[dict[str, Any]] = []
    for error in errors:
        town, test = town_and_probes(load, error, test_ids)
        for noise in noises:
            each = [values(run, town, test, noise, steps) for run in runs]
            for metric, scale in METRICS.items():
                found = scale * torch.stack([one[metric] for one in each]).double()  # [S, C, R, N]
                lines += [{"error": error, "noise": noise, **line, "metric": metric}
                          for line in _lines(found, test.query["pid"])]  # fmt: skip
    return pd.DataFrame(lines)


def _lines(found: Tensor, people: pd.Series) -> Iterator[dict[str, Any]]:
    """Of values [S, C, R, N] each row's once, or with each of ``COORDINATES``."""
    fixed, whole, told = (found[:, 0, ALL.index(row)] for row in (FIXED, WHOLE, "supervised"))
    best = bootstrap(told, people, minus=fixed)
    for row, c in itertools.product(range(len(ALL)), range(len(COORDINATES))):
        alone = ALL[row] in (FIXED, WHOLE, TRUE)
        if alone and c:
            continue
        some = found[:, c, row]
        gain, over = (bootstrap(some, people, minus=start) for start in (fixed, whole))
        share = 100 * gain.value / best.value if best.low > 0 else float("nan")
        each = some.mean(1)
        yield {"coordinates": "" if alone else COORDINATES[c], "row": ALL[row],
               "mean": each.mean().item(),
               "sd": each.std().item() if len(each) > 1 else float("nan"),
               "gain": gain.value, "low": gain.low, "high": gain.high, "share": share,
               "over_whole": over.value, "whole_low": over.low, "whole_high": over.high,
               "probes": gain.n, "people": gain.people, "n": len(each)}  # fmt: skip


def wide(found: pd.DataFrame) -> pd.DataFrame:
    """``table`` for a reader: one line a row, for each metric and condition the gain in points,
    with a sign where chance does not explain it (* a gain, † a loss), and in brackets its share of
    the supervised gain; of ``FIXED`` the value itself. Rows that are ``UNTRAINED`` say so."""
    signs = {"holds": "*", "reversed": "†"}

    def cell(line: pd.Series) -> str:
        points = 100 if line["metric"] == "IoU" else 1
        if line["row"] == FIXED:
            return f"{points * line['mean']:.1f}"
        bounds = (line["gain"], line["low"], line["high"])
        verdict = judge(*bounds, least=least(line["metric"]), seeds=line["n"])
        share = "" if math.isnan(line["share"]) else f" ({line['share']:.0f} %)"
        return f"{points * line['gain']:+.1f}{signs.get(verdict, '')}{share}"

    condition = found["metric"] + found["error"].map(", detector {:g}".format)
    condition += found["noise"].map(lambda noise: f", noise {noise:g}" if noise else "")
    still = found["row"].isin(UNTRAINED) & (found["coordinates"] == "relative")
    names = found["row"] + still.map({True: " (untrained)", False: ""})
    shown = found.assign(condition=condition, shown=found.apply(cell, axis=1), row=names)
    order = {name: list(dict.fromkeys(shown[name])) for name in ("coordinates", "row", "condition")}
    table = shown.pivot(index=["coordinates", "row"], columns="condition", values="shown")
    lines = [x for x in itertools.product(order["coordinates"], order["row"]) if x in table.index]
    return table.loc[lines, order["condition"]].rename_axis(columns=None).reset_index()


def gain_of(line: Mapping[Any, Any]) -> Interval:
    """The gain that a line of a table says."""
    return Interval(*(line[key] for key in ("gain", "low", "high", "people", "n", "probes")))


def claims(found: pd.DataFrame) -> list[Claim]:
    """The paper's sentences about CRLoc, judged on ``table``, with the rectifier as it is and the
    detector of the town that F knows: the first noise and the first error. What ranks better than
    GLRec's regions must also rank better than ``WHOLE``."""
    first = found[(found["error"] == found["error"].iloc[0]) & (found["noise"] == 0)]
    asked = [
        ("comparing true regions ranks better than GLRec's", TRUE, "", "mAP"),
        ("a locator that is told true regions finds them", "supervised", "relative", "IoU"),
        ("PP-Triplet alone teaches the region", "maps, cycle 0", "relative", "IoU"),
        ("PP-Triplet alone teaches the region", "maps, cycle 0", "absolute", "IoU"),
        ("PP-Cycle alone teaches the region", "none, cycle 10", "absolute", "IoU"),
        *(
            ("both teach the region", "maps, cycle 10", reading, metric)
            for reading in COORDINATES
            for metric in ("IoU", "mAP")
        ),
        ("a cycle back to the known cut teaches it", "maps, cycle 10 to the cut", "relative",
         "IoU"),
    ]  # fmt: skip
    made = []
    for text, row, reading, metric in asked:
        same = (first["row"] == row) & (first["coordinates"] == reading)
        (line,) = first[same & (first["metric"] == metric)].to_dict("records")
        gain = gain_of(line)
        control = None
        if metric == "mAP":
            over = (line["over_whole"], line["whole_low"], line["whole_high"])
            control = (WHOLE, gain._replace(value=over[0], low=over[1], high=over[2]))
        claim = f"{text}, {reading} ({metric})" if reading else f"{text} ({metric})"
        digits = 3 if metric == "IoU" else 1
        made.append(judged(claim, "4.3", gain, metric, control=control, digits=digits))
    return made
