"""What came again, in words. ``reports/claims.csv``, ``docs/results.md`` and the tables of the
README are made of the committed ones by ``python -m reidlib.workbook.summary``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write, root
from reidlib.workbook.collected import PAPERS, POINTS, claims, once, rows, table_title, tables
from reidlib.workbook.words import DRAWN, OPEN, REAL, VERDICTS, are, count, dashed, tally

# the table of each paper that adds its parts one by one
COMPONENTS = {
    "stnreid": "stnreid_table3", "ppcl": "ppcl_table1a", "vcn": "vcn_table3", "scr": "scr_table3",
    "rmgl": "rmgl_table5",
}  # fmt: skip
# the claim that each paper stands for, the unit in which it is asked, and what it says
MAIN = {
    "stnreid": ("PM improves the baseline (partial-reid)", "rank-1",
                "cutting the whole image as the partial one was (STN), then comparing, beats "
                "comparing them as they are"),
    "ppcl": ("PPCL improves resizing", "rank-1",
             "placing a partial image in its frame and comparing corresponding regions beats "
             "stretching it"),
    "vcn": ("the full model is better than the baseline, equal losses and starts", "mAP",
            "aligning by scale and position and convolving whole rows beats a plain network"),
    "scr": ("p2 with parts is better than p1", "mAP",
            "a branch that also learns rows and groups of channels beats a plain one"),
    "rmgl": ("2-stripe+RP over 2-stripe (BL)", "mAP",
             "stripes cut early in the network beat stripes of its last map"),
}  # fmt: skip
BEGIN, END = "<!-- what came again: made by `make summary` -->", "<!-- end -->"


def counts(frame: pd.DataFrame, kind: str | None = None) -> pd.DataFrame:
    """How many claims got which verdict: one line for each paper and data, one column a verdict.

    ``kind``: "trained" or "counted" alone.
    """
    frame = once(frame)
    chosen = frame if kind is None else frame[frame["kind"] == kind]
    table = chosen.groupby(["paper", "data", "verdict"], sort=False).size().unstack(fill_value=0)
    lines = [(p, d) for p in PAPERS for d in (DRAWN, REAL) if (p, d) in table.index]
    return table.reindex(index=pd.MultiIndex.from_tuples(lines, names=["paper", "data"]),
                         columns=list(VERDICTS), fill_value=0)  # fmt: skip


def side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a claim: paper, number, section, claim, printed, and for drawn and real people
    what was measured and its verdict; "" where it was not."""
    lines = []
    for (paper, number), both in frame.groupby(["paper", "number"], sort=False):
        first = both.iloc[0]
        line = {"paper": PAPERS[str(paper)].label, "number": number, "section": first["section"],
                "claim": first["claim"], "printed": first["as_printed"]}  # fmt: skip
        for data in (DRAWN, REAL):
            one = both[both["data"] == data]
            line[f"{data}: measured"] = one["as_measured"].iloc[0] if len(one) else ""
            line[f"{data}: verdict"] = one["verdict"].iloc[0] if len(one) else ""
        lines.append(line)
    return pd.DataFrame(lines)


def rows_side_by_side(frame: pd.DataFrame) -> pd.DataFrame:
    """One line a row and metric of ``rows``: paper, table, on, row, metric, printed, and for drawn
    and real people what was measured with its interval, the seeds, and under what."""
    lines = []
    for key, both in frame.groupby(["paper", "table", "on", "row", "metric"], sort=False):
        paper, table, on, row, metric = map(str, key)
        line: dict[str, Any] = {"paper": PAPERS[paper].label, "table": table_title(table),
                                "on": on, "row": row, "metric": dashed(metric),
                                "printed": _one_decimal(both["printed"].iloc[0])}  # fmt: skip
        for data in (DRAWN, REAL):
            one = both[both["data"] == data]
            line[data] = line[f"{data}: seeds"] = line[f"{data}: regime"] = ""
            if len(one):
                value = one.iloc[0]
                line[data] = f"{value['measured']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"
                line[f"{data}: seeds"] = str(value["n"])
                line[f"{data}: regime"] = f"{value['regime']}; {value['setting']}"
        lines.append(line)
    return pd.DataFrame(lines)


