"""How results are laid out for a reader: measured values first, the printed ones beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from reidlib.workbook.cells import Cell, Column, Row, WebTable, verdict_cell
from reidlib.workbook.collected import regime, setting
from reidlib.workbook.words import (
    DRAWN,
    REAL,
    VERDICTS,
    claims_outcome,
    compared_with,
    conclusion,
    dashed,
    display,
    gain_verdict,
    metric_name,
)

# what every row of ``Report.measure`` has; other columns tell rows of one name apart
STANDARD = {
    "row", "metric", "published", "published_on", "measured_on", "mean", "sd", "n", "low", "high",
    "gain", "gain_low", "gain_high", "protocol", "differs", "seconds", "device", "commit", "data",
    "runs", "recipe", "against", "dataset", "value", "source", "quote",
}  # fmt: skip
NOT_HERE = "–"  # not measured here; what is not printed is an empty cell
READING = (
    "In percent: mean ± standard deviation over seeds, below it the 95 % interval. "
    "The best value of a column is bold. "
    f"{NOT_HERE} means not measured here; an empty cell under printed is not printed."
)
SIGNS = (
    "▲ is a gain and ▼ a loss that chance over people and seeds does not explain (two seeds or "
    "more), over the first row if no other is named."
)
STUDY = "committed study"  # what a profile of headline rows did not measure itself
BADGES = {DRAWN: "drawn", REAL: "real"}


def results(
    caption: str,
    measured: Mapping[str, pd.DataFrame],
    printed: pd.DataFrame | None = None,
    rows: Sequence[str] = (),
) -> WebTable:
    """Rows of ``Report.measure``, by what they were measured on (DRAWN, REAL, or other words),
    beside the ``printed`` ones of a published table. Rows that were not run have the class
    "quoted". rows: the order of those that are not printed; default that of ``measured``."""
    extras = _needed(list(measured.values()), printed)
    metrics = list(dict.fromkeys(m for frame in measured.values() for m in frame["metric"]))
    metrics = metrics or list(dict.fromkeys(() if printed is None else printed["metric"]))
    ours = {data: _lines(frame, extras[id(frame)]) for data, frame in measured.items()}
    theirs = {} if printed is None else _lines(printed, extras[id(printed)])
    for lines in ours.values():  # a row's printed value travels with it
        for name, line in lines.items():
            for metric, row in line.items():
                if not math.isnan(row.get("published", math.nan)):
                    theirs.setdefault(name, {}).setdefault(metric, {"value": row["published"]})
    own = {name for lines in ours.values() for name in lines}
    ordered = [*theirs, *(row for row in rows if row in own)]
    names = list(dict.fromkeys([*ordered, *(name for lines in ours.values() for name in lines)]))
    shown = [m for m in metrics if any(m in line for line in theirs.values())]
    shown += [m for line in theirs.values() for m in line if m not in metrics]
    shown = list(dict.fromkeys(shown))
    gains = {data: _gains(frame, lines) for (data, frame), lines in
             zip(measured.items(), ours.values(), strict=True)}  # fmt: skip
    shown_rows = []
    for name in names:
        over = {g[name, m][1] for g in gains.values() for m in metrics if (name, m) in g}
        firsts = {next(iter(lines)) for lines in ours.values() if lines}
        other = "".join(over - firsts) if len(over - firsts) == 1 else ""
        cells = [Cell(display(name), f"gains over {display(other)}" if other else "")]
        for data, table in ours.items():
            for metric in metrics:
                value = table.get(name, {}).get(metric)
                cells.append(_measured(value, _best(table, metric, "mean")))
                if any(m == metric for _, m in gains[data]):
                    cells.append(_gain(gains[data].get((name, metric), (None, ""))[0]))
            seeds = next(iter(table.get(name, {}).values()), None)
            cells.append(Cell(str(int(seeds["n"])) if seeds is not None else "", cls="num"))
        for metric in shown:
            value = theirs.get(name, {}).get(metric)
            cells.append(_printed(value, _best(theirs, metric, "value")))
        shown_rows.append(Row(cells, "" if name in own or not own else "quoted"))
    groups, columns = [("", 1)], [Column("row", "words")]
    for data in ours:
        start = len(columns)
        for metric in metrics:
            columns.append(Column(metric_name(metric)))
            if any(m == metric for _, m in gains[data]):
                columns.append(Column("gain"))
        columns.append(Column("seeds"))
        groups.append((f"ours, {data}", len(columns) - start))
    if shown:
        groups.append(("printed", len(shown)))
        columns += [Column(metric_name(m)) for m in shown]
    kinds = {data.split(",")[0] for data in ours} & set(BADGES)
    badge = "both" if len(kinds) == 2 else BADGES.get("".join(kinds), "")
    outcome = []
    for data, frame in measured.items():
        said = conclusion(frame) if {"published", "gain"} <= set(frame) else []
        about = f"{data.capitalize()}: " if len(measured) > 1 and said else ""
        outcome += [about + " ".join(said)] if said else []
    note = _note(measured, any(gains.values()))
    return WebTable(caption, columns, shown_rows, groups, outcome, note, badge)


def plain(caption: str, frame: pd.DataFrame, data: str = "", digits: int = 4) -> WebTable:
    """Any other table as it is: whole numbers as whole numbers, a column's others with as many
    digits as its smallest needs, at most ``digits``. A verdict has its sign and colour."""
    if has_index(frame):
        frame = frame.reset_index()
    numbers = {c: pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns}
    shown = {c: min(digits, _digits(frame[c])) for c in frame.columns if numbers[c]}
    rows = []
    for _, line in frame.iterrows():
        cells = []
        for column in frame.columns:
            value = line[column]
            if pd.isna(value):
                cells.append(Cell(cls="num" if numbers[column] else ""))
            elif numbers[column]:
                tiny = 0 < abs(value) < 1e-4
                text = f"{value:.2g}" if tiny else f"{value:,.{shown[column]}f}"
                text = text if value else "0"
                cells.append(Cell(text, sort=float(value), cls="num"))
            elif column == "verdict" and value in VERDICTS:
                cells.append(verdict_cell(value))
            else:
                cells.append(Cell(dashed(str(value))))
        rows.append(Row(cells))
    columns = [Column(metric_name(str(c)), "num" if numbers[c] else "words") for c in frame.columns]
    outcome = claims_outcome(frame) if {"claim", "verdict"} <= set(frame.columns) else []
    return WebTable(caption, columns, rows, outcome=outcome, badge=BADGES.get(data, ""))


def departures_note(tidy: pd.DataFrame) -> str:
    """Where all rows together leave the published settings; "" if they do not."""
    found = [set(filter(None, text.split(", "))) for text in tidy["differs"]]
    first = tidy["differs"].iloc[0].split(", ") if found else []
    common = [part for part in first if part and all(part in parts for parts in found)]
    return f"Here (in the paper): {', '.join(common)}." if common else ""


def has_index(frame: pd.DataFrame) -> bool:
    """Whether the index says something: it has a name, or several levels."""
    return frame.index.name is not None or isinstance(frame.index, pd.MultiIndex)


def _digits(values: pd.Series) -> int:
    """How many digits after the point show two of the smallest value, at most four."""
    known = values.dropna()
    if (known % 1 == 0).all():
        return 0
    smallest = known[known != 0].abs().clip(lower=1e-3).min()
    return max(1, 1 - math.floor(math.log10(smallest)))


def _needed(measured: Sequence[pd.DataFrame], printed: pd.DataFrame | None) -> dict[int, list[str]]:
    """Which columns tell rows of one name apart, for each frame; none if names do."""
    frames = [*measured, *([] if printed is None else [printed])]
    if not any(frame.duplicated(["row", "metric"]).any() for frame in frames):
        return {id(frame): [] for frame in frames}
    found = {id(frame): [c for c in frame.columns if c not in STANDARD] for frame in frames}
    for frame in measured:
        if frame.duplicated(["row", "metric", *found[id(frame)]]).any():
            found[id(frame)].append("measured_on")
    return found


def _lines(frame: pd.DataFrame, extras: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rows by name, then by metric; ``extras`` join the name."""
    lines: dict[str, dict[str, Any]] = {}
    for _, row in frame.iterrows():
        more = [f"{row[c]:g}" if isinstance(row[c], int | float) else str(row[c]) for c in extras]
        name = ", ".join([str(row["row"]), *more])
        lines.setdefault(name, {})[str(row["metric"])] = row
    return lines


