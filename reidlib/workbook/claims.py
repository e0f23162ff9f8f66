"""A paper's sentences about rows of its tables, judged on a notebook's own runs.

What a claim and its verdict are is in ``evaluate.verdict``, whose functions a notebook finds here
too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reidlib.data import Dataset
from reidlib.evaluate.compare import Comparison
from reidlib.evaluate.verdict import (
    Claim,
    claims_frame,
    compared,
    counted,
    gained,
    judged,
    loses_less,
    more_than_the_sum,
    reached,
    untestable,
)
from reidlib.train.recipe import Recipe
from reidlib.workbook import published
from reidlib.workbook.report import Report
from reidlib.workbook.rows import Row

__all__ = [
    "Claim",
    "best",
    "between",
    "claims_frame",
    "compared",
    "counted",
    "differences",
    "elsewhere",
    "gained",
    "in_words",
    "judged",
    "loses_less",
    "more_than_the_sum",
    "reached",
    "untestable",
]

_DIFFERENCE = re.compile(r"(.+) minus (.+) \((rank1|mAP)\)")


def differences(
    report: Report,
    name: str,
    dataset: str,
    rows: Mapping[str, Recipe | Row],
    evaluate: Mapping[str, Any] | None = None,
    controls: Mapping[str, str] | None = None,
) -> list[Claim]:
    """Every difference "A minus B (metric)" that a text prints on ``dataset``, if A and B are rows.

    name: a published table. The sentence is the paper's own. controls: as in ``between``.
    """
    found = []
    printed = published.table(name, dataset)
    for text, value, quote in zip(printed["row"], printed["value"], printed["quote"], strict=True):
        match = _DIFFERENCE.fullmatch(text)
        if match and match[1] in rows and match[2] in rows:
            gain = report.gain(rows[match[2]], rows[match[1]], match[3], evaluate=evaluate)
            other = (controls or {}).get(match[1], "")
            control = None
            if other in rows:
                over = report.gain(rows[other], rows[match[1]], match[3], evaluate=evaluate)
                control = (other, over)
            claim = f"{match[1]} over {match[2]}"
            found.append(gained(claim, f'"{quote}"', gain, float(value), control=control))
    return found


def between(
    report: Report,
    name: str,
    dataset: str,
    rows: Mapping[str, Recipe],
    pairs: Sequence[tuple[str, str, str, str]],
    metric: str = "mAP",
    evaluate: Mapping[str, Any] | None = None,
    train_on: Mapping[str, Any] | None = None,
    on: Dataset | None = None,
    controls: Mapping[str, str] | None = None,
) -> list[Claim]:
    """Claims that one row of a printed table is better, or worse, than another.

    pairs: (sentence, where it stands, the row before, the row after); those whose rows are not
    among ``rows`` are left out. The sign that must be found is that of the printed difference.
    train_on: another dataset than the profile's (``Report.domain``); on: another one to test on.
    controls: of a row after, the row that it must also be better than, such as an equal network
    without the method.
    """
    printed = published.values(name, dataset)

    def gain(before: str, after: str) -> Comparison:
        return report.gain(
            rows[before], rows[after], metric, evaluate=evaluate, train_on=train_on, dataset=on
        )

    found = []
    for claim, where, before, after in pairs:
        if before in rows and after in rows:
            said = printed[after, metric] - printed[before, metric]
            other = (controls or {}).get(after, "")
            control = (other, gain(other, after)) if other in rows else None
            sign = 1 if said >= 0 else -1
            found.append(gained(claim, where, gain(before, after), said, sign, control))
    return found


def best(
    report: Report,
    claim: str,
    where: str,
    rows: Mapping[Any, Recipe],
    keep: Any,
    metric: str = "mAP",
    evaluate: Mapping[str, Any] | None = None,
) -> Claim:
    """A claim that of several values of a setting the paper's own, ``keep``, is the best.

    rows: value -> recipe. The gain is over the best of the other values, which the note names; not
    testable if there is none.
    """
    gains = {
        value: report.gain(row, rows[keep], metric, evaluate=evaluate)
        for value, row in rows.items()
        if value != keep
    }
    if not gains:
        return untestable(claim, where, "no other value was run")
    other = min(gains, key=lambda value: gains[value].difference)
    found = gained(claim, where, gains[other])
    words = f"over the best other of {len(gains)} values, {other}"
    return replace(found, note="; ".join(filter(None, [words, found.note])))


def in_words(found: Sequence[Claim]) -> str:
    """A line for each claim: what was measured, what is printed, the verdict, and its note."""
    lines = []
    for claim in found:
        line = claim.line()
        numbers = [f"measured {line['measured']}"]
        numbers += [f"printed {line['printed']}"] if line["printed"] else []
        numbers += [line["note"]] if line["note"] else []
        lines.append(f"{line['claim']}: {line['verdict']} ({'; '.join(numbers)})")
    return "\n".join(lines)


def elsewhere(
    report: Report,
    published: str,
    on: str,
    rows: Mapping[str, Recipe],
    pairs: Sequence[tuple[str, str, str, str]],
    evaluate: Mapping[str, Any] | None = None,
) -> list[Claim]:
    """``between`` on what stands for the dataset ``on`` in the profile, which each sentence then
    names; none if nothing does, or if the profile has no time for it."""
    there = report.domain(on) if report.all_rows else {}
    named = [(f"{sentence} ({on})", where, a, b) for sentence, where, a, b in pairs]
    if not there:
        return []
    return between(report, published, on, rows, named, evaluate=evaluate, train_on=there)
