"""How sure a mean or a difference is: one bootstrap, over people and over seeds.

The numbers of a table vary for two reasons that have nothing to do with the method: which people
were photographed, and which seed the training had. Both are drawn anew here, each with
replacement, as the rows and the columns of one table (the two-way bootstrap of McCullagh,
Resampling and exchangeable arrays, Bernoulli 2000; "pigeonhole bootstrap" in Owen, Annals of
Applied Statistics 2007):

- people: whole clusters of observations, since a person's queries resemble one another;
- seeds, where there are two or more: the deviations from their mean are stretched by
  sqrt(S / (S - 1)), without which S drawn seeds would vary by (S - 1) / S of their variance.

Differences are paired: every draw takes the same people, and with equally many seeds the same
seeds, of both sides. The interval is the percentile interval of the draws (Efron).

What it covers. Few seeds say little about how much seeds vary, and no resampling mends that. On
simulated trainings an interval of 95 % holds the true value in 93 to 95 % of cases where people
are what varies, in 91 to 93 % where seeds add as much; where seeds are all that varies in 90 % with
ten seeds, 88 with five, 80 with three and 63 with two. With one seed people alone are drawn: it
says nothing about other trainings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reidlib.errors import ReidError, nearest
from reidlib.evaluate.metrics import Metrics

VALUES = {"mAP": "ap", "mAP_trapezoidal": "ap_trapezoidal", "mINP": "inp"}
CELLS = 2**22  # drawn people held at once


class Interval(NamedTuple):
    """``value`` with its interval ``low`` to ``high``, and what it rests on: ``people`` (clusters
    that were drawn), ``seeds`` and ``n`` observations (queries, pairs, images) of each seed."""

    value: float
    low: float
    high: float
    people: int
    seeds: int
    n: int


def mean(sums: np.ndarray) -> np.ndarray:
    """The statistic of a bootstrap by default: sums [..., 2] of values and their number."""
    return sums[..., 0] / sums[..., 1]


def bootstrap(
    values: Any,
    people: Any = None,
    *,
    minus: Any = None,
    statistic: Callable[[np.ndarray], np.ndarray] = mean,
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The interval of a statistic's mean over seeds, or of a difference of two.

    ``values`` [N], [S,N] or [S,N,K] (array or tensor): of each seed and observation. ``minus``:
    the same of the other side of a difference, of the same observations. ``people`` [N]: whose
    each observation is; None: each is drawn by itself. ``statistic``: takes sums [..., K + 1] over
    observations, the last of which is their number, to [...]. Raises ReidError for shapes that do
    not fit, values that are not finite, and ``repeats`` or ``level`` out of range.
    """
    if repeats < 1 or not 0 < level < 1:
        raise ReidError(f"repeats is {repeats}, level {level}: need one, and a level in (0, 1)")
    sides = [_observations(side) for side in (values, minus) if side is not None]
    number = sides[0].shape[1]
    who = np.arange(number) if people is None else np.asarray(people)
    if any(side.shape[1] != number for side in sides) or who.shape != (number,) or not number:
        shapes = ", ".join(str(side.shape[:2]) for side in sides)
        raise ReidError(
            f"values of shape {shapes} (seeds, observations) and {who.size} people do not fit: "
            "give one value of each seed, and one person, for each observation"
        )
    names, cluster = np.unique(who, return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    starts = np.searchsorted(cluster[order], np.arange(len(names)))
    sums = [np.add.reduceat(side[:, order], starts, axis=1) for side in sides]  # [S,P,K+1]
    rng = np.random.default_rng(seed)
    parts = []
    for times in _draws(rng, len(names), repeats):
        drawn = [statistic(np.einsum("rp,spk->rsk", times, s, optimize=True)) for s in sums]
        weights: dict[int, np.ndarray] = {}
        for side in drawn:  # as many seeds: the same ones
            if side.shape[1] not in weights:
                weights[side.shape[1]] = _seeds(rng, *side.shape)
        means = [(weights[side.shape[1]] * side).mean(1) for side in drawn]
        parts.append(means[0] - means[1] if minus is not None else means[0])
    low, high = np.nanquantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2])
    found = [float(statistic(s.sum(1)).mean()) for s in sums]
    value = found[0] - found[1] if minus is not None else found[0]
    seeds = min(len(s) for s in sums)
    return Interval(value, float(low), float(high), len(names), seeds, number)


def _observations(values: Any) -> np.ndarray:
    """[S,N,K + 1] float64, with a column of ones."""
    array = np.asarray(values.cpu() if hasattr(values, "cpu") else values, dtype=np.float64)
    array = array[None] if array.ndim == 1 else array
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or not np.isfinite(array).all():
        raise ReidError(
            f"values of shape {array.shape} cannot be resampled: they must be finite and "
            "[observations] or [seeds, observations]"
        )
    return np.concatenate([array, np.ones((*array.shape[:2], 1))], axis=2)


