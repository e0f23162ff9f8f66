"""A table's rows: what each is, and what is measured of it, tidy, beside the printed value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reidlib.data import Dataset
from reidlib.errors import ReidError, nearest
from reidlib.evaluate.compare import compare, interval
from reidlib.evaluate.metrics import Metrics
from reidlib.train.recipe import Recipe, departures
from reidlib.train.store import Run
from reidlib.workbook import published as printed_tables

METRICS = ("rank1", "rank3", "rank5", "rank10", "mAP", "mAP_trapezoidal", "mINP")
# of a tidy table, one row for each row and metric; values in percent
COLUMNS = (
    "row",
    "metric",
    "published",  # the printed value, NaN where none is printed
    "published_on",
    "measured_on",
    "mean",
    "sd",  # over seeds, NaN for one
    "n",  # seeds
    "low",  # 95 % interval over queries
    "high",
    "against",  # the row that the gain is over
    "gain",  # NaN if that row is not measured here, and over itself
    "gain_low",  # the same, paired: more than chance if 0 is outside
    "gain_high",
    "protocol",
    "differs",  # from the published settings
    "seconds",  # of training, mean
    "device",
    "commit",
    "data",
    "runs",
    "recipe",  # of the first seed, what differs from the defaults
)


@dataclass(frozen=True)
class Row:
    """A row that is scaled or tested otherwise than the others of its table.

    evaluate: added to the table's options of ``Run.evaluate``. changes: fields of the recipe that
    win over the profile.
    """

    recipe: Recipe
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One row's runs, a seed each, what they score, and on what."""

    runs: Sequence[Run]
    scores: Sequence[Metrics]
    dataset: Dataset
    evaluate: Mapping[str, Any]


def as_row(given: Recipe | Row) -> Row:
    """A recipe alone is a row like the others."""
    return given if isinstance(given, Row) else Row(given)


def check(
    rows: Sequence[str],
    metrics: Sequence[str],
    published: str | None,
    on: str | None,
    ours: Sequence[str],
) -> None:
    """Raises ReidError for a metric that nothing measures and for a row that ``published`` does not
    print on ``on``, unless it is one of ``ours``."""
    for metric in metrics:
        if metric not in METRICS:
            raise ReidError(f'unknown metric "{metric}"{nearest(metric, METRICS)}')
    if published is None:
        return
    printed = set(printed_tables.table(published, on)["row"])
    for row in rows:
        if row not in printed and row not in ours:
            where = f" on {on}" if on else ""
            raise ReidError(
                f'{published} prints no row "{row}"{where}{nearest(row, printed)}; if it is our '
                f'own, say ours=["{row}"]'
            )


def references(
    rows: Sequence[str], against: str | Mapping[str, str] | None, known: Sequence[str]
) -> dict[str, str]:
    """The row that each row's gain is over: the one named, or the one that ``against`` maps it to,
    else the first. Raises ReidError for one that is not ``known``."""
    given = against if isinstance(against, Mapping) else {}
    default = against if isinstance(against, str) else next(iter(rows), "")
    for name in [*given, *given.values(), *([default] if rows else [])]:
        if name not in known:
            raise ReidError(f'against: no row "{name}"{nearest(name, known)}')
    return {row: given.get(row, default) for row in rows}


def tidy(
    measured: Mapping[str, Measured],
    metrics: Sequence[str],
    over: Mapping[str, str],
    printed: Mapping[tuple[str, str], float],
    on: str | None,
    paper: Callable[[str], Recipe],
) -> pd.DataFrame:
    """COLUMNS of every row. over: of ``references``; paper: the published settings of a row."""
    lines = (
        line
        for name in measured
        for line in _lines(name, measured, metrics, over[name], printed, paper(name))
    )
    return pd.DataFrame(lines, columns=COLUMNS).assign(published_on=on or "")


def _lines(
    name: str,
    measured: Mapping[str, Measured],
    metrics: Sequence[str],
    against: str,
    printed: Mapping[tuple[str, str], float],
    paper: Recipe,
) -> Iterator[dict[str, Any]]:
    own, other = measured[name], measured.get(against)
    first = own.runs[0]
    shared = {
        "row": name,
        "measured_on": own.dataset.name,
        "n": len(own.runs),
        "against": against,
        "protocol": protocol(own.dataset, own.evaluate),
        "differs": departures(first.recipe, paper),
        "seconds": sum(run.info["seconds"] for run in own.runs) / len(own.runs),
        "device": first.info["device"],
        "commit": first.info["commit"],
        "data": own.dataset.fingerprint,
        "runs": " ".join(run.fingerprint for run in own.runs),
        "recipe": json.dumps(first.recipe.told(), sort_keys=True),
    }
    for metric in metrics:
        values = pd.Series([100 * score.as_dict()[metric] for score in own.scores])
        low, high = interval(own.scores, metric)
        gains = dict.fromkeys(("gain", "gain_low", "gain_high"), float("nan"))
        if other and against != name:
            gain = compare(other.scores, own.scores, metric)
            found = (gain.difference, gain.low, gain.high)
            gains = {key: 100 * value for key, value in zip(gains, found, strict=True)}
        yield (
            shared
            | gains
            | {
                "metric": metric,
                "published": printed.get((name, metric), float("nan")),
                "mean": values.mean(),
                "sd": values.std(ddof=1),
                "low": 100 * low,
                "high": 100 * high,
            }
        )


def protocol(dataset: Dataset, options: Mapping[str, Any]) -> str:
    """The protocol, and what else an evaluation was asked for: ``"market1501, rerank True"``."""
    others = [f"{k} {v}" for k, v in options.items() if k not in ("protocol", "device")]
    return ", ".join([options.get("protocol") or dataset.protocol, *others])
