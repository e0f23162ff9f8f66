"""Words and signs that tables, notebooks and the site share; what came of a table, in sentences."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from reidlib.evaluate.metrics import NAMES
from reidlib.evaluate.verdict import Verdict, judge, least

DRAWN, REAL = "drawn people", "real people"
# verdict: its sign, and a colour that is told from the others without seeing red and green apart
# (Okabe and Ito)
VERDICTS = {
    "holds": ("✓", "#0072b2"),
    "reversed": ("✗", "#d55e00"),
    "too small to tell": ("≈", "#8a8a8a"),
    "too short to judge": ("…", "#b8a100"),
    "not testable here": ("○", "#c9c9c9"),
}
OPEN = ("too small to tell", "too short to judge")
NOTHING_TRAINED = "Read off the built modules and the recipes; nothing is trained."
LEAD = ("mAP", "rank1")  # the metric that a conclusion is about: the first of these in the table


def dashed(text: str) -> str:
    """``"rank-1"`` for ``"rank1"``."""
    return re.sub(r"\brank(\d)", r"rank-\1", text)


def display(row: str) -> str:
    """A row's name for a reader: what a paper calls its own is its authors' row, not ours."""
    return re.sub(r"\s*\((?i:ours?)\)", " (the authors' own)", row)


def metric_name(name: str) -> str:
    known = {"mAP_trapezoidal": "mAP (trapezoidal)", "params_m": "parameters (M)",
             "flops_g": "FLOPs (G)"}  # fmt: skip
    return known.get(name, NAMES.get(name, dashed(name)))


def count(n: Any, what: str) -> str:
    """``"1 seed"``, ``"3 seeds"``, ``"60 people"``; "" where nothing is known."""
    if n == "" or pd.isna(n):
        return ""
    return f"{int(n)} {what.removesuffix('s') if int(n) == 1 else what}"


def tally(verdicts: Iterable[str]) -> str:
    """``"12 hold, 4 are reversed, 3 are open"``; what cannot be tested is left out."""
    n = Counter[str](verdicts)
    undecided = sum(n[verdict] for verdict in OPEN)
    return (
        f"{n['holds']} {'holds' if n['holds'] == 1 else 'hold'}, "
        f"{n['reversed']} {are(n['reversed'])} reversed, {undecided} {are(undecided)} open"
    )


def are(n: int) -> str:
    return "is" if n == 1 else "are"


def compared_with(tidy: pd.DataFrame) -> dict[str, str]:
    """By row of ``Report.measure``'s result, the row that its gain is over: that of the column
    ``against``, else the first; "" for a row with itself."""
    lines = tidy.drop_duplicates("row").astype({"row": str})
    if lines.empty:
        return {}
    first = lines["row"].iloc[0]
    named = lines["against"] if "against" in lines else [first] * len(lines)
    pairs = zip(lines["row"], named, strict=True)
    return {row: "" if row == str(other) else str(other) for row, other in pairs}


def gain_verdict(line: Mapping[Any, Any], seeds: int, sign: int = 1) -> Verdict:
    """What a row's gain over another one is. seeds: the fewest of both rows."""
    low, high = sorted((sign * line["gain_low"], sign * line["gain_high"]))
    return judge(sign * line["gain"], low, high, least=least(line["metric"]), seeds=seeds)


def conclusion(tidy: pd.DataFrame) -> list[str]:
    """What came of a table, in at most three sentences: which of the printed differences between
    its rows came again, what rows gain that are not printed, and the best row.

    tidy: of ``Report.measure``, with one line for each row and metric. Nothing is said of rows that
    stand in it more than once (a sweep).
    """
    metric = next((m for m in LEAD if m in set(tidy["metric"])), "")
    some = tidy[tidy["metric"] == metric]
    lines = {str(line["row"]): line for line in some.to_dict("records")}
    if not lines or len(lines) < len(some):
        return []
    name = metric_name(metric)
    if len(lines) == 1:
        (row, line) = next(iter(lines.items()))
        printed = "" if math.isnan(line["published"]) else f", printed {line['published']:.1f}"
        return [f"One row was measured, {display(row)}: {name} {line['mean']:.1f}{printed}."]
    said, unsaid = [], []
    for row, other in compared_with(tidy).items():
        line = lines[row]
        if other not in lines or math.isnan(line["gain"]):
            continue
        seeds = int(min(line["n"], lines[other]["n"]))
        difference = line["published"] - lines[other]["published"]
        if math.isnan(difference) or difference == 0:
            unsaid.append(gain_verdict(line, seeds))
        else:
            said.append(gain_verdict(line, seeds, 1 if difference > 0 else -1))
    return [
        *_printed_differences(said, name),
        *_other_differences(unsaid, name, bool(said)),
        _best_rows(lines, name),
    ]


def _printed_differences(verdicts: list[Verdict], name: str) -> list[str]:
    if not verdicts:
        return []
    if set(verdicts) == {"too short to judge"}:
        many = len(verdicts) > 1
        what = f"the {len(verdicts)} printed differences" if many else "the printed difference"
        return [f"One seed cannot decide {what} in {name}."]
    n = Counter[str](verdicts)
    undecided = sum(n[verdict] for verdict in OPEN)
    again = f"{n['holds']} {'comes' if n['holds'] == 1 else 'come'} again"
    of = f"Of {len(verdicts)} differences in {name} that the paper prints"
    if len(verdicts) == 1:
        of = f"Of the one difference in {name} that the paper prints"
    return [f"{of}, {again}, {n['reversed']} {are(n['reversed'])} reversed and {undecided} "
            f"{are(undecided)} open."]  # fmt: skip


def _other_differences(verdicts: list[Verdict], name: str, more: bool) -> list[str]:
    if not verdicts or set(verdicts) == {"too short to judge"}:
        return []
    n = Counter[str](verdicts)
    further = " further" if more else ""
    rows = "row" if len(verdicts) == 1 else "rows"
    undecided = sum(n[verdict] for verdict in OPEN)
    return [
        f"Of {len(verdicts)}{further} {rows} compared in {name}, {n['holds']} "
        f"{'gains' if n['holds'] == 1 else 'gain'}, {n['reversed']} "
        f"{'loses' if n['reversed'] == 1 else 'lose'}, and chance explains {undecided}."
    ]


def _best_rows(lines: Mapping[str, Mapping[Any, Any]], name: str) -> str:
    best = max(lines, key=lambda row: lines[row]["mean"])
    here = f"{display(best)}, {lines[best]['mean']:.1f}"
    known = {row: x["published"] for row, x in lines.items() if not math.isnan(x["published"])}
    if len(known) < 2:
        return f"The best {name} is that of {here}."
    theirs = max(known, key=lambda row: known[row])
    if theirs == best:
        return f"The best {name} of these rows is that of {here}, in print too ({known[best]:.1f})."
    return (
        f"The best {name} of these rows is that of {here}; in print it is that of "
        f"{display(theirs)}, {known[theirs]:.1f}."
    )


def claims_outcome(frame: pd.DataFrame) -> list[str]:
    """One sentence that counts the verdicts of a table of claims."""
    untestable = int((frame["verdict"] == "not testable here").sum())
    left = f"; {untestable} cannot be tested here" if untestable else ""
    return [f"Of {len(frame)} claims, {tally(frame['verdict'])}{left}."]