def _one_decimal(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def sentences(frame: pd.DataFrame, paper: str) -> tuple[str, str, str]:
    """What came again, what did not, and what is open, of one paper: three sentences."""
    mine = once(frame[frame["paper"] == paper])
    drawn = mine[mine["data"] == DRAWN]
    trained = drawn[drawn["kind"] == "trained"]
    testable = trained[trained["verdict"] != "not testable here"]
    held = testable[testable["verdict"] == "holds"]
    turned = testable[testable["verdict"] == "reversed"]
    came = f"Of {len(testable)} claims that training decides, {len(held)} hold on drawn people"
    came += f"; the clearest is {_example(held)}." if len(held) else "."
    did_not = f"{_words(len(turned))} of them turned out the other way"
    did_not += f"; the clearest is {_example(turned)}." if len(turned) else "."
    undecided = int(testable["verdict"].isin(OPEN).sum())
    left = int((drawn["verdict"] == "not testable here").sum())
    pairs = side_by_side(mine)
    both = pairs[(pairs[f"{DRAWN}: verdict"] != "") & (pairs[f"{REAL}: verdict"] != "")]
    same = int((both[f"{DRAWN}: verdict"] == both[f"{REAL}: verdict"]).sum())
    still = (
        f"{_words(undecided)} {are(undecided)} still open, {left} cannot be tested here, and of "
        f"{len(both)} claims that were also judged on real people {same} got the same verdict."
    )
    return came, did_not, still


def _example(some: pd.DataFrame) -> str:
    """The claim whose effect is largest against its interval: name, measured, printed."""
    known = some[some["low"].notna() & some["unit"].str.fullmatch(POINTS)]
    known = known if len(known) else some
    width = (known["high"] - known["low"]).clip(lower=1e-6)
    best = known.iloc[int((known["measured"].abs() / width).fillna(0).to_numpy().argmax())]
    printed = "" if pd.isna(best["printed"]) else f", printed {best['as_printed']}"
    return f"“{best['claim']}” (measured {best['as_measured']}{printed})"


def _words(n: int) -> str:
    return "None" if n == 0 else str(n)


def main_table(frame: pd.DataFrame) -> str:
    """The README's first table: the ``MAIN`` claim of each paper, what is printed and what was
    measured, with its verdict and the note, where the gain over a control stands."""
    lines = [
        "| paper | its main claim | printed | on drawn people | on real people (Market-1501) |",
        "|---|---|---|---|---|",
    ]
    for name, (claim, unit, said) in MAIN.items():
        mine = frame[(frame["paper"] == name) & (frame["claim"] == claim) & (frame["unit"] == unit)]
        cells = []
        for data in (DRAWN, REAL):
            one = mine[mine["data"] == data].to_dict("records")
            cells.append("; ".join(
                f"{line['as_measured']}: **{line['verdict']}**"
                + (f" ({line['note']})" if line["note"] else "")
                for line in one
            ) or "not measured")  # fmt: skip
        printed = mine["as_printed"].iloc[0] if len(mine) else ""
        lines.append(f"| {PAPERS[name].label} | {said} | {printed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_tables(frame: pd.DataFrame) -> str:
    """What stands in the README between its two marks."""
    return f"{main_table(frame)}\n\nHow many of all claims:\n\n{readme_table(frame)}"


def readme_table(frame: pd.DataFrame) -> str:
    """The README's second table: five rows, one a paper."""
    lines = [
        "| paper | notebook | on drawn people | on real people (Market-1501) | measured from |",
        "|---|---|---|---|---|",
    ]
    for name, paper in PAPERS.items():
        mine = once(frame[frame["paper"] == name])
        cells = []
        for data in (DRAWN, REAL):
            one = mine[mine["data"] == data]
            seeds = one["seeds"].dropna()
            runs = f"; {count(seeds.max(), 'seeds')}" if len(seeds) else ""
            cells.append(f"{tally(one['verdict'])}{runs}" if len(one) else "not measured")
        under = " / ".join(dict.fromkeys(filter(None, mine["regime"])))
        notebook = f"[`{paper.notebook}`](notebooks/{paper.notebook}.ipynb)"
        lines.append(f"| {paper.label} | {notebook} | {' | '.join(cells)} | {under} |")
    return "\n".join(lines)


def results_page(frame: pd.DataFrame, ran: pd.DataFrame) -> str:
    """``docs/results.md``: each paper's three sentences and its table of components."""
    lines = [
        "# Results: each paper in one table",
        "",
        "This page is made from the committed tables by `make summary`. Values are in percent, "
        "with 95 % intervals in brackets; an empty cell was not measured or is not printed.",
    ]
    for name, paper in PAPERS.items():
        if not (frame["paper"] == name).any():
            continue
        lines += ["", f"## {paper.label}", "", " ".join(sentences(frame, name))]
        own = ran[ran["table"] == COMPONENTS[name]] if len(ran) else ran
        if len(own) == 0:
            continue
        title = table_title(COMPONENTS[name])
        table = rows_side_by_side(own)
        heads = "| row | metric | printed on | printed | drawn people | real people |"
        lines += ["", f"Its {title}:", "", heads, "|---|---|---|---|---|---|"]
        for _, line in table[(table[DRAWN] != "") | (table[REAL] != "")].iterrows():
            cells = [line[c] for c in ("row", "metric", "on", "printed", DRAWN, REAL)]
            lines.append(f"| {' | '.join(cells)} |")
        for data in (DRAWN, REAL):
            under = own[own["data"] == data]
            if len(under):
                one = under.iloc[0]
                lines += ["", f"On {data}: {one['setting']}, {one['regime']}, "
                          f"{count(one['n'], 'seeds')}."]  # fmt: skip
    return "\n".join(lines) + "\n"


def claims_csv(frame: pd.DataFrame) -> str:
    """``reports/claims.csv``."""
    whole = {column: "Int64" for column in ("n", "seeds", "number")}
    return frame.astype(whole).to_csv(index=False, float_format="%.6g")


def write(base: Path | None = None) -> list[Path]:
    """Writes ``reports/claims.csv``, ``docs/results.md`` and the table in ``README.md``; the files
    that changed.

    Raises ReidError if the README has no place for the table.
    """
    base = base or root()
    found = tables(base=base / "reports")
    frame, ran = claims(found), rows(found)
    readme = base / "README.md"
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ReidError(f"{readme.name} has no place for the table, between {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    wanted = {
        base / "reports" / "claims.csv": claims_csv(frame),
        base / "docs" / "results.md": results_page(frame, ran),
        readme: f"{before}{BEGIN}\n{readme_tables(frame)}\n{END}{after}",
    }
    changed = []
    for path, content in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            atomic_write(path, content)
            changed.append(path)
    return changed


if __name__ == "__main__":
    written = write()
    for file in written:
        print(f"renewed {file.relative_to(root())}")
    if not written:
        print("the claims file and the README's table are up to date")
