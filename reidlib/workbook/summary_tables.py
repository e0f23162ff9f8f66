"""The summary's tables: every claim, how many got which verdict, every row that was run."""

from __future__ import annotations

import pandas as pd

from reidlib.workbook.cells import Cell, Column, Row, WebTable, verdict_cell
from reidlib.workbook.collected import PAPERS
from reidlib.workbook.summary import side_by_side
from reidlib.workbook.tables import NOT_HERE
from reidlib.workbook.words import DRAWN, REAL, VERDICTS, count, display


def claims(frame: pd.DataFrame, name: str, caption: str, *, with_paper: bool) -> WebTable:
    """One line a claim, drawn and real people side by side, for filters by paper and verdict."""
    both = side_by_side(frame)
    keys = list(dict.fromkeys(zip(frame["paper"], frame["number"], strict=True)))
    rows = []
    for (paper, number), (_, line) in zip(keys, both.iterrows(), strict=True):
        where = f"{line['paper']}, {line['section']}" if with_paper else line["section"]
        cells = [Cell(f"{number}. {line['claim']}", where)]
        for data in (DRAWN, REAL):
            verdict = line[f"{data}: verdict"]
            mine = frame[(frame["paper"] == paper) & (frame["number"] == number)
                         & (frame["data"] == data)]  # fmt: skip
            if not verdict:
                cells.append(Cell(NOT_HERE))
                continue
            one = mine.iloc[0]
            n = "; ".join(filter(None, (count(one["n"], "people"), count(one["seeds"], "seeds"))))
            sub = f"{one['as_measured']}{f' ({n})' if n else ''}"
            cells.append(verdict_cell(verdict, sub, one["note"]))
        cells.append(Cell(line["printed"]))
        verdicts = [line[f"{data}: verdict"] for data in (DRAWN, REAL)]
        rows.append(Row(cells, data={"paper": paper, "verdicts": "|".join(filter(None, verdicts))}))
    columns = [Column("claim", "words"), *(Column(x, "") for x in (DRAWN, REAL, "printed"))]
    note = f"{NOT_HERE} means that the claim was not judged on these people."
    return WebTable(caption, columns, rows, note=note, badge="both", id=name)


def counts(frame: pd.DataFrame, caption: str) -> WebTable:
    """``summary.counts`` with one column a verdict."""
    rows = []
    for key, line in zip(frame.index.to_list(), frame.to_numpy(), strict=True):
        cells = [Cell(PAPERS[key[0]].label, key[1])]
        cells += [Cell(str(int(n)), cls="num") for n in line]
        rows.append(Row(cells))
    heads = [Column(VERDICTS[str(name)][0], word=str(name)) for name in frame.columns]
    return WebTable(caption, [Column("paper", ""), *heads], rows, badge="both")


def all_rows(frame: pd.DataFrame, caption: str) -> WebTable:
    """``summary.rows_side_by_side``: every row that was run."""
    rows, place = [], ("paper", "table", "on")
    for _, line in frame.iterrows():
        cells = [Cell(display(line["row"]), ", ".join(filter(None, (line[c] for c in place))))]
        for data in (DRAWN, REAL):
            value, _, interval = line[data].partition(" ")
            sub = f"{interval} {count(line[f'{data}: seeds'], 'seeds')}".strip()
            title = line[f"{data}: regime"]
            cells.append(Cell(value or NOT_HERE, sub, cls="num", title=title))
        cells += [Cell(line["printed"], cls="num"), Cell(line["metric"])]
        rows.append(Row(cells))
    columns = [Column("row", "words"), Column(DRAWN), Column(REAL), Column("printed"),
               Column("metric", "")]  # fmt: skip
    note = (
        f"In percent, with 95 % intervals. {NOT_HERE} means not measured on these people; an empty "
        "cell under printed is a row that the paper does not print. Pointing at a value shows what "
        "the network was trained from and how long."
    )
    return WebTable(caption, columns, rows, note=note, badge="both")
