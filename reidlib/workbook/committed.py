"""What the committed study measured, as shown beside a run that trains headline rows alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.train.recipe import Recipe
from reidlib.workbook.profile import COMMITTED

NEEDED = ("row", "metric", "mean", "sd", "n", "low", "high", "recipe")  # of a tidy table


def table(path: Path) -> pd.DataFrame:
    """A committed table with at least NEEDED, ``x`` as text; empty if there is no such file, or if
    it holds something else."""
    nothing = pd.DataFrame(columns=NEEDED)
    if not path.is_file():
        return nothing
    found = pd.read_csv(path, dtype={"row": str, "line": str, "x": str})
    return found if set(NEEDED) <= set(found.columns) else nothing


def lines(
    found: pd.DataFrame, names: Collection[str], values: Sequence[Any]
) -> dict[str, pd.DataFrame]:
    """The lines of a committed sweep by name, their ``x`` among ``values``; empty if it has none
    of ``names`` or of ``values``, and so is another sweep than the one asked for."""
    by = "line" if "line" in found else "row"
    if "x" not in found or not set(names) & set(found[by]):
        return {}
    known = {_word(x): x for x in values}
    written = found["x"].map(_word)
    found = found[written.isin(known)].assign(x=[known[x] for x in written if x in known])
    return {str(name): line for name, line in found.groupby(by, sort=False)}


def note(found: pd.DataFrame, what: str) -> str:
    """A sentence that says whose values ``what`` shows, and with what their rows were trained, read
    from their recipes; where rows differ, each value or the span of them."""
    default = Recipe()
    recipes = [json.loads(text) for text in dict.fromkeys(found["recipe"])]

    def of(name: str) -> list[Any]:
        return list(dict.fromkeys(recipe.get(name, getattr(default, name)) for recipe in recipes))

    sizes = {"x".join(map(str, recipe.get("size", default.size))) for recipe in recipes}
    steps = [recipe["steps"] for recipe in recipes if recipe.get("steps")]  # 0: nothing is trained
    length = f"{_span(steps)} steps" if steps else f"{_span(of('epochs'))} epochs"
    seeds = _span(found["n"])
    return (
        f"{what}: not measured by this run but committed, mean ± s.d. of profile {COMMITTED} "
        f"({' or '.join(of('backbone'))} at {' or '.join(sorted(sizes))}, "
        f"{' or '.join(weights or 'random' for weights in of('weights'))} weights, "
        f"{length}, {seeds} seed{'' if seeds == '1' else 's'})"
    )


def _span(values: Collection[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _word(x: Any) -> str:
    """As a CSV holds it: numbers with six digits, all else as it is."""
    try:
        return f"{float(x):.6g}"
    except ValueError:
        return str(x)
