"""Committed tables, collected: every row that was run and every claim with its verdict.

Nothing is trained. The tables lie in ``reports/<folder>/tables``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.system.files import root
from reidlib.workbook import profile as profiles
from reidlib.workbook import published
from reidlib.workbook.words import DRAWN, REAL, VERDICTS, dashed


@dataclass(frozen=True)
class Paper:
    """A paper as a reader finds it: names, notebook, authors, title and where it was published."""

    name: str
    label: str
    notebook: str
    authors: str
    title: str
    doi: str = ""  # "" where none is known for certain


PAPERS = {
    paper.name: paper
    for paper in (
        Paper("stnreid", "STNReID", "10_stnreid", "Luo, Fan, Zhang and Jiang",
              "STNReID: Deep Convolutional Networks with Pairwise Spatial Transformer Networks "
              "for Partial Person Re-identification", "10.1109/TMM.2020.2965491"),
        Paper("ppcl", "PPCL", "20_ppcl", "He, Shen, Huang, Chen and Hua",
              "Partial Person Re-identification with Part-Part Correspondence Learning"),
        Paper("vcn", "SC-STN and VCN", "30_vcn", "Peng, Tian, Huang, Wang and An",
              "Discriminative Spatial Feature Learning for Person Re-Identification",
              "10.1145/3394171.3413730"),
        Paper("scr", "SCR", "40_scr", "Chen, Lagadec and Bremond",
              "Learning Discriminative and Generalizable Representations by Spatial-Channel "
              "Partition for Person Re-Identification"),
        Paper("rmgl", "RMGL", "50_rmgl", "Wang, Yuan, Li, Ge and Zhou",
              "Receptive Multi-granularity Representation for Person Re-Identification",
              "10.48550/arXiv.2008.13450"),
    )
}  # fmt: skip

# the words of tables that were made before the verdicts of today
OLD_WORDS = {"does not hold": "reversed", "within chance": "too small to tell"}
EARLIER = "judged by the earlier rule: its interval resamples queries, not people and seeds"

# A row belongs to the short regime if neither its recipe nor one that it starts from names weights.
SHORT = "random weights, short training"
STARTED = "from trained weights"

COMMITTED = ("study", "market1501")
POINTS = re.compile(r"rank-?\d+|mAP.*|mINP")
NUMBER = r"[+-]?\d+(?:\.\d+)?"
CLAIM = ["paper", "section", "claim", "unit"]  # what makes a claim one and the same
COLUMNS = [
    "paper", "number", "section", "claim", "printed", "measured", "low", "high", "unit", "n",
    "seeds", "profile", "data", "regime", "setting", "kind", "verdict", "note", "as_printed",
    "as_measured",
]  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table that a notebook wrote: where it lies, and what it was measured under."""

    path: Path
    notebook: str
    name: str
    profile: str
    data: str  # DRAWN or REAL

    def read(self) -> pd.DataFrame:
        return pd.read_csv(self.path)


def tables(folders: Sequence[str] = COMMITTED, base: Path | None = None) -> list[Table]:
    """Every table of these folders below ``reports/``, sorted.

    A profile that shares a folder ends its tables' names: ``...-cpu.csv`` is ``market1501_cpu``.
    Raises ReidError for a file that is no notebook's.
    """
    known = profiles.names()
    found = []
    for folder in folders:
        for path in sorted(((base or root() / "reports") / folder / "tables").glob("*.csv")):
            parts = re.fullmatch(r"(\d\d_[a-z0-9]+)_(.+)", path.stem)
            if not parts:
                raise ReidError(f"{path.name} is no notebook's table: its name begins with none")
            name, profile = parts[2], folder
            for other in known:
                suffix = other.removeprefix(folder).replace("_", "-", 1)
                if other.startswith(f"{folder}_") and name.endswith(suffix):
                    name, profile = name.removesuffix(suffix), other
            # only drawn people's results are committed there, whatever profile is asked for now
            data = DRAWN if folder == profiles.COMMITTED else REAL
            found.append(Table(path, parts[1], name, profile, data))
    return found


def regime(recipe: Mapping[str, Any]) -> str:
    """SHORT or STARTED, of a recipe's canonical form."""
    chain = [recipe]
    while chain:
        one = chain.pop()
        if one.get("weights"):
            return STARTED
        chain += one.get("start", [])
    return SHORT


def setting(recipe: Mapping[str, Any]) -> str:
    """Network, size and length of a recipe: ``"tiny, 96x32, 200 steps"``.

    A recipe that trains nothing has the length of the last run that it is put together from.
    """
    height, width = recipe.get("size", (256, 128))
    steps = recipe.get("steps")
    if steps == 0 and recipe.get("start"):
        return setting(recipe["start"][-1])
    length = f"{recipe.get('epochs', 120):g} epochs" if steps is None else f"{steps:,} steps"
    return f"{recipe.get('backbone', 'resnet50')}, {height}x{width}, {length}"


def is_tidy(frame: pd.DataFrame) -> bool:
    """Whether a table holds what ``Report.measure`` returns."""
    return {"row", "metric", "mean", "low", "high", "n", "recipe"} <= set(frame.columns)