def _draws(rng: np.random.Generator, number: int, repeats: int) -> Iterator[np.ndarray]:
    """How often each of ``number`` people is drawn: blocks [R,P] of ``repeats`` rows in all."""
    step = max(1, CELLS // number)
    for start in range(0, repeats, step):
        rows = min(step, repeats - start)
        drawn = rng.integers(0, number, (rows, number)) + np.arange(rows)[:, None] * number
        counts = np.bincount(drawn.ravel(), minlength=rows * number)
        yield counts.reshape(rows, number).astype(np.float64)


def _seeds(rng: np.random.Generator, repeats: int, number: int) -> np.ndarray:
    """The weights [R,S] of the seeds, 1 on average, with which their mean varies as much as it
    does between trainings."""
    if number == 1:
        return np.ones((repeats, 1))
    times = rng.multinomial(number, np.full(number, 1 / number), repeats)
    return 1 + (times - 1) * (number / (number - 1)) ** 0.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """``difference`` = mean of b - mean of a, in [-1,1]; ``low``, ``high``: its 95 % interval.

    ``a``, ``b``: both means. ``num_queries``: queries that count in both runs. ``changes``: those
    queries, largest change first (query, pid, cam, a, b, difference; query is the row number).
    ``people``, ``seeds``: how many the interval rests on; the fewer seeds of the two sides.
    ``short``: why the two are too short to be judged, "" if they are not (see ``verdict``).
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    num_queries: int
    changes: pd.DataFrame
    people: int = 0
    seeds: int = 1
    short: str = ""

    @property
    def significant(self) -> bool:
        """The interval does not contain 0."""
        return self.low > 0 or self.high < 0

    def __repr__(self) -> str:
        low, high = 100 * self.low, 100 * self.high
        explained = "more than chance" if self.significant else "within chance"
        seeds = f"{self.seeds} seed" + "s" * (self.seeds > 1)
        return (
            f"{self.metric} {100 * self.a:.2f} -> {100 * self.b:.2f}: {100 * self.difference:+.2f} "
            f"[{low:+.2f}, {high:+.2f}] over {self.num_queries} queries of {self.people} people "
            f"and {seeds}, {explained}"
        )


Runs = Metrics | Sequence[Metrics]  # one evaluation, or those of several seeds


def summary(values: Any, people: Any = None) -> dict[str, float]:
    """Of values [S,N] of seeds and observations: mean, sd (over the seeds, NaN for one), low and
    high (95 %, see ``bootstrap``), n (seeds)."""
    found = bootstrap(values, people)
    each = np.asarray(values, dtype=np.float64).mean(1)
    sd = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
    return {"mean": found.value, "sd": sd, "low": found.low, "high": found.high, "n": len(each)}


def compare(
    a: Runs,
    b: Runs,
    metric: str = "mAP",
    *,
    unit: str = "pid",
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """The difference between two evaluations, each of one or several seeds, with its interval.

    ``a``, ``b``: of the same queries in the same order. ``metric``: "mAP", "mAP_trapezoidal",
    "mINP" or "rank<k>" for any k. ``unit``: what is drawn with the seeds, "pid" for whole people,
    or "query" (a narrower interval, for queries that have nothing in common). Raises ReidError if
    the queries differ or none counts in both.
    """
    one, two = per_query(a, metric), per_query(b, metric)
    if not one.labels.equals(two.labels):
        raise ReidError("the two runs were not evaluated on the same queries: nothing to pair")
    counts = np.isfinite(one.values).all(0) & np.isfinite(two.values).all(0)
    if not counts.any():
        raise ReidError("no query has a true match in both runs")
    labels, before, after = one.labels[counts], one.values[:, counts], two.values[:, counts]
    found = bootstrap(
        after, _clusters(labels, unit), minus=before, repeats=repeats, seed=seed, level=level
    )
    table = labels.assign(query=labels.index, a=before.mean(0), b=after.mean(0))
    table = table[["query", "pid", "cam", "a", "b"]].assign(difference=table["b"] - table["a"])
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return Comparison(
        metric, float(before.mean()), float(after.mean()), found.value, found.low, found.high,
        found.n, table.loc[order].reset_index(drop=True), labels["pid"].nunique(), found.seeds,
    )  # fmt: skip


def interval(
    runs: Runs,
    metric: str = "mAP",
    *,
    unit: str = "pid",
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The interval of a mean over queries and seeds, in [0,1] or, with seeds that differ much, a
    little beyond; NaN if no query counts. Arguments as in ``compare``."""
    found = per_query(runs, metric)
    counts = np.isfinite(found.values).all(0)
    people = _clusters(found.labels[counts], unit)
    if not counts.any():
        return float("nan"), float("nan")
    result = bootstrap(found.values[:, counts], people, repeats=repeats, seed=seed, level=level)
    return result.low, result.high


class PerQuery(NamedTuple):
    """labels: pid and cam of every query; values [S,Q] of every seed, NaN where it does
    not count."""

    labels: pd.DataFrame
    values: np.ndarray


def per_query(runs: Runs, metric: str) -> PerQuery:
    """What each query of each seed scores. Raises ReidError as ``compare``."""
    tables = [run.per_query for run in ([runs] if isinstance(runs, Metrics) else runs)]
    if not tables:
        raise ReidError("there is no evaluation to compare: give at least one")
    labels = tables[0][["pid", "cam"]].reset_index(drop=True)
    if not all(labels.equals(table[["pid", "cam"]]) for table in tables[1:]):
        raise ReidError("the seeds were not evaluated on the same queries: nothing to average")
    return PerQuery(labels, np.stack([_values(table, metric) for table in tables]))


def _values(table: pd.DataFrame, metric: str) -> np.ndarray:
    if metric in VALUES:
        return table[VALUES[metric]].to_numpy()
    if metric.startswith("rank") and metric[4:].isdigit() and int(metric[4:]) > 0:
        first = table["first_hit"]
        return (first <= int(metric[4:])).astype(float).where(first.notna()).to_numpy()
    raise ReidError(f'unknown metric "{metric}"{nearest(metric, [*VALUES, "rank1"])}')


def _clusters(labels: pd.DataFrame, unit: str) -> np.ndarray | None:
    if unit not in ("query", "pid"):
        raise ReidError(f'unknown unit "{unit}"{nearest(unit, ("query", "pid"))}')
    return labels["pid"].to_numpy() if unit == "pid" else None
