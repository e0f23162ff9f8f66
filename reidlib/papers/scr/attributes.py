"""How much features tell of small things (SCR, section 2: secondary information), as a number.

SCR argues that partitions keep what attention to the primary information drops: the strap of a
bag, the shoes, a logo. Embedded people have these as attributes. A linear probe is fitted on some
people's images and read on other people's: what it finds there lies in the feature itself, in a
linear direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.bank import ImageBank
from reidlib.data.drawn.people.palette import PALETTE
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.encode import encode_split
from reidlib.models import ReIDModel
from reidlib.models.base import device_of

RIDGES = (0.1, 1.0, 10.0, 100.0, 1000.0)
FOLDS = 3
PEOPLE = 2  # a value that fewer people have, on either side, is not asked for


def tone(colour: str) -> str:
    """A colour of the palette as "vivid" (largest and smallest of r, g, b differ by 80 or more),
    else "dark" (mean below 110) or "light": seventeen names would leave few people for each."""
    rgb = PALETTE[colour]
    if max(rgb) - min(rgb) >= 80:
        return "vivid"
    return "dark" if sum(rgb) / 3 < 110 else "light"


# What is asked of a person's attributes; small things first, large areas last, for comparison.
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


def attribute_probe(
    features: Mapping[str, tuple[Tensor, Tensor]],
    train: pd.DataFrame,
    test: pd.DataFrame,
    *,
    targets: Sequence[str] | None = None,
    components: int | None = None,
    repeats: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """What a linear probe reads of each attribute from each feature, on people it did not see.

    features: name -> features [N, D] of the images of ``train`` and [M, D] of those of ``test``,
    tables of embedded people (pid and attributes). Images of nobody (pid 0 or -1) are left out.
    targets: keys of TARGETS; None: all that have two values or more. A value counts if PEOPLE
    people have it on both sides; images with another one are left out. The probe is ridge
    regression to one-hot values, weighted so that all values count alike, from features
    standardised on the training side; its strength is the one of RIDGES that is best on left-out
    people of the training side.
    A longer feature tells a linear probe more: to compare like with like choose equal D, or
    ``components``, which keeps so many principal components of the standardised training features.
    The interval says what other people of ``test`` would give, not other people to fit on: with a
    few dozen of these a probe that finds nothing may also lie below chance.

    Returns a row for each feature and attribute: feature, attribute, accuracy (balanced: the mean
    over values of the share of their images that is right), low, high (bootstrap over the
    people of ``test``), chance (1 / values), all in percent; values, people, images (of ``test``),
    dimension, ridge. Raises ReidError if someone is on both sides or an attribute has one value.
    """
    sides = [table["pid"].to_numpy() > 0 for table in (train, test)]
    train, test = train[sides[0]], test[sides[1]]
    if both := sorted(set(train["pid"]) & set(test["pid"])):
        raise ReidError(f"person {both[0]} is on both sides: fit and test on different people")
    if repeats < 1 or not 0 < level < 1:
        raise ReidError(f"repeats is {repeats}, level {level}: need one, and a level in (0, 1)")
    asked = {name: _labels(train, test, name) for name in targets or TARGETS}
    short = [name for name, (*_, values) in asked.items() if len(values) < 2]
    if short and (targets or len(short) == len(asked)):
        raise ReidError(
            f'"{short[0]}" has {len(asked[short[0]][2])} values that {PEOPLE} people have on both '
            "sides: take more people, or other targets"
        )
    asked = {name: labels for name, labels in asked.items() if name not in short}
    rows = []
    for feature, given in features.items():
        x, y = _prepared(feature, given, sides, components)
        for attribute, (fit, told, values) in asked.items():
            known, there = fit >= 0, told >= 0
            who = train["pid"].to_numpy()[known]
            ridge = _best_ridge(x[known], fit[known], who, len(values), seed)
            weights = _ridge(x[known], fit[known], len(values), [ridge])[0]
            right = _read(weights, y[there]) == told[there]
            found = _balanced(
                right, told[there], test["pid"].to_numpy()[there], repeats, seed, level
            )
            rows.append(
                {
                    "feature": feature,
                    "attribute": attribute,
                    **dict(zip(("accuracy", "low", "high"), found, strict=True)),
                    "chance": 100 / len(values),
                    "values": len(values),
                    "people": test["pid"][there].nunique(),
                    "images": int(there.sum()),
                    "dimension": x.shape[1],
                    "ridge": ridge,
                }
            )
    return pd.DataFrame(rows)


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
    """Values as numbers on both sides (-1: too few people have it), and the values."""
    if name not in TARGETS:
        raise ReidError(f'no attribute "{name}"{nearest(name, TARGETS)}')
    try:
        sides = [TARGETS[name](table) for table in (train, test)]
    except KeyError as error:
        raise ReidError(
            f"the tables have no column {error}, of embedded people: there are no attributes to ask"
        ) from None
    counts = [t["pid"].groupby(v).nunique() for t, v in zip((train, test), sides, strict=True)]
    values = [v for v in counts[0].index if min(c.get(v, 0) for c in counts) >= PEOPLE]
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
    """The ridge with the best balanced accuracy on people left out of the fit, in FOLDS parts."""
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


def _balanced(
    right: np.ndarray, value: np.ndarray, who: np.ndarray, repeats: int, seed: int, level: float
) -> tuple[float, float, float]:
    """Balanced accuracy in percent and its percentile interval over resampled people."""
    people, index = np.unique(who, return_inverse=True)
    hits, total = np.zeros((2, len(people), value.max() + 1))
    np.add.at(total, (index, value), 1)
    np.add.at(hits, (index, value), right)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), repeats)
    with np.errstate(invalid="ignore"):  # a value that nobody drawn has does not count
        drawn = np.nanmean((times @ hits) / (times @ total), axis=1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    mean = (hits.sum(0) / total.sum(0)).mean()
    return 100 * float(mean), 100 * float(low), 100 * float(high)
