"""Whether what the run store holds is still what was written: ``python -m reidlib runs verify``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError, safe_open

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import Metrics
from reidlib.train import store as runs

SEALED = ("weights.safetensors", "history.csv")  # files whose checksums run.json holds


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of a finished run's files, for ``run.json``."""
    return {name: _digest(folder / name) for name in SEALED if (folder / name).is_file()}


def verify(store: Path | None = None) -> pd.DataFrame:
    """One row a run: run, state ("whole", "no checksums" for one that an older version trained,
    "in training", "damaged") and problem, which names the file and the way out."""
    rows = []
    for path in runs._folders(store):
        try:
            state, problem = _state(path), ""
        except (ReidError, OSError, ValueError, KeyError, SafetensorError) as error:
            again = f"python -m reidlib runs remove {path.name}, then train it again"
            state, problem = "damaged", f"{' '.join(str(error).split())}: {again}"
        rows.append((path.name, state, problem))
    return pd.DataFrame(rows, columns=["run", "state", "problem"])


def _state(path: Path) -> str:
    run = runs._open(path)
    for file in sorted(path.glob("eval/*/what.json")):
        Metrics.load(file.parent)
    if not run.complete:
        _readable(path / "checkpoint.safetensors")
        return "in training"
    _readable(path / "weights.safetensors")
    known = run.info.get("sha256")
    if known is None:
        return "no checksums"
    for name, digest in known.items():
        if _digest(path / name) != digest:
            raise ReidError(f"{name} is not what was written")
    return "whole"


def _readable(file: Path) -> None:
    """Raises for a safetensors file that is cut short or has no header; a missing one is well."""
    if file.is_file():
        with safe_open(file, "pt") as opened:
            opened.keys()


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
