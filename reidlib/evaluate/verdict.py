"""What becomes of a paper's sentence: the claim, what was measured beside it, and one verdict.

- "holds": the effect has the claimed direction, is not smaller than the least one that matters
  (``LEAST``), and chance over people and seeds does not explain it (its interval excludes 0).
- "reversed": the same in the other direction; of something counted: another number.
- "too small to tell": neither. The note says whether the interval excludes the printed effect.
- "too short to judge": fewer than two seeds, or a row that is compared has not trained
  (``TRAINED``). What was measured stands there, but it decides nothing.
- "not testable here": nothing that is at hand can decide it.

A gain may name a control, such as doing nothing or a network of equal size: then it must hold over
the control too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from reidlib.evaluate.compare import Comparison, Interval, bootstrap, per_query
from reidlib.evaluate.metrics import Metrics

Verdict = Literal[
    "holds", "reversed", "too small to tell", "too short to judge", "not testable here"
]

# The least effect that matters, by its unit; a smaller one never holds. Metrics are in points.
LEAST = {"IoU": 0.01, "rank correlation": 0.1, "%": 0.5, "points": 0.5}
POINTS = 0.5  # of rank-k, mAP and mINP

# A row has trained once its last identity loss is at most this share of chance's, ln(identities):
# the right one of 64 identities is then taken for as likely as one of 8. (A smoothed label of 0.1
# keeps the loss of a perfect network at about 0.2 of chance's.)
TRAINED = 0.5


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, where it stands, and what was measured.

    ``printed``, ``measured``, ``low``, ``high``: in ``unit``, an effect with its 95 % interval, or
    without one a number; None where there is none. ``people``, ``seeds``: what the interval rests
    on. ``digits``: as many are shown; ``signed``: with their sign, as effects are.
    ``note``: what else a reader has to know.
    """

    claim: str
    where: str
    verdict: Verdict
    printed: float | None = None
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    people: int | None = None
    seeds: int | None = None
    digits: int = 1
    signed: bool = True
    note: str = ""

    def line(self) -> dict[str, str]:
        """The claim for a reader: claim, where, printed, measured, n, verdict, note."""
        sign = "+" if self.signed else ""
        shown = f"{sign}.{self.digits}f"
        measured = "" if self.measured is None else f"{self.measured:{shown}}"
        if self.low is not None:
            measured += f" [{self.low:{shown}}, {self.high:{shown}}]"
        printed = "" if self.printed is None else f"{self.printed:{shown}}"
        people = None if self.people == 1 else self.people  # one number a network, of nobody's own
        numbers = {"people": people, "seed" if self.seeds == 1 else "seeds": self.seeds}
        return {
            "claim": self.claim,
            "where": self.where,
            "printed": f"{printed} {self.unit}".strip() if printed else "",
            "measured": f"{measured} {self.unit}".strip() if measured else "",
            "n": ", ".join(f"{n} {what}" for what, n in numbers.items() if n is not None),
            "verdict": self.verdict,
            "note": self.note,
        }


def claims_frame(claims: Sequence[Claim]) -> pd.DataFrame:
    """One line a claim (``Claim.line``)."""
    return pd.DataFrame([claim.line() for claim in claims])


def least(unit: str) -> float:
    """The least effect that matters in a unit, 0 for one that has none."""
    if re.fullmatch(r"rank\d+|mAP.*|mINP", unit):
        return POINTS
    return LEAST.get(unit, LEAST.get(unit.split(" ")[0], 0.0))


def judge(
    effect: float,
    low: float,
    high: float,
    *,
    least: float = 0.0,
    seeds: int | None = None,
    short: str = "",
) -> Verdict:
    """The verdict on an effect with its interval, positive in the direction that is claimed.

    ``least``: the least effect that matters. ``seeds``: how many the interval rests on; None:
    nothing was trained. ``short``: why a row has not trained (``too_short``), "" if it has.
    """
    if short or (seeds is not None and seeds < 2):
        return "too short to judge"
    if low > 0 and effect >= least:
        return "holds"
    if high < 0 and -effect >= least:
        return "reversed"
    return "too small to tell"


def judged(
    claim: str,
    where: str,
    found: Interval,
    unit: str,
    *,
    printed: float | None = None,
    sign: int = 1,
    over: float = 0.0,
    control: tuple[str, Interval] | None = None,
    short: str = "",
    control_short: str = "",
    digits: int = 1,
    note: str = "",
) -> Claim:
    """A claim that an effect is positive (``sign`` -1: negative), or larger than ``over``.

    ``control``: a name, and the effect over that control: a claim that would hold gets the verdict
    on the control. ``control_short``: why the control has not trained, "" if it has.
    """
    smallest = 0.0 if over else least(unit)

    def of(x: Interval, short: str = short) -> Verdict:
        low, high = sorted((sign * x.low, sign * x.high))
        return judge(sign * x.value - over, low - over, high - over, least=smallest,
                     seeds=x.seeds, short=short)  # fmt: skip

    verdict = of(found)
    notes = [note, short or ("one seed" if found.seeds < 2 else "")]
    if verdict == "too small to tell":
        if not found.low <= 0 <= found.high and abs(found.value) < smallest:
            notes.append(f"below the least effect of {smallest:g}")
        if printed is not None:
            inside = found.low <= printed <= found.high
            notes.append(
                f"the interval {'contains' if inside else 'excludes'} "
                f"the printed {printed:+.{digits}f}"
            )
    if control is not None:
        name, other = control
        verdict = of(other, control_short) if verdict == "holds" else verdict
        text = f"{other.value:+.{digits}f} [{other.low:+.{digits}f}, {other.high:+.{digits}f}]"
        notes.append(
            f"over {name} {text}" + (f" ({control_short})" if control_short and not short else "")
        )
    alone = found.n == found.seeds == 1  # nothing was resampled
    return Claim(
        claim, where, verdict, printed, found.value, None if alone else found.low,
        None if alone else found.high, unit, found.people, found.seeds, digits,
        note="; ".join(filter(None, notes)),
    )  # fmt: skip


