"""How results are laid out for a reader: printed values beside ours with interval and spread."""

from __future__ import annotations

import math

import pandas as pd

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import NAMES
from reidlib.evaluate.verdict import judge, least
from reidlib.workbook import published as printed_tables

SIGNS = {"holds": "*", "reversed": "†"}
SIGNS_NOTE = (
    "* a gain, † a loss, that chance over people and seeds does not explain (two seeds or more)"
)


def wide(
    tidy: pd.DataFrame, published: str | None = None, dataset: str | None = None
) -> pd.DataFrame:
    """One line a row of ``Report.measure``'s result, all in percent, as text for display.

    For each metric: printed, ours (± sd over seeds), its 95 % interval, and the gain over the row
    that the column ``against`` names (without one: the table's first), with the sign of its verdict
    (SIGNS). published: a printed table whose other rows, quoted or not measured here, stand above
    ours with dashes; dataset: which of its datasets, default that of ours.
    """
    metrics = list(dict.fromkeys(tidy["metric"]))
    names = list(dict.fromkeys(tidy["row"]))
    against = _compared_with(tidy)
    seeds = tidy.groupby("row")["n"].min()
    lines: list[dict[str, object]] = []
    for row in names:
        line: dict[str, object] = {"row": row}
        other = against[row]
        fewest = int(min(seeds[row], seeds.get(other, seeds[row])))
        for metric in metrics:
            value = tidy[(tidy["row"] == row) & (tidy["metric"] == metric)].iloc[0]
            line |= _cells(metric, value, fewest if other else None)
        if set(against.values()) - {"", names[0]}:
            line["gain over"] = other or None
        line["n"] = int(seeds[row])
        lines.append(line)
    frame = pd.DataFrame(lines)
    if published is not None:
        on = [name for name in dict.fromkeys(tidy["published_on"]) if name]
        if dataset is None and len(on) > 1:
            raise ReidError(f"the rows are printed on several datasets, {on}: name one of them")
        others = _others(published, dataset or (on[0] if on else None), metrics)
        frame = pd.concat([others[~others["row"].isin(frame["row"])], frame])
    frame = frame.dropna(axis="columns", how="all").astype(object)
    return frame.where(frame.notna(), "–").reset_index(drop=True)


def printed_only(published: str, dataset: str | None) -> pd.DataFrame:
    """The printed rows of a table, where nothing was measured."""
    return _others(published, dataset, [*NAMES, "mAP"]).fillna("–")


def departures_note(tidy: pd.DataFrame) -> str:
    """Where all rows together leave the published settings, or that the rows differ in it."""
    found = [set(filter(None, text.split(", "))) for text in tidy["differs"]]
    common = [part for part in tidy["differs"].iloc[0].split(", ") if part and
              all(part in parts for parts in found)]  # fmt: skip
    return "ours (the paper's): " + ", ".join(common) if common else ""


def _compared_with(tidy: pd.DataFrame) -> dict[str, str]:
    """By row, the row that it is compared with; "" for none, as for a row with itself."""
    names = list(dict.fromkeys(tidy["row"]))
    named = tidy.drop_duplicates("row").set_index("row").get("against", names[0])
    found = dict.fromkeys(names, names[0]) if isinstance(named, str) else named.to_dict()
    return {str(row): "" if other == row else str(other) for row, other in found.items()}


def _cells(metric: str, value: pd.Series, seeds: int | None) -> dict[str, object]:
    """seeds: the fewest of the two rows whose difference is the gain; None: there is no other."""
    name = NAMES.get(metric, metric)
    spread = "" if math.isnan(value["sd"]) else f" ± {value['sd']:.1f}"
    gain = None
    if seeds is not None and not math.isnan(value["gain"]):
        bounds = (value["gain"], value["gain_low"], value["gain_high"])
        sign = SIGNS.get(judge(*bounds, least=least(metric), seeds=seeds), "")
        gain = f"{value['gain']:+.1f}{sign}"
    return {
        f"{name} printed": None if math.isnan(value["published"]) else f"{value['published']:.1f}",
        name: f"{value['mean']:.1f}{spread}",
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


def has_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something: it has a name, or several levels."""
    return frame.index.name is not None or isinstance(frame.index, pd.MultiIndex)