def rows(found: Sequence[Table] | None = None) -> pd.DataFrame:
    """Every row that was run for a printed table, one line a metric.

    Columns: paper, table, row, metric, on (the dataset it is printed on), printed (NaN where the
    row is ours alone), measured, low, high (95 %), n (seeds), data, measured_on, profile, regime,
    setting. Values in percent.
    """
    lines = []
    printed = published.files()
    for table in tables() if found is None else found:
        paper = table.notebook[3:]
        name = f"{paper}_{table.name.split('_')[0]}"
        frame = table.read() if paper in PAPERS and name in printed else pd.DataFrame()
        for _, row in frame.iterrows() if is_tidy(frame) else ():
            recipe = json.loads(row["recipe"])
            lines.append(
                {"paper": paper, "table": name, "row": row["row"], "metric": row["metric"],
                 "on": _text(row["published_on"]),
                 "printed": row["published"], "measured": row["mean"], "low": row["low"],
                 "high": row["high"], "n": int(row["n"]), "data": table.data,
                 "measured_on": row["measured_on"], "profile": table.profile,
                 "regime": regime(recipe), "setting": setting(recipe)}
            )  # fmt: skip
    return pd.DataFrame(lines)


def claims(found: Sequence[Table] | None = None) -> pd.DataFrame:
    """Every claim of every paper, one line for each data it was judged on (``COLUMNS``).

    ``printed``, ``measured``, ``low``, ``high``: numbers in ``unit``, NaN where there is none;
    ``as_printed`` and ``as_measured`` are the table's own words. ``n``: people, where the table
    says it; ``seeds``: of the trainings behind it. ``kind``: "trained", or "counted" where nothing
    was trained. ``number`` counts a paper's claims, the same on drawn and on real people.
    """
    found = tables() if found is None else found
    lines: list[dict[str, Any]] = []
    for table in found:
        if table.name == "claims" and table.notebook[3:] in PAPERS:
            about = trained_under(table, found)
            for _, claim in table.read().fillna("").astype(str).iterrows():
                lines.append(_claim(table, claim, about))
    frame = pd.DataFrame(lines)
    order = frame.groupby("paper", sort=False)
    numbers = {key: n for _, one in order for n, key in enumerate(_keys(one), start=1)}
    frame["number"] = [numbers[key] for key in zip(*(frame[c] for c in CLAIM), strict=True)]
    frame["_paper"] = frame["paper"].map(list(PAPERS).index)
    frame = frame.sort_values(["_paper", "number", "data", "profile"], kind="stable")
    return frame[COLUMNS].reset_index(drop=True)


def _keys(frame: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(dict.fromkeys(zip(*(frame[column] for column in CLAIM), strict=True)))


def trained_under(claimed: Table, found: Sequence[Table]) -> dict[str, Any]:
    """What most rows of the same notebook and profile were trained under, of those with as many
    seeds as the claims name, if they do.

    Claims are judged last: where some of a notebook's tables are of the short regime and some are
    not yet, the claims are of the newer ones.
    """
    seen = []
    said = claimed.read().get("n", pd.Series(dtype=object)).astype(str)
    seeds = said.str.extract(r"(\d+) seed")[0].dropna().astype(int).mode()
    for table in found:
        if (table.notebook, table.profile) == (claimed.notebook, claimed.profile):
            frame = table.read()
            if is_tidy(frame):
                for text, n in zip(frame["recipe"], frame["n"], strict=True):
                    recipe = json.loads(text)
                    seen.append((regime(recipe), setting(recipe), int(n)))
    alike = [one for one in seen if one[2] in set(seeds)]
    seen = alike or seen
    seen = [one for one in seen if one[0] == STARTED] or seen
    if not seen:
        return {"regime": "", "setting": "", "seeds": None}
    most = pd.DataFrame(seen, columns=["regime", "setting", "seeds"]).mode().iloc[0]
    return {str(column): value for column, value in most.items()}


def _claim(table: Table, claim: pd.Series, about: Mapping[str, Any]) -> dict[str, Any]:
    """One line of a table of claims, of either form, as numbers."""
    verdict = OLD_WORDS.get(claim["verdict"], claim["verdict"])
    if verdict not in VERDICTS:
        raise ReidError(
            f'{table.path.name}: "{verdict}" is no verdict; there are {", ".join(VERDICTS)}'
        )
    text = claim["measured"]
    number = re.fullmatch(rf"({NUMBER})(?: ([A-Za-z%][A-Za-z% -]*))?", text)
    interval = re.search(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\] ?(.*)$", text)
    printed = re.fullmatch(rf"({NUMBER})(?: (\S.*))?", claim["printed"])
    match = interval or number
    measured = float(match[1]) if match else None
    unit = (interval[4] if interval else number[2] if number else "") or ""
    if not unit and printed:
        unit = printed[2] or ""
    counts = {w[:4]: int(n) for n, w in re.findall(r"(\d+) (people|seeds?)", claim.get("n", ""))}
    trained = bool(interval) or "->" in text or "seed" in counts
    notes = [claim.get("against", ""), claim.get("note", "")]
    if trained and "n" not in claim:
        notes.append(EARLIER)
    return {
        "paper": table.notebook[3:],
        "section": claim["where"],
        "claim": claim["claim"],
        "printed": float(printed[1]) if printed else None,
        "measured": measured,
        "low": float(interval[2]) if interval else None,
        "high": float(interval[3]) if interval else None,
        "unit": re.sub(r"^rank(\d)", r"rank-\1", unit),
        "n": counts.get("peop"),
        "seeds": counts.get("seed", about["seeds"]) if trained else None,
        "profile": table.profile,
        "data": table.data,
        "regime": about["regime"] if trained else "",
        "setting": about["setting"] if trained else "",
        "kind": "trained" if trained else "counted",
        "verdict": verdict,
        "note": "; ".join(filter(None, notes)),
        "as_printed": dashed(claim["printed"]),
        "as_measured": dashed(text),
    }


def once(frame: pd.DataFrame) -> pd.DataFrame:
    """Each claim once on drawn and once on real people, where several profiles judged it."""
    return frame.drop_duplicates(["paper", "number", "data"])


def table_title(name: str) -> str:
    """``"Table 1a"`` of ``"ppcl_table1a"``."""
    return name.split("_")[1].replace("table", "Table ")


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
