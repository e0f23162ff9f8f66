"""Tables of the site: measured values first, printed ones beside them, as plain cells."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reidlib.workbook import summary
from reidlib.workbook.summary import DRAWN, REAL

# what every row of ``Report.reproduce`` has; other columns tell rows of one name apart
STANDARD = {
    "row", "metric", "published", "published_on", "measured_on", "mean", "sd", "n", "low", "high",
    "gain", "gain_low", "gain_high", "protocol", "differs", "seconds", "device", "commit", "data",
    "runs", "recipe", "against", "dataset", "value", "source", "quote",
}  # fmt: skip
NOT_HERE = "–"  # not measured here; what is not printed is an empty cell
SIGNS = "▲ is a gain over the first row and ▼ a loss whose 95 % interval excludes zero."


@dataclass
class Cell:
    """What a cell shows: text, a small line below it, a value to sort by, a tool tip, a mark."""

    text: str = ""
    sub: str = ""
    sort: float | str | None = None
    cls: str = ""
    title: str = ""
    colour: str = ""
    mark: str = ""  # "gain" or "loss"


@dataclass
class Row:
    cells: list[Cell]
    cls: str = ""
    data: dict[str, str] = field(default_factory=dict)


@dataclass
class Column:
    head: str
    cls: str = "num"
    word: str = ""  # left away where the page is narrow


@dataclass
class WebTable:
    """A table for ``page.html``. ``groups``: names over columns, with how many each spans."""

    caption: str
    columns: list[Column]
    rows: list[Row]
    groups: list[tuple[str, int]] = field(default_factory=list)
    note: str = ""
    badge: str = ""
    id: str = ""
    sources: list[str] = field(default_factory=list)  # the files that it shows

    @property
    def badge_text(self) -> str:
        return {"drawn": DRAWN, "real": REAL, "both": f"{DRAWN} and {REAL}"}.get(self.badge, "")

    @property
    def quoted(self) -> int:
        return sum(row.cls == "quoted" for row in self.rows)


def results(
    caption: str, measured: Mapping[str, pd.DataFrame], printed: pd.DataFrame | None = None
) -> WebTable:
    """Rows of ``Report.reproduce`` on drawn and on real people (by DRAWN and REAL), beside printed
    ones: ours stand first, then what is printed; rows that were not run can be folded away."""
    extras = _needed(list(measured.values()), printed)
    metrics = list(dict.fromkeys(m for frame in measured.values() for m in frame["metric"]))
    metrics = metrics or list(dict.fromkeys(() if printed is None else printed["metric"]))
    ours = {data: _lines(frame, extras[id(frame)]) for data, frame in measured.items()}
    theirs = {} if printed is None else _lines(printed, extras[id(printed)])
    for lines in ours.values():  # a row's printed value travels with it
        for name, line in lines.items():
            for metric, row in line.items():
                if not math.isnan(row["published"]):
                    theirs.setdefault(name, {}).setdefault(metric, {"value": row["published"]})
    names = list(dict.fromkeys([*theirs, *(name for lines in ours.values() for name in lines)]))
    own = {name for lines in ours.values() for name in lines}
    shown = metrics + [m for line in theirs.values() for m in line if m not in metrics]
    shown = list(dict.fromkeys(shown))
    best = {data: {m: _best(lines, m, "mean") for m in metrics} for data, lines in ours.items()}
    best_printed = {m: _best(theirs, m, "value") for m in shown}
    rows = []
    for name in names:
        cells = [Cell(display(name))]
        for data, lines in ours.items():
            first = next(iter(lines))
            for metric in metrics:
                value = lines.get(name, {}).get(metric)
                cells.append(_measured(value, name == first, best[data][metric]))
            seeds = next(iter(lines.get(name, {}).values()), None)
            cells.append(Cell(str(int(seeds["n"])) if seeds is not None else "", cls="num"))
        for metric in shown if theirs else ():
            value = theirs.get(name, {}).get(metric)
            cells.append(_printed(value, best_printed[metric]))
        rows.append(Row(cells, "" if name in own or not own else "quoted"))
    groups, columns = [("", 1)], [Column("row", "words")]
    for data in ours:
        groups.append((f"ours, {data}", len(metrics) + 1))
        columns += [Column(metric_name(m)) for m in metrics] + [Column("seeds")]
    if theirs:
        groups.append(("printed", len(shown)))
        columns += [Column(metric_name(m)) for m in shown]
    kinds = {data.split(",")[0] for data in ours}
    badge = "both" if len(kinds) == 2 else {DRAWN: "drawn", REAL: "real"}.get("".join(kinds), "")
    return WebTable(caption, columns, rows, groups, _note(measured), badge)


def plain(caption: str, frame: pd.DataFrame, data: str = "") -> WebTable:
    """Any other table as it is: whole numbers as whole numbers, a column's others with as many
    digits as its smallest needs."""
    numbers = {c: pd.api.types.is_numeric_dtype(frame[c]) for c in frame.columns}
    digits = {c: _digits(frame[c]) for c in frame.columns if numbers[c]}
    rows = []
    for _, line in frame.iterrows():
        cells = []
        for column in frame.columns:
            value = line[column]
            if pd.isna(value):
                cells.append(Cell(cls="num" if numbers[column] else ""))
            elif numbers[column]:
                tiny = 0 < abs(value) < 1e-4
                text = f"{value:.2g}" if tiny else f"{value:,.{digits[column]}f}"
                cells.append(Cell(text, sort=float(value), cls="num"))
            else:
                cells.append(Cell(summary.dashed(str(value))))
        rows.append(Row(cells))
    columns = [Column(metric_name(str(c)), "num" if numbers[c] else "words") for c in frame.columns]
    badge = {DRAWN: "drawn", REAL: "real"}.get(data, "")
    return WebTable(caption, columns, rows, badge=badge)


def claims(frame: pd.DataFrame, name: str, caption: str, *, with_paper: bool) -> WebTable:
    """One line a claim, drawn and real people side by side, for filters by paper and verdict."""
    both = summary.side_by_side(frame)
    keys = list(dict.fromkeys(zip(frame["paper"], frame["number"], strict=True)))
    rows = []
    for (paper, number), (_, line) in zip(keys, both.iterrows(), strict=True):
        where = f"{line['paper']}, {line['section']}" if with_paper else line["section"]
        cells = [Cell(f"{number}. {line['claim']}", where)]
        for data in (DRAWN, REAL):
            verdict = line[f"{data}: verdict"]
            mine = frame[(frame["paper"] == paper) & (frame["number"] == number)
                         & (frame["data"] == data)]  # fmt: skip
            if not verdict:
                cells.append(Cell(NOT_HERE))
                continue
            sign, colour = summary.VERDICTS[verdict]
            one = mine.iloc[0]
            n = "; ".join(filter(None, (_count(one["n"], "people"), _count(one["seeds"], "seeds"))))
            sub = f"{one['as_measured']}{f' ({n})' if n else ''}"
            cells.append(Cell(f"{sign} {verdict}", sub, verdict, title=one["note"], colour=colour))
        cells.append(Cell(line["printed"]))
        verdicts = [line[f"{data}: verdict"] for data in (DRAWN, REAL)]
        rows.append(Row(cells, data={"paper": paper, "verdicts": "|".join(filter(None, verdicts))}))
    columns = [Column("claim", "words"), *(Column(x, "") for x in (DRAWN, REAL, "printed"))]
    note = f"{NOT_HERE} means that the claim was not judged on these people."
    return WebTable(caption, columns, rows, note=note, badge="both", id=name)


def counts(frame: pd.DataFrame, caption: str) -> WebTable:
    """``summary.counts`` with one column a verdict."""
    rows = []
    for key, line in zip(frame.index.to_list(), frame.to_numpy(), strict=True):
        cells = [Cell(summary.PAPERS[key[0]].label, key[1])]
        cells += [Cell(str(int(n)), cls="num") for n in line]
        rows.append(Row(cells))
    heads = [Column(summary.VERDICTS[str(name)][0], word=str(name)) for name in frame.columns]
    return WebTable(caption, [Column("paper", ""), *heads], rows, badge="both")


def all_rows(frame: pd.DataFrame, caption: str) -> WebTable:
    """``summary.rows_side_by_side``: every row that was run."""
    rows, place = [], ("paper", "table", "on")
    for _, line in frame.iterrows():
        cells = [Cell(display(line["row"]), ", ".join(filter(None, (line[c] for c in place))))]
        for data in (DRAWN, REAL):
            value, _, interval = line[data].partition(" ")
            sub = f"{interval} {_count(line[f'{data}: seeds'], 'seeds')}".strip()
            title = line[f"{data}: regime"]
            cells.append(Cell(value or NOT_HERE, sub, cls="num", title=title))
        cells += [Cell(line["printed"], cls="num"), Cell(line["metric"])]
        rows.append(Row(cells))
    columns = [Column("row", "words"), Column(DRAWN), Column(REAL), Column("printed"),
               Column("metric", "")]  # fmt: skip
    note = (
        f"In percent, with 95 % intervals. {NOT_HERE} means not measured on these people; an empty "
        "cell under printed is a row that the paper does not print. Pointing at a value shows what "
        "the network was trained from and how long."
    )
    return WebTable(caption, columns, rows, note=note, badge="both")


def display(name: str) -> str:
    """A row's name for a reader: what a paper calls its own is its authors' row, not ours."""
    return re.sub(r"\s*\(Ours?\)", " (the authors' own)", name)


def metric_name(name: str) -> str:
    known = {"mAP_trapezoidal": "mAP (trapezoidal)", "params_m": "parameters (M)",
             "flops_g": "FLOPs (G)"}  # fmt: skip
    return known.get(name, summary.dashed(name))


def _digits(values: pd.Series) -> int:
    """How many digits after the point show two of the smallest value, at most four."""
    known = values.dropna()
    if (known % 1 == 0).all():
        return 0
    smallest = known[known != 0].abs().clip(lower=1e-3).min()
    return max(1, 1 - math.floor(math.log10(smallest)))


def _count(n: Any, what: str) -> str:
    if n == "" or pd.isna(n):
        return ""
    return f"{int(n)} {what.rstrip('s') if int(n) == 1 and what == 'seeds' else what}"


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


def _best(lines: Mapping[str, Mapping[str, Any]], metric: str, column: str) -> float:
    values = [float(line[metric][column]) for line in lines.values() if metric in line]
    return max(values, default=math.nan) if len(values) > 1 else math.nan


def _measured(value: Any, first: bool, best: float) -> Cell:
    if value is None:
        return Cell(NOT_HERE, cls="num")
    mark = "gain" if value["gain_low"] > 0 else "loss" if value["gain_high"] < 0 else ""
    gain = f"gain over the first row {value['gain']:+.1f} [{value['gain_low']:+.1f}, "
    return Cell(
        f"{value['mean']:.1f}",
        f"{value['low']:.1f} to {value['high']:.1f}",
        float(value["mean"]),
        "num" + (" best" if value["mean"] == best else ""),
        "" if first else f"{gain}{value['gain_high']:+.1f}]",
        mark="" if first else mark,
    )


def _printed(value: Any, best: float) -> Cell:
    if value is None or pd.isna(value["value"]):
        return Cell(cls="num")
    number = float(value["value"])
    text = f"{number:.0f}" if number % 1 == 0 and number > 100 else f"{number:g}"
    return Cell(text, sort=number, cls="num" + (" best" if number == best else ""))


def _note(measured: Mapping[str, pd.DataFrame]) -> str:
    """What a table was measured under, and what its signs mean."""
    if not measured:
        return "As printed; not measured here."
    parts = [f"In percent; 95 % intervals below. {SIGNS} The best value of a column is bold."]
    for data, frame in measured.items():
        recipes = [json.loads(text) for text in frame["recipe"].dropna()]
        under = pd.Series([f"{summary.setting(r)}, {summary.regime(r)}" for r in recipes]).mode()
        on = "; ".join(dict.fromkeys(frame["measured_on"]))
        parts.append(f"{data.capitalize()} ({on}): {under.iloc[0]}.")
    return " ".join(parts)