def gained(
    claim: str,
    where: str,
    gain: Comparison,
    printed: float | None = None,
    sign: int = 1,
    control: tuple[str, Comparison] | None = None,
) -> Claim:
    """A claim that a metric rises (``sign`` -1: falls). ``printed``: the paper's difference, in
    points. ``control``: a name, and the gain over that control."""
    return judged(
        claim, where, _points(gain), gain.metric, printed=printed, sign=sign, short=gain.short,
        control=control and (control[0], _points(control[1])),
        control_short=control[1].short if control else "",
    )  # fmt: skip


def loses_less(claim: str, where: str, gain: Comparison, points: float) -> Claim:
    """A claim that a metric falls by less than so many points."""
    found = judged(claim, where, _points(gain), gain.metric, over=-points, short=gain.short)
    return replace(found, note="; ".join(filter(None, [f"less than {points:g}", found.note])))


def compared(
    claim: str,
    where: str,
    before: Any,
    after: Any,
    unit: str,
    *,
    people: Any = None,
    printed: float | None = None,
    sign: int = 1,
    control: tuple[str, Any] | None = None,
    short: str = "",
    digits: int = 1,
) -> Claim:
    """A claim that something measured grows (``sign`` -1: shrinks) from ``before`` to ``after``.

    Values [S,N] of seeds and observations, [N], or a number; of the same observations, of
    ``people`` [N] (None: each by itself). ``control``: a name, and its values.
    """
    one, two = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (before, after))
    other = None
    if control is not None:
        other = control[0], bootstrap(two, people, minus=np.atleast_1d(control[1]))
    return judged(
        claim, where, bootstrap(two, people, minus=one), unit, printed=printed, sign=sign,
        control=other, short=short, digits=digits,
        note=f"{one.mean():.{digits}f} -> {two.mean():.{digits}f}",
    )  # fmt: skip


def reached(
    claim: str, where: str, printed: float, values: Any, unit: str = "", people: Any = None
) -> Claim:
    """A claim that a number is at least so large. ``values``: as in ``compared``."""
    found = bootstrap(np.atleast_1d(np.asarray(values, dtype=np.float64)), people)
    result = judged(claim, where, found, unit, over=printed)
    return replace(result, printed=printed, signed=False)


def counted(
    claim: str,
    where: str,
    expected: float,
    measured: float,
    unit: str = "",
    digits: int = 0,
    printed: bool = True,
) -> Claim:
    """A claim about something that is counted exactly: holds if equal in the printed digits.

    printed: whether ``expected`` stands in the paper as a number; else its words amount to it."""
    same = round(measured, digits) == round(expected, digits)
    verdict: Verdict = "holds" if same else "reversed"
    shown, note = (expected, "") if printed else (None, f"in words: {expected:.{digits}f}")
    return Claim(
        claim, where, verdict, shown, measured, unit=unit, digits=digits, signed=False, note=note
    )


def more_than_the_sum(
    claim: str,
    where: str,
    base: Sequence[Metrics],
    one: Sequence[Metrics],
    other: Sequence[Metrics],
    both: Sequence[Metrics],
    printed: float | None = None,
    metric: str = "mAP",
    short: str = "",
) -> Claim:
    """A claim that two parts together gain more than the sum of their gains, on the same seeds.

    What is measured, and printed, is (both - base) - (one - base) - (other - base).
    """
    parts = [per_query(runs, metric) for runs in (base, one, other, both)]
    seeds = min(len(part.values) for part in parts)
    a, b, c, d = (100 * part.values[:seeds] for part in parts)
    values, people = d - b - c + a, parts[0].labels["pid"].to_numpy()
    counts = np.isfinite(values).all(0)
    found = bootstrap(values[:, counts], people[counts])
    return judged(claim, where, found, metric, printed=printed, short=short)


def untestable(claim: str, where: str, why: str) -> Claim:
    """A claim that nothing here can decide, and why."""
    return Claim(claim, where, "not testable here", note=why)


def chance_share(history: pd.DataFrame, terms: Mapping[str, int], num_ids: int) -> float | None:
    """A training's last identity loss as a share of chance's, ln(``num_ids``); 1 is untrained.

    ``history``: a run's log. ``terms``: its columns that are identity losses, and how many
    classifiers each adds up (``ReIDModel.identity_terms``). None if it logs none.
    """
    known = [column for column in terms if column in history.columns]
    if history.empty or not known:
        return None
    last = sum(float(history[column].iloc[-1]) for column in known)
    return last / sum(terms[column] for column in known) / math.log(num_ids)


def too_short(shares: Mapping[str, Sequence[float | None]]) -> str:
    """Which rows have not trained; "" if all have. ``shares``: by row, ``chance_share`` of each of
    its seeds, of which the worst counts."""
    late = []
    for row, each in shares.items():
        worst = max((share for share in each if share is not None), default=0.0)
        if not worst <= TRAINED:
            late.append(f"{row} {worst:.2f}")
    return f"last identity loss, of chance's: {', '.join(late)}" if late else ""


def _points(gain: Comparison, scale: float = 100) -> Interval:
    value, low, high = (scale * x for x in (gain.difference, gain.low, gain.high))
    return Interval(value, low, high, gain.people, gain.seeds, gain.num_queries)