def _gains(
    frame: pd.DataFrame, lines: Mapping[str, Mapping[str, Any]]
) -> dict[tuple[str, str], tuple[Cell, str]]:
    """By row and metric the cell of its gain, and the row that it is over."""
    if "gain" not in frame or frame.empty:
        return {}
    over = compared_with(frame)
    seeds = frame.astype({"row": str}).groupby("row")["n"].min()
    first = next(iter(lines))
    found = {}
    for name, line in lines.items():
        for metric, value in line.items():
            other = over[str(value["row"])]
            if not other or name == first or math.isnan(value["gain"]):
                continue
            fewest = int(min(value["n"], seeds.get(other, value["n"])))
            mark = {"holds": "gain", "reversed": "loss"}.get(gain_verdict(value, fewest), "")
            sub = f"{value['gain_low']:+.1f} to {value['gain_high']:+.1f}"
            cell = Cell(f"{value['gain']:+.1f}", sub, float(value["gain"]), "num", mark=mark)
            found[name, metric] = (cell, other)
    return found


def _best(lines: Mapping[str, Mapping[str, Any]], metric: str, column: str) -> float:
    values = [float(line[metric][column]) for line in lines.values() if metric in line]
    return max(values, default=math.nan) if len(values) > 1 else math.nan


def _measured(value: Any, best: float) -> Cell:
    if value is None:
        return Cell(NOT_HERE, cls="num")
    spread = value.get("sd", math.nan)
    return Cell(
        f"{value['mean']:.1f}" + ("" if math.isnan(spread) else f" ± {spread:.1f}"),
        f"{value['low']:.1f} to {value['high']:.1f}",
        float(value["mean"]),
        "num" + (" best" if value["mean"] == best else ""),
    )


def _gain(cell: Cell | None) -> Cell:
    return Cell(cls="num") if cell is None else cell


def _printed(value: Any, best: float) -> Cell:
    if value is None or pd.isna(value["value"]):
        return Cell(cls="num")
    number = float(value["value"])
    text = f"{number:.0f}" if number % 1 == 0 and number > 100 else f"{number:g}"
    return Cell(text, sort=number, cls="num" + (" best" if number == best else ""))


def _note(measured: Mapping[str, pd.DataFrame], gains: bool) -> str:
    """How to read a table, and what it was measured under."""
    if not measured:
        return "As printed; not measured here."
    parts = [READING, *([SIGNS] if gains else [])]
    for data, frame in measured.items():
        if data == STUDY:
            continue  # its own note says it
        recipes = [json.loads(text) for text in frame["recipe"].dropna()]
        under = pd.Series([f"{setting(r)}, {regime(r)}" for r in recipes]).mode()
        on = "; ".join(dict.fromkeys(frame["measured_on"])) if "measured_on" in frame else ""
        parts.append(f"{data.capitalize()}{f' ({on})' if on else ''}: {under.iloc[0]}.")
    return " ".join(parts)
