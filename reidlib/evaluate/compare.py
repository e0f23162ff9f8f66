"""Whether two runs differ by more than chance: a paired bootstrap over queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reidlib.errors import ReidError, nearest
from reidlib.evaluate.metrics import Metrics

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


Runs = Metrics | Sequence[Metrics]  # one evaluation, or those of several seeds


def compare(
    a: Runs,
    b: Runs,
    metric: str = "mAP",
    *,
    unit: str = "query",
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Paired bootstrap (Efron's percentile interval) of the difference between two evaluations.

    ``a``, ``b``: of the same queries in the same order; of several seeds each query's mean is
    taken. ``metric``: "mAP", "mAP_trapezoidal", "mINP" or "rank<k>" for any k. ``unit``: what is
    drawn with replacement, "query", or "pid" for whole persons, whose queries resemble one another
    (a wider, more careful interval). The interval says what other queries would give; the spread
    of the seeds is another matter. Raises ReidError if the queries differ or none counts in both.
    """
    one, two = _per_query(a, metric), _per_query(b, metric)
    if not one[["pid", "cam"]].equals(two[["pid", "cam"]]):
        raise ReidError("the two runs were not evaluated on the same queries: nothing to pair")
    table = one.rename(columns={"value": "a"}).assign(b=two["value"]).dropna()
    if table.empty:
        raise ReidError("no query has a true match in both runs")
    table["difference"] = table["b"] - table["a"]
    low, high = _interval(table, "difference", unit, repeats, seed, level)
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    changes = table.loc[order].reset_index(drop=True)
    a_mean, b_mean, difference = (float(table[x].mean()) for x in ("a", "b", "difference"))
    return Comparison(metric, a_mean, b_mean, difference, low, high, len(table), changes)


def interval(
    runs: Runs,
    metric: str = "mAP",
    *,
    unit: str = "query",
    repeats: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """The bootstrap interval of a mean over queries (of several seeds each query's mean), in
    [0,1]; NaN if no query counts. Arguments as in ``compare``."""
    table = _per_query(runs, metric).dropna()
    if table.empty:
        return float("nan"), float("nan")
    return _interval(table, "value", unit, repeats, seed, level)


def _per_query(runs: Runs, metric: str) -> pd.DataFrame:
    """Columns query (the row number), pid, cam and value, the mean over the runs."""
    tables = [run.per_query for run in ([runs] if isinstance(runs, Metrics) else runs)]
    if not tables:
        raise ReidError("there is no evaluation to compare: give at least one")
    first = tables[0]
    if not all(first[["pid", "cam"]].equals(table[["pid", "cam"]]) for table in tables[1:]):
        raise ReidError("the seeds were not evaluated on the same queries: nothing to average")
    value = sum(_values(table, metric) for table in tables) / len(tables)
    return pd.DataFrame(
        {"query": np.arange(len(first)), "pid": first["pid"], "cam": first["cam"], "value": value}
    )


def _values(per_query: pd.DataFrame, metric: str) -> pd.Series:
    if metric in VALUES:
        return per_query[VALUES[metric]]
    if metric.startswith("rank") and metric[4:].isdigit() and int(metric[4:]) > 0:
        first = per_query["first_hit"]
        return (first <= int(metric[4:])).astype(float).where(first.notna())
    raise ReidError(f'unknown metric "{metric}"{nearest(metric, [*VALUES, "rank1"])}')


def _interval(
    table: pd.DataFrame, column: str, unit: str, repeats: int, seed: int, level: float
) -> tuple[float, float]:
    if unit not in ("query", "pid"):
        raise ReidError(f'unknown unit "{unit}"{nearest(unit, ("query", "pid"))}')
    if repeats < 1 or not 0 < level < 1:
        raise ReidError(f"repeats is {repeats}, level {level}: need one, and a level in (0, 1)")
    groups = table.groupby("pid" if unit == "pid" else "query")[column]
    total, size = groups.sum().to_numpy(), groups.size().to_numpy()
    rng = np.random.default_rng(seed)
    means = []
    step = max(1, CELLS // len(total))
    for start in range(0, repeats, step):
        drawn = rng.integers(0, len(total), (min(step, repeats - start), len(total)))
        means.append(total[drawn].sum(1) / size[drawn].sum(1))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
