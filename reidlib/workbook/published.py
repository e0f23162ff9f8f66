"""The papers' tables as they are printed, misprints included: each paper's ``published/*.csv``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib import papers
from reidlib.errors import ReidError, nearest


def files() -> dict[str, Path]:
    """The tables of every paper, by the name of the file without its suffix."""
    folders = papers.folders().values()
    return {file.stem: file for folder in folders for file in folder.glob("published/*.csv")}


def table(name: str, dataset: str | None = None) -> pd.DataFrame:
    """A printed table, tidy: row, dataset, metric, value, source ("quoted": by the authors from
    another paper; "reproduced": run by them). ``dataset`` picks one of its datasets.

    Raises ReidError for an unknown table, or a dataset on which it prints nothing.
    """
    known = files()
    if name not in known:
        raise ReidError(f'no published table "{name}"{nearest(name, known)}')
    path = known[name]
    found = pd.read_csv(path)
    if missing := {"row", "dataset", "metric", "value"} - set(found.columns):
        raise ReidError(f"{path.name} holds no results: it lacks the columns {sorted(missing)}")
    if dataset:
        if not (found.dataset == dataset).any():
            raise ReidError(
                f'{path.name} prints nothing on "{dataset}"{nearest(dataset, set(found.dataset))}'
            )
        found = found[found.dataset == dataset]
    return found


def those(name: str, rows: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``rows`` those that a printed table has, in its order."""
    return {row: rows[row] for row in dict.fromkeys(table(name)["row"]) if row in rows}


def values(name: str | None, dataset: str | None = None) -> dict[tuple[str, str], float]:
    """(row, metric) -> value of a printed table; empty for None.

    Raises ReidError as ``table`` does, and if a value is printed several times.
    """
    if name is None:
        return {}
    found = table(name, dataset)
    twice = found[found.duplicated(["row", "metric"])]
    if len(twice):
        several = sorted(set(found.dataset))
        way_out = "give each of these rows a name of its own"
        if len(several) > 1:
            way_out = f"choose one of the datasets {several} with on="
        raise ReidError(
            f'{name}.csv prints {twice.metric.iloc[0]} of "{twice.row.iloc[0]}" several times: '
            f"{way_out}"
        )
    return {
        (str(row), str(metric)): float(value)
        for row, metric, value in zip(found.row, found.metric, found.value, strict=True)
    }
