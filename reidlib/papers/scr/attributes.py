"""How much features tell of small things (SCR, section 2: secondary information), as a number.

SCR argues that partitions keep what attention to the primary information drops: the strap of a
bag, the shoes, a logo. Embedded people have these as attributes. A linear probe is fitted on some
people's images and read on other people's: what it finds there lies in the feature itself, in a
linear direction.

Three people share each outfit. What is drawn anew for an interval is therefore the outfit, no
outfit is on both sides of the probe, and of two sides by the parity of the pid none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.bank import ImageBank
from reidlib.data.drawn.people.palette import PALETTE
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.compare import Interval, bootstrap
from reidlib.evaluate.encode import encode_split
from reidlib.models import ReIDModel
from reidlib.models.base import device_of

RIDGES = tuple(10.0**k for k in range(-5, 5))
FOLDS = 3
OUTFITS = 4  # a value that is seen in fewer outfits, on either side, is not asked for
PIXELS = (24, 12)  # rows and columns that ``pixels`` shrinks an image to


def tone(colour: str) -> str:
    """A colour of the palette as "vivid" (largest and smallest of r, g, b differ by 80 or more),
    else "dark" (mean below 110) or "light": seventeen names would leave few people for each."""
    rgb = PALETTE[colour]
    if max(rgb) - min(rgb) >= 80:
        return "vivid"
    return "dark" if sum(rgb) / 3 < 110 else "light"


# What is asked of a person's attributes; small things first, large areas (PRIMARY) last.
# An attribute belongs to the person: it is asked of images that do not show it, too.
TARGETS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "strap": lambda t: t["bag"].isin(("backpack", "shoulder")),  # yes, no
    "bag": lambda t: t["bag"],  # backpack, shoulder, hand, none
    "hat": lambda t: t["hat"] != "none",  # yes, no
    "logo": lambda t: t["logo"] != "none",  # any print on the chest or back: yes, no
    "shoes": lambda t: t["shoes"].map(tone),  # dark, light, vivid
    "hair": lambda t: t["hair"].isin(("long", "bob", "ponytail", "curly")),  # long, short
    "glasses": lambda t: t["glasses"].astype(str),  # yes, no
    "beard": lambda t: t["beard"].astype(str),  # yes, no
    "sleeves": lambda t: t["sleeves"],  # long, short
    "lower garment": lambda t: t["lower"],  # trousers, shorts, skirt
    "upper colour": lambda t: t["upper_colour"].map(tone),  # dark, light, vivid
    "lower colour": lambda t: t["lower_colour"].map(tone),  # dark, light, vivid
}

PRIMARY = ("sleeves", "lower garment", "upper colour", "lower colour")
SECONDARY = tuple(name for name in TARGETS if name not in PRIMARY)


@dataclass(frozen=True, eq=False)
class Probe:
    """What a linear probe reads of each attribute from each feature. table: as ``attribute_probe``
    says. right: by feature and attribute, whether it was right on each image that was asked, and
    each image's value; which images that were (positions in ``outfit``), whose outfit each image
    of the tested side is."""

    table: pd.DataFrame
    right: Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]
    asked: Mapping[str, np.ndarray]
    outfit: np.ndarray

    def cells(self, feature: str, attributes: Sequence[str]) -> np.ndarray:
        """[N, K]: of every value of the attributes whether each image has it and was read right,
        then, in the second half, whether it has it."""
        hits, there = [], []
        for name in attributes:
            right, value = self.right[feature, name]
            one_hot = np.zeros((len(self.outfit), value.max() + 1))
            one_hot[self.asked[name], value] = 1
            read = np.zeros(len(self.outfit))
            read[self.asked[name]] = right
            hits.append(one_hot * read[:, None])
            there.append(one_hot)
        return np.concatenate([*hits, *there], 1)

    def values(self, attributes: Sequence[str]) -> list[int]:
        """How many values each of the attributes has."""
        names = self.table.drop_duplicates("attribute").set_index("attribute")["values"]
        return [int(names[name]) for name in attributes]


def balanced(values: Sequence[int]) -> Callable[[np.ndarray], np.ndarray]:
    """The statistic of ``bootstrap`` over ``Probe.cells``: the mean over attributes of their
    balanced accuracy in percent. A draw without anybody who has one of the values is NaN, which the
    bootstrap leaves out: every value counts in every draw."""
    weight = np.concatenate([np.full(n, 100 / n / len(values)) for n in values])

    def accuracy(sums: np.ndarray) -> np.ndarray:
        half = len(weight)
        with np.errstate(invalid="ignore"):
            shares = sums[..., :half] / sums[..., half : 2 * half]
        return shares @ weight

    return accuracy


def told_more(
    probes: Sequence[Probe], before: str, after: str, attributes: Sequence[str]
) -> Interval:
    """By how many points the feature ``after`` tells more of the attributes than ``before``: the
    mean over those of ``attributes`` that were asked, with an interval over outfits and seeds.
    probes: of each seed, on the same people."""
    asked = [name for name in attributes if name in probes[0].asked]
    one, two = (np.stack([p.cells(f, asked) for p in probes]) for f in (before, after))
    statistic = balanced(probes[0].values(asked))
    return bootstrap(two, probes[0].outfit, minus=one, statistic=statistic, repeats=2000)


def pixels(*sides: pd.DataFrame) -> tuple[Tensor, ...]:
    """The feature that no network is needed for: the images of each table shrunk to PIXELS and
    strung together, [N, 3 * 24 * 12]."""
    banks = [ImageBank.from_split(side, PIXELS) for side in sides]
    return tuple(bank.images(slice(0, len(bank))).flatten(1) for bank in banks)


def attribute_probe(
    features: Mapping[str, tuple[Tensor, Tensor]],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    targets: Sequence[str] | None = None,
    components: int | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> Probe:
    """What a linear probe reads of each attribute from each feature, on people it did not see.

    features: name -> features [N, D] of the images of ``train`` and [M, D] of those of ``test``,
    tables of embedded people (pid, outfit and attributes). Images of nobody (pid 0 or -1) are left
    out. targets: keys of TARGETS; None: all that have two values or more. A value counts if it is
    seen in OUTFITS outfits on both sides; images with another one are left out. The probe is ridge
    regression to one-hot values, weighted so that all values count alike, from features
    standardised on the training side; its strength is the one of RIDGES that is best on left-out
    outfits of the training side.
    A longer feature tells a linear probe more: to compare like with like choose equal D, or
    ``components``, which keeps so many principal components of the standardised training features.
    The interval says what other people of ``test`` would give, not other people to fit on.

    The table has a row for each feature and attribute: feature, attribute, accuracy (balanced: the
    mean over values of the share of their images that is right), low, high (95 %, bootstrap over
    the outfits of ``test``, no draw without any of the values), chance (1 / values), all in
    percent; values, people, outfits, images (of ``test``), dimension, ridge. Raises ReidError if
    somebody's outfit is on both sides or an attribute has one value.
    """
    sides = [table["pid"].to_numpy() > 0 for table in (train, test)]
    train, test = train[sides[0]], test[sides[1]]
    for what, column in (("person", "pid"), ("outfit", "outfit")):
        if both := sorted(set(train[column]) & set(test[column])):
            raise ReidError(f"{what} {both[0]} is on both sides: fit and test on different people")
    asked = {name: _labels(train, test, name) for name in targets or TARGETS}
    short = [name for name, (*_, values) in asked.items() if len(values) < 2]
    if short and (targets or len(short) == len(asked)):
        raise ReidError(
            f'"{short[0]}" has {len(asked[short[0]][2])} values that {OUTFITS} outfits have on '
            "both sides: take more people, or other targets"
        )
    asked = {name: labels for name, labels in asked.items() if name not in short}
    outfit = test["outfit"].to_numpy()
    right, there = {}, {name: np.flatnonzero(told >= 0) for name, (_, told, _) in asked.items()}
    rows = []
    for feature, given in features.items():
        x, y = _prepared(feature, given, sides, components)
        for attribute, (fit, told, values) in asked.items():
            known, these = fit >= 0, there[attribute]
            who = train["outfit"].to_numpy()[known]
            ridge = _best_ridge(x[known], fit[known], who, len(values), seed)
            weights = _ridge(x[known], fit[known], len(values), [ridge])[0]
            read = _read(weights, y[these]) == told[these]
            right[feature, attribute] = read, told[these]
            rows.append(
                {
                    "feature": feature,
                    "attribute": attribute,
                    "chance": 100 / len(values),
                    "values": len(values),
                    "people": test.iloc[these]["pid"].nunique(),
                    "outfits": len(set(outfit[these])),
                    "images": len(these),
                    "dimension": x.shape[1],
                    "ridge": ridge,
                }
            )
    found = Probe(pd.DataFrame(rows), right, there, outfit)
    for k, row in enumerate(rows):
        name = [str(row["attribute"])]
        one = bootstrap(
            found.cells(str(row["feature"]), name)[None], outfit,
            statistic=balanced(found.values(name)), repeats=repeats, seed=seed,
        )  # fmt: skip
        rows[k] = row | {"accuracy": one.value, "low": one.low, "high": one.high}
    return Probe(pd.DataFrame(rows), right, there, outfit)


def features_of(
    models: Mapping[str, ReIDModel],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    flip: bool = False,
    device: torch.device | str | None = None,
) -> dict[str, tuple[Tensor, Tensor]]:
    """The feature of each model for the images of both tables, as ``attribute_probe`` takes them.

    On the people that a model was trained on its features are better than elsewhere: tables of two
    halves of the test people ask more fairly than training against test people.
    """
    found = {}
    banks: dict[tuple[int, int], list[ImageBank]] = {}
    for name, model in models.items():
        where = device if device is not None else device_of(model)
        if model.size not in banks:
            banks[model.size] = [ImageBank.from_split(t, model.size, where) for t in (train, test)]
        one, two = (
            encode_split(model, bank, flip=flip, device=where)["feature"].cpu()
            for bank in banks[model.size]
        )
        found[name] = (one, two)
    return found


def _labels(
    train: pd.DataFrame, test: pd.DataFrame, name: str
) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Values as numbers on both sides (-1: too few outfits have it), and the values."""
    if name not in TARGETS:
        raise ReidError(f'no attribute "{name}"{nearest(name, TARGETS)}')
    try:
        sides = [TARGETS[name](table) for table in (train, test)]
    except KeyError as error:
        raise ReidError(
            f"the tables have no column {error}, of embedded people: there are no attributes to ask"
        ) from None
    counts = [t["outfit"].groupby(v).nunique() for t, v in zip((train, test), sides, strict=True)]
    values = [v for v in counts[0].index if min(c.get(v, 0) for c in counts) >= OUTFITS]
    one, two = (pd.Index(values).get_indexer(side) for side in sides)
    return one, two, values


