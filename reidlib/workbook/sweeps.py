"""A metric against a setting: measured at its values, saved, and drawn. Methods of ``Report``.

Where the committed study has the sweep and the profile has no time for it (``Report.committed``),
the study's lines are drawn, and only the paper's own value is measured, as a point on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.data import EMBEDDED, Dataset
from reidlib.train.recipe import Recipe
from reidlib.train.sweep import Evaluation
from reidlib.workbook import committed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Frames = Mapping[str, pd.DataFrame]


def one(
    report: Any,
    name: str,
    lines: Mapping[str, Recipe | Callable[[Any], Recipe]],
    label: str,
    values: Sequence[Any],
    *,
    keep: Any,
    test: Callable[[Any], Dataset] | None = None,
    headline: bool = False,
    drawn: bool = False,
    mark: str = "paper",
    logx: bool = False,
    gains: str = "",
    **options: Any,
) -> Figure | None:
    """One setting, saved as ``<notebook>_<name>.csv``; None where nothing is measured.

    lines: name of a line -> what makes the recipe of a value, or, with ``test``, which makes the
    dataset that a value is tested on, the recipe. values: thinned to what the profile has time for,
    ``keep`` (a dotted line called ``mark``) among them. headline: also in a profile without time
    for whole tables, and of all lines; else of the first alone (which is not ``gains``, the zero).
    drawn: on drawn people alone. options: of ``Report.measure``.
    """
    from reidlib.visualize import sweep

    if drawn and report.profile.dataset not in EMBEDDED:
        return None
    study = committed.lines(report.committed(name), lines, values)
    if not (report.all_rows or headline or study):
        return None
    points = [keep] if study else report.points(values, keep)
    if not (report.all_rows or headline):
        few = sorted(lines, key=lambda line: line != gains)[: 2 if gains else 1]
        lines = {line: lines[line] for line in few}
    if test is None:
        frames = {k: _along(report, k, of, points, options) for k, of in lines.items()}  # type: ignore[arg-type]
        together = pd.concat(frames.values())
    else:
        rows: Mapping[str, Recipe] = lines  # type: ignore[assignment]
        sets = {x: test(x) for x in points}
        asked = options.get("evaluate", {})
        options |= {"against": gains} if gains else {}
        report.fit_all(rows, [Evaluation(some, asked) for some in sets.values()])
        tidy = [report.measure(rows, tested=s, **options).assign(x=x) for x, s in sets.items()]
        together = pd.concat(tidy)
        frames = {line: together[together["row"] == line] for line in lines}
    report.save(together, name)
    drawing = _drawing(study, frames)
    return report.figure(sweep(study or frames, label, logx, {mark: keep}, gains, **drawing), name)


def several(
    report: Any,
    name: str,
    line: str,
    panels: Mapping[str, tuple[str, Callable[[Any], Recipe], Sequence[Any], Any]],
    *,
    headline: bool = False,
    **options: Any,
) -> Figure | None:
    """Several settings of one row, called ``line``, each changed by itself: a panel each.

    panels: key -> label, what makes the recipe of a value, the values, and the paper's own among
    them; each is measured as in ``one`` and saved as ``<notebook>_<name>_<key>.csv``.
    """
    from reidlib.visualize import sweeps

    found = {
        label: committed.lines(report.committed(f"{name}_{key}"), [line], values).get(line)
        for key, (label, _, values, _) in panels.items()
    }
    study = {label: frame for label, frame in found.items() if frame is not None}
    if len(study) < len(panels):
        study = {}
    if not (report.all_rows or headline or study):
        return None
    frames = {}
    for key, (label, of, values, keep) in panels.items():
        points = [keep] if study else report.points(values, keep)
        frames[label] = _along(report, line, of, points, options)
        report.save(frames[label], f"{name}_{key}")
    marks = {label: keep for label, _, _, keep in panels.values()}
    return report.figure(sweeps(study or frames, marks, **_drawing(study, frames)), name)


def _along(
    report: Any,
    line: str,
    of: Callable[[Any], Recipe],
    points: Sequence[Any],
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """``Report.measure`` of a recipe for each point, with the columns ``line`` and ``x``."""
    named = {str(x): x for x in points}
    frame = report.measure({row: of(x) for row, x in named.items()}, **options)
    frame.insert(0, "line", line)
    return frame.assign(x=frame["row"].map(named))


def _drawing(study: Frames, frames: Frames) -> dict[str, Any]:
    """What is drawn on the study's lines, where there are any: ``points`` and ``note``."""
    if not study:
        return {}
    return {"points": frames, "note": committed.note(pd.concat(study.values()), "lines")}
