"""A paper's tables on its other datasets: measured on what stands for them in a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.train.recipe import Recipe
from reidlib.workbook.claims import Claim, between
from reidlib.workbook.report import Report

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler


def stand_in(report: Report, name: str) -> dict[str, Any]:
    """What the profile trains on in place of ``name`` (``Report.domain``); empty if nothing, and in
    a profile that has time for headline rows alone."""
    return report.domain(name) if report.all_rows else {}


def reproduce(
    report: Report, rows: Mapping[str, Recipe], published: str, on: str, **options: Any
) -> pd.DataFrame | None:
    """``Report.reproduce`` beside what ``published`` prints on the dataset ``on``, trained and
    evaluated on its stand-in; None if there is none. options: of ``Report.reproduce``."""
    there = stand_in(report, on)
    if not there:
        return None
    return report.reproduce(
        rows, published=published, published_dataset=on, train_on=there, **options
    )


def table(
    report: Report,
    rows: Mapping[str, Recipe],
    published: str,
    on: str,
    title: str,
    name: str = "",
    **options: Any,
) -> Styler:
    """That as a table: saved as ``<name>_<on>`` (default: the published table's own name without
    its paper), shown as ``<title>, printed on <on>``; the printed values alone if there is no
    stand-in."""
    tidy = reproduce(report, rows, published, on, **options)
    name = name or published.split("_", 1)[1]
    return report.results(
        tidy, f"{name}_{on}", f"{title}, printed on {on}", published=published, published_dataset=on
    )


def claims(
    report: Report,
    published: str,
    on: str,
    rows: Mapping[str, Recipe],
    pairs: Sequence[tuple[str, str, str, str]],
    evaluate: Mapping[str, Any] | None = None,
) -> list[Claim]:
    """``claims.between`` on the stand-in for the dataset ``on``, which each sentence then names;
    none if there is no stand-in."""
    there = stand_in(report, on)
    named = [(f"{sentence} ({on})", where, a, b) for sentence, where, a, b in pairs]
    if not there:
        return []
    return between(report, published, on, rows, named, evaluate=evaluate, train_on=there)
