"""What a paper says, sentence by sentence, beside what was measured, with a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import pandas as pd

from reidlib.data import Dataset
from reidlib.evaluate.compare import Comparison, compare
from reidlib.evaluate.metrics import Metrics
from reidlib.train.recipe import Recipe
from reidlib.workbook import published
from reidlib.workbook.report import Report

Verdict = Literal["holds", "does not hold", "within chance", "not testable here"]
_DIFFERENCE = re.compile(r"(.+) minus (.+) \((rank1|mAP)\)")


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, where it stands, the printed value, ours, and the verdict."""

    claim: str
    where: str
    printed: str
    measured: str
    verdict: Verdict


def counted(
    claim: str, where: str, printed: float, measured: float, unit: str = "", digits: int = 0
) -> Claim:
    """A claim about something that is counted exactly: holds if equal in the printed digits."""
    same = round(measured, digits) == round(printed, digits)
    said, found = (f"{value:.{digits}f} {unit}".strip() for value in (printed, measured))
    return Claim(claim, where, said, found, "holds" if same else "does not hold")


def smaller(
    claim: str, where: str, before: float, after: float, unit: str = "", spread: float = 0.0
) -> Claim:
    """A claim that a number becomes smaller. spread: differences up to this are within chance; 0,
    without an interval, lets every difference count."""
    text = f"{before:.1f} -> {after:.1f} {unit}".strip()
    verdict: Verdict = "holds" if after < before else "does not hold"
    if spread > 0:  # not NaN, of one seed
        text = f"{text} (chance: up to {spread:.1f})"
        verdict = "within chance" if abs(after - before) <= spread else verdict
    return Claim(claim, where, "", text, verdict)


def reached(
    claim: str, where: str, printed: float, measured: float, unit: str = "", digits: int = 1
) -> Claim:
    """A claim that a number is at least so large: holds if ours is, in the printed digits."""
    holds = round(measured, digits) >= round(printed, digits)
    said, found = (f"{value:.{digits}f} {unit}".strip() for value in (printed, measured))
    return Claim(claim, where, said, found, "holds" if holds else "does not hold")


def loses_less(claim: str, where: str, gain: Comparison, points: float) -> Claim:
    """A claim that a metric falls by less than so many points: holds if even the lower end of the
    95 % interval over queries does."""
    low, high = 100 * gain.low, 100 * gain.high
    verdict: Verdict = (
        "holds" if low > -points else "does not hold" if high < -points else "within chance"
    )
    text = f"{100 * gain.difference:+.1f} [{low:+.1f}, {high:+.1f}] {gain.metric}"
    return Claim(claim, where, f"less than {points:g}", text, verdict)


def gained(
    claim: str, where: str, gain: Comparison, printed: float | None = None, sign: int = 1
) -> Claim:
    """A claim that a metric rises (``sign`` -1: falls): holds if chance over queries does not
    explain it. printed: the paper's difference, in points."""
    low, high = sorted((sign * gain.low, sign * gain.high))
    verdict: Verdict = "holds" if low > 0 else "does not hold" if high < 0 else "within chance"
    text = f"{100 * gain.difference:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    said = f"{printed:+.1f}" if printed is not None else ""
    return Claim(claim, where, f"{said} {gain.metric}".strip(), f"{text} {gain.metric}", verdict)


def more_than_the_sum(
    claim: str,
    where: str,
    base: Sequence[Metrics],
    one: Sequence[Metrics],
    other: Sequence[Metrics],
    both: Sequence[Metrics],
    printed: float,
    metric: str = "mAP",
) -> Claim:
    """A claim that two parts together gain more than the sum of their gains, on the same seeds.

    What is measured, and printed, is (both - base) - (one - base) - (other - base).
    """
    half = compare([*one, *other], [*base, *both], metric)  # means of two: half of the sum
    doubled = {key: 2 * getattr(half, key) for key in ("difference", "low", "high")}
    return gained(claim, where, replace(half, **doubled), printed)


def untestable(claim: str, where: str, why: str) -> Claim:
    """A claim that nothing here can decide, and why."""
    return Claim(claim, where, "", why, "not testable here")


def differences(
    report: Report,
    name: str,
    dataset: str,
    rows: Mapping[str, Recipe],
    evaluate: Mapping[str, Any] | None = None,
) -> list[Claim]:
    """Every difference "A minus B (metric)" that a text prints on ``dataset``, if A and B are rows.

    name: a published table. The sentence is the paper's own.
    """
    found = []
    printed = published.table(name, dataset)
    for text, value, quote in zip(printed["row"], printed["value"], printed["quote"], strict=True):
        match = _DIFFERENCE.fullmatch(text)
        if match and match[1] in rows and match[2] in rows:
            gain = report.gain(rows[match[2]], rows[match[1]], match[3], evaluate=evaluate)
            claim = f"{match[1]} over {match[2]}"
            found.append(gained(claim, f'"{quote}"', gain, float(value)))
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
) -> list[Claim]:
    """Claims that one row of a printed table is better, or worse, than another.

    pairs: (sentence, where it stands, the row before, the row after); those whose rows are not
    among ``rows`` are left out. The sign that must be found is that of the printed difference.
    train_on: another dataset than the profile's (``Report.domain``); on: another one to test on.
    """
    printed = published.values(name, dataset)
    found = []
    for claim, where, before, after in pairs:
        if before in rows and after in rows:
            said = printed[after, metric] - printed[before, metric]
            gain = report.gain(
                rows[before], rows[after], metric, evaluate=evaluate, train_on=train_on, dataset=on
            )
            found.append(gained(claim, where, gain, said, 1 if said >= 0 else -1))
    return found


def table(claims: Sequence[Claim]) -> pd.DataFrame:
    """One line a claim."""
    return pd.DataFrame([asdict(claim) for claim in claims])
