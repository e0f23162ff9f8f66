"""How results are laid out for a reader: printed values beside ours with interval and spread."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import NAMES
from reidlib.evaluate.verdict import judge, least
from reidlib.workbook import published as printed_tables

SIGNS = {"holds": "*", "reversed": "†"}
SIGNS_NOTE = (
    "* a gain, † a loss, that chance over people and seeds does not explain (two seeds or more)"
)
PARTS = (" printed", "", " 95 %", " gain", " study")  # of a metric, a column each


def wide(
    tidy: pd.DataFrame,
    published: str | None = None,
    dataset: str | None = None,
    study: pd.DataFrame | None = None,
    rows: Sequence[str] = (),
) -> pd.DataFrame:
    """One line a row of ``Report.measure``'s result, all in percent, as text for display.

    For each metric: printed, ours (± sd over seeds), its 95 % interval, and the gain over the row
    that the column ``against`` names (without one: the table's first), with the sign of its verdict
    (SIGNS). published: a printed table whose other rows, quoted or not measured here, stand above
    ours with dashes; dataset: which of its datasets, default that of ours. study: a tidy table that
    was measured before, whose mean ± sd and seeds get columns of their own, and rows that are not
    measured here lines of their own. rows: the order of both; default ours first.
    """
    study = tidy[:0] if study is None else study
    earlier = {str(row): some for row, some in study.groupby("row", sort=False)}
    metrics = list(dict.fromkeys([*tidy["metric"], *study["metric"]]))
    names = list(dict.fromkeys(tidy["row"]))
    against = _compared_with(tidy)
    seeds = tidy.groupby("row")["n"].min()
    other_rows = set(against.values()) - {"", *names[:1]}
    others = pd.DataFrame()
    if published is not None:
        on = [name for name in dict.fromkeys(tidy["published_on"]) if name]
        if dataset is None and len(on) > 1:
            raise ReidError(f"the rows are printed on several datasets, {on}: name one of them")
        others = _others(published, dataset or (on[0] if on else None), metrics)
    printed: dict[str, Any] = {line["row"]: line for line in others.to_dict("records")}
    lines: list[dict[str, Any]] = []
    known = {*names, *earlier}
    for row in (name for name in dict.fromkeys([*rows, *names, *earlier]) if name in known):
        line: dict[str, Any] = {**printed.pop(row, {}), "row": row}
        if row in names:
            other = against[row]
            fewest = int(min(seeds[row], seeds.get(other, seeds[row])))
            for metric in metrics:
                value = tidy[(tidy["row"] == row) & (tidy["metric"] == metric)].iloc[0]
                line |= _cells(metric, value, fewest if other else None)
            line |= {"gain over": (other or None) if other_rows else None, "n": int(seeds[row])}
        if row in earlier:
            line |= _study_cells(earlier[row])
        lines.append(line)
    order = [f"{NAMES.get(m, m)}{part}" for m in metrics for part in PARTS]
    columns = ["row", *order, "gain over", "n", "n study"]
    frame = pd.DataFrame([*printed.values(), *lines], columns=columns, dtype=object)
    frame = frame.dropna(axis="columns", how="all")
    return frame.where(frame.notna(), "–").reset_index(drop=True)


def printed_only(published: str, dataset: str | None) -> pd.DataFrame:
    """The printed rows of a table, where nothing was measured."""
    return _others(published, dataset, [*NAMES, "mAP"]).fillna("–")


def departures_note(tidy: pd.DataFrame) -> str:
    """Where all rows together leave the published settings, or that the rows differ in it."""
    found = [set(filter(None, text.split(", "))) for text in tidy["differs"]]
    first = tidy["differs"].iloc[0].split(", ") if found else []
    common = [part for part in first if part and all(part in parts for parts in found)]
    return "ours (the paper's): " + ", ".join(common) if common else ""


def _compared_with(tidy: pd.DataFrame) -> dict[str, str]:
    """By row, the row that it is compared with; "" for none, as for a row with itself."""
    names = list(dict.fromkeys(tidy["row"]))
    if not names:
        return {}
    named = tidy.drop_duplicates("row").set_index("row").get("against", names[0])
    found = dict.fromkeys(names, names[0]) if isinstance(named, str) else named.to_dict()
    return {str(row): "" if other == row else str(other) for row, other in found.items()}


def _study_cells(rows: pd.DataFrame) -> dict[str, object]:
    """Of one row, its metrics' means and spreads and its number of seeds."""
    cells = {
        f"{NAMES.get(metric, metric)} study": f"{mean:.1f}" + _spread(sd)
        for metric, mean, sd in zip(rows["metric"], rows["mean"], rows["sd"], strict=True)
    }
    return {**cells, "n study": int(rows["n"].min())}


def _spread(sd: float) -> str:
    return "" if math.isnan(sd) else f" ± {sd:.1f}"


def _cells(metric: str, value: pd.Series, seeds: int | None) -> dict[str, object]:
    """seeds: the fewest of the two rows whose difference is the gain; None: there is no other."""
    name = NAMES.get(metric, metric)
    gain = None
    if seeds is not None and not math.isnan(value["gain"]):
        bounds = (value["gain"], value["gain_low"], value["gain_high"])
        sign = SIGNS.get(judge(*bounds, least=least(metric), seeds=seeds), "")
        gain = f"{value['gain']:+.1f}{sign}"
    return {
        f"{name} printed": None if math.isnan(value["published"]) else f"{value['published']:.1f}",
        name: f"{value['mean']:.1f}" + _spread(value["sd"]),
        f"{name} 95 %": f"{value['low']:.1f} to {value['high']:.1f}",
        f"{name} gain": gain,
    }


def _others(published: str, dataset: str | None, metrics: list[str]) -> pd.DataFrame:
    found = printed_tables.table(published, dataset)
    found = found[found["metric"].isin(metrics)]
    lines = [
        {"row": row}
        | {
            f"{NAMES.get(str(metric), str(metric))} printed": f"{value:.1f}"
            for metric, value in zip(group["metric"], group["value"], strict=True)
        }
        for row, group in found.groupby("row", sort=False)
    ]
    return pd.DataFrame(lines)


def study_columns(wide: pd.DataFrame) -> list[Hashable]:
    """Of ``wide``'s result those that show what was measured before."""
    return [column for column in wide.columns if str(column).endswith(" study")]


def has_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something: it has a name, or several levels."""
    return frame.index.name is not None or isinstance(frame.index, pd.MultiIndex)