def _prepared(
    name: str, given: tuple[Tensor, Tensor], sides: Sequence[np.ndarray], components: int | None
) -> tuple[Tensor, Tensor]:
    """Both sides, float64, standardised and perhaps projected as the training side says."""
    for side, feature in zip(sides, given, strict=True):
        if feature.ndim != 2 or len(feature) != len(side):
            raise ReidError(
                f"the features of {name} are {list(feature.shape)}, not [{len(side)}, D]"
            )
    x, y = (
        f.detach().cpu().double()[torch.from_numpy(s)] for f, s in zip(given, sides, strict=True)
    )
    mean, spread = x.mean(0), x.std(0)
    spread = torch.where(spread > 1e-12, spread, 1.0)
    x, y = (x - mean) / spread, (y - mean) / spread
    if components is None:
        return x, y
    if not 1 <= components <= min(x.shape):
        raise ReidError(f"components is {components}, {name} has 1 to {min(x.shape)}")
    axes = torch.linalg.svd(x, full_matrices=False).Vh[:components].T
    return x @ axes, y @ axes


Weights = tuple[Tensor, Tensor]  # [D, C] and the mean [D] that is taken off before


def _ridge(x: Tensor, value: np.ndarray, number: int, ridges: Sequence[float]) -> list[Weights]:
    """argmin over b of sum_i w_i |y_i - x_i b|^2 + ridge |b|^2 for each ridge, in closed form.

    w: 1 over how often a value occurs. x is scaled so that its rows have a mean square of about 1.
    """
    label = torch.from_numpy(value)
    w = 1 / torch.bincount(label, minlength=number).to(x.dtype)[label].clamp(min=1)
    w = w * len(w) / w.sum()
    mean = (w[:, None] * x).mean(0)
    scale = x.shape[1] ** 0.5
    root = w.sqrt()[:, None]
    a, y = root * (x - mean) / scale, root * (F.one_hot(label, number).to(x.dtype) - 1 / number)
    wide = a.shape[1] > a.shape[0]
    gram, right = (a @ a.T, y) if wide else (a.T @ a, a.T @ y)
    eye = torch.eye(len(gram), dtype=x.dtype)
    solved = [torch.linalg.solve(gram + ridge * eye, right) for ridge in ridges]
    return [((a.T @ b if wide else b) / scale, mean) for b in solved]


def _read(weights: Weights, x: Tensor) -> np.ndarray:
    """The value that the probe says, [N]."""
    return ((x - weights[1]) @ weights[0]).argmax(1).numpy()


def _best_ridge(x: Tensor, value: np.ndarray, who: np.ndarray, number: int, seed: int) -> float:
    """The ridge with the best balanced accuracy on outfits left out of the fit, in FOLDS parts."""
    people, index = np.unique(who, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(people)) % FOLDS)[index]
    said = np.full((len(RIDGES), len(value)), -1)
    for part in range(FOLDS):
        out = fold == part
        if out.any() and not out.all():
            fits = _ridge(x[~out], value[~out], number, RIDGES)
            said[:, out] = [_read(weights, x[out]) for weights in fits]
    share = [np.mean([(row == value)[value == v].mean() for v in range(number)]) for row in said]
    return RIDGES[int(np.argmax(share))]
