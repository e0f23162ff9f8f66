"""Whether two runs differ by more than chance: a paired bootstrap over queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from reidlib.errors import ReidError, nearest
from reidlib.metrics import Metrics

VALUES = {"mAP": "ap", "mAP_trapezoidal": "ap_trapezoidal", "mINP": "inp"}
CELLS = 2**22  # resampled values held at once


@dataclass(frozen=True, eq=False)
class Comparison:
    """``difference`` = mean of b - mean of a, in [-1,1]; ``low``, ``high``: its 95 % interval.

    ``a``, ``b``: both means. ``num_queries``: queries that count in both runs. ``changes``: those
    queries, largest change first (query, pid, cam, a, b, difference; query is the row number).
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    num_queries: int
    changes: pd.DataFrame

    @property
    def significant(self) -> bool:
        """The interval does not contain 0."""
        return self.low > 0 or self.high < 0

    def __repr__(self) -> str:
        low, high = 100 * self.low, 100 * self.high
        verdict = "more than chance" if self.significant else "within chance"
        return (
            f"{self.metric} {100 * self.a:.2f} -> {100 * self.b:.2f}: {100 * self.difference:+.2f} "
            f"[{low:+.2f}, {high:+.2f}] over {self.num_queries} queries, {verdict}"
        )


def compare(
    a: Metrics,
    b: Metrics,
    metric: str = "mAP",
    *,
    unit: str = "query",
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Paired bootstrap (Efron's percentile interval) of the difference between two evaluations.

    ``a``, ``b``: of the same queries in the same order. ``metric``: "mAP", "mAP_trapezoidal",
    "mINP" or "rank<k>" for any k. ``unit``: what is drawn with replacement, "query", or "pid" for
    whole persons, whose queries resemble one another (a wider, more careful interval). Raises
    ReidError if the queries differ or none counts in both.
    """
    one, two = a.per_query, b.per_query
    if not one[["pid", "cam"]].equals(two[["pid", "cam"]]):
        raise ReidError("the two runs were not evaluated on the same queries: nothing to pair")
    if unit not in ("query", "pid"):
        raise ReidError(f'unknown unit "{unit}"{nearest(unit, ("query", "pid"))}')
    table = pd.DataFrame(
        {
            "query": np.arange(len(one)),
            "pid": one["pid"],
            "cam": one["cam"],
            "a": _values(one, metric),
            "b": _values(two, metric),
        }
    ).dropna()
    if table.empty:
        raise ReidError("no query has a true match in both runs")
    table["difference"] = table["b"] - table["a"]
    low, high = _interval(table, unit, repeats, seed, level)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    changes = table.loc[order].reset_index(drop=True)
    a_mean, b_mean, difference = (float(table[x].mean()) for x in ("a", "b", "difference"))
    return Comparison(metric, a_mean, b_mean, difference, low, high, len(table), changes)


def _values(per_query: pd.DataFrame, metric: str) -> pd.Series:
    if metric in VALUES:
        return per_query[VALUES[metric]]
    if metric.startswith("rank") and metric[4:].isdigit() and int(metric[4:]) > 0:
        first = per_query["first_hit"]
        return (first <= int(metric[4:])).astype(float).where(first.notna())
    raise ReidError(f'unknown metric "{metric}"{nearest(metric, [*VALUES, "rank1"])}')


def _interval(
    table: pd.DataFrame, unit: str, repeats: int, seed: int, level: float
) -> tuple[float, float]:
    groups = table.groupby("pid" if unit == "pid" else "query")["difference"]
    total, size = groups.sum().to_numpy(), groups.size().to_numpy()
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, CELLS // len(total))
    for start in range(0, repeats, step):
        drawn = rng.integers(0, len(total), (min(step, repeats - start), len(total)))
        means.append(total[drawn].sum(1) / size[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
