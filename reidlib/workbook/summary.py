"""What came again: every claim with its verdict and every row that was run, from committed tables.

Nothing is trained. The tables lie in ``reports/<folder>/tables``; ``reports/claims.csv``,
``docs/results.md`` and the README's table are made of them by ``python -m
reidlib.workbook.summary``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write, root
from reidlib.workbook import profile as profiles
from reidlib.workbook import published

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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

# verdict: its sign, and a colour that is told from the others without seeing red and green apart
# (Okabe and Ito)
VERDICTS = {
    "holds": ("✓", "#0072b2"),
    "reversed": ("✗", "#d55e00"),
    "too small to tell": ("≈", "#8a8a8a"),
    "too short to judge": ("…", "#b8a100"),
    "not testable here": ("–", "#c9c9c9"),
}
OPEN = ("too small to tell", "too short to judge")
# the words of tables that were made before the verdicts of today
OLD_WORDS = {"does not hold": "reversed", "within chance": "too small to tell"}
EARLIER = "judged by the earlier rule: its interval resamples queries, not people and seeds"

# A row belongs to the short regime if neither its recipe nor one that it starts from names weights.
SHORT = "random weights, short training"
STARTED = "from trained weights"

DRAWN, REAL = "drawn people", "real people"
COMMITTED = ("study", "market1501")
# the table of each paper that adds its parts one by one
COMPONENTS = {
    "stnreid": "stnreid_table3", "ppcl": "ppcl_table1a", "vcn": "vcn_table3", "scr": "scr_table3",
    "rmgl": "rmgl_table5",
}  # fmt: skip
POINTS = re.compile(r"rank-?\d+|mAP.*|mINP")
NUMBER = r"[+-]?\d+(?:\.\d+)?"
CLAIM = ["paper", "section", "claim", "unit"]  # what makes a claim one and the same
COLUMNS = [
    "paper", "number", "section", "claim", "printed", "measured", "low", "high", "unit", "n",
    "seeds", "profile", "data", "regime", "setting", "kind", "verdict", "note", "as_printed",
    "as_measured",
]  # fmt: skip
BEGIN, END = "<!-- what came again: made by `make summary` -->", "<!-- end -->"


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
    seeds as the claims name, if they do."""
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


def dashed(text: str) -> str:
    """``"rank-1"`` for ``"rank1"``."""
    return re.sub(r"\brank(\d)", r"rank-\1", text)


def once(frame: pd.DataFrame) -> pd.DataFrame:
    """Each claim once on drawn and once on real people, where several profiles judged it."""
    return frame.drop_duplicates(["paper", "number", "data"])


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
                                "printed": one_decimal(both["printed"].iloc[0])}  # fmt: skip
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


def table_title(name: str) -> str:
    """``"Table 1a"`` of ``"ppcl_table1a"``."""
    return name.split("_")[1].replace("table", "Table ")


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def one_decimal(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def shown(frame: pd.DataFrame, caption: str, height: str = "32em") -> Any:
    """A frame for display in a notebook, in a box that scrolls; verdicts in colour, with a sign."""
    from IPython.display import HTML

    def colour(cell: object) -> str:
        return f"color: {VERDICTS[str(cell)][1]}" if cell in VERDICTS else ""

    def signed(cell: object) -> str:
        return f"{VERDICTS[str(cell)][0]} {cell}" if cell in VERDICTS else str(cell)

    style = frame.style.set_caption(caption).format(signed).map(colour)
    style = style.set_properties(None, **{"text-align": "left"})
    style = style if frame.index.nlevels > 1 else style.hide(axis="index")
    return HTML(f'<div style="max-height: {height}; overflow: auto">{style.to_html()}</div>')


def tally(frame: pd.DataFrame) -> str:
    """``"12 hold, 4 are reversed, 3 are open"`` of some claims; those not testable are left out."""
    n = frame["verdict"].value_counts()
    held, turned = int(n.get("holds", 0)), int(n.get("reversed", 0))
    undecided = sum(int(n.get(verdict, 0)) for verdict in OPEN)
    return (
        f"{held} {'holds' if held == 1 else 'hold'}, {turned} {_are(turned)} reversed, "
        f"{undecided} {_are(undecided)} open"
    )


def seeds_of(n: float) -> str:
    return "1 seed" if n == 1 else f"{int(n)} seeds"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


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
    did_not += f"; the farthest is {_example(turned)}." if len(turned) else "."
    undecided = int(testable["verdict"].isin(OPEN).sum())
    left = int((drawn["verdict"] == "not testable here").sum())
    pairs = side_by_side(mine)
    both = pairs[(pairs[f"{DRAWN}: verdict"] != "") & (pairs[f"{REAL}: verdict"] != "")]
    same = int((both[f"{DRAWN}: verdict"] == both[f"{REAL}: verdict"]).sum())
    still = (
        f"{_words(undecided)} {_are(undecided)} still open, {left} cannot be tested here, and of "
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


def readme_table(frame: pd.DataFrame) -> str:
    """The README's table: five rows, one a paper."""
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
            runs = f"; {seeds_of(seeds.max())}" if len(seeds) else ""
            cells.append(f"{tally(one)}{runs}" if len(one) else "not measured")
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
        heads = "| row | metric | printed | drawn people | real people |"
        lines += ["", f"Its {title}:", "", heads, "|---|---|---|---|---|"]
        for _, line in table[table["on"] == table["on"].iloc[0]].iterrows():
            cells = [line[c] for c in ("row", "metric", "printed", DRAWN, REAL)]
            lines.append(f"| {' | '.join(cells)} |")
        for data in (DRAWN, REAL):
            under = own[own["data"] == data]
            if len(under):
                one = under.iloc[0]
                lines += ["", f"On {data}: {one['setting']}, {one['regime']}, "
                          f"{seeds_of(one['n'])}."]  # fmt: skip
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
        readme: f"{before}{BEGIN}\n{readme_table(frame)}\n{END}{after}",
    }
    changed = []
    for path, content in wanted.items():
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            atomic_write(path, content)
            changed.append(path)
    return changed


def gains_figure(frame: pd.DataFrame) -> Figure:
    """Printed against measured gain of every claim that has both, in points: a dot with its 95 %
    interval, drawn people left, real people right; on the dashed diagonal they are equal."""
    import matplotlib.pyplot as plt

    known = frame[
        frame["low"].notna() & frame["printed"].notna() & frame["unit"].str.fullmatch(POINTS)
    ]
    figure, panels = plt.subplots(1, 2, figsize=(12, 6), sharex=True, sharey=True)
    for axes, data in zip(panels, (DRAWN, REAL), strict=True):
        _gains(axes, known[known["data"] == data])
        axes.set_title(f"{data}, {int((known['data'] == data).sum())} claims")
        axes.set_xlabel("printed effect (points)")
    panels[0].set_ylabel("measured effect (points)")
    marks, names = panels[0].get_legend_handles_labels()
    figure.legend(marks, names, loc="upper center", ncols=len(names), fontsize="small")
    figure.text(0.01, -0.02, under(frame), fontsize="small", va="top")
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    return figure


def _gains(axes: Axes, some: pd.DataFrame) -> None:
    ticks = [-20, -10, -5, -2, -1, 0, 1, 2, 5, 10, 20]
    axes.axhline(0, color="#999999", lw=1)
    axes.plot([-35, 35], [-35, 35], "--", color="#555555", lw=1)
    for verdict, (_, colour) in VERDICTS.items():
        one = some[some["verdict"] == verdict]
        if len(one):
            bars = [one["measured"] - one["low"], one["high"] - one["measured"]]
            axes.errorbar(one["printed"], one["measured"], yerr=bars, fmt="o", ms=6, color=colour,
                          alpha=0.85, elinewidth=1.2, label=verdict)  # fmt: skip
    axes.set_xscale("symlog", linthresh=2)
    axes.set_yscale("symlog", linthresh=2)
    axes.set_xticks(ticks, [f"{t:+d}" if t else "0" for t in ticks], fontsize="small")
    axes.set_yticks(ticks, [f"{t:+d}" if t else "0" for t in ticks], fontsize="small")
    axes.set_xlim(-30, 35)
    axes.set_ylim(-30, 40)
    axes.minorticks_off()


def verdicts_figure(frame: pd.DataFrame) -> Figure:
    """Which claims came again: a tile for each claim, numbered as in the table, in the colour and
    with the sign of its verdict; drawn people above, real people below."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Patch, Rectangle

    per_line = 20
    longest = {name: int(frame[frame["paper"] == name]["number"].max()) for name in PAPERS}
    heights = [2 * -(-longest[name] // per_line) for name in PAPERS]
    figure, panels = plt.subplots(
        len(PAPERS), 1, figsize=(11, 0.42 * sum(heights) + 3.5), height_ratios=heights
    )
    for axes, (name, paper), height in zip(panels, PAPERS.items(), heights, strict=True):
        for _, claim in frame[frame["paper"] == name].iterrows():
            place, column = divmod(int(claim["number"]) - 1, per_line)
            y = 2.4 * place + (claim["data"] == REAL)
            sign, colour = VERDICTS[claim["verdict"]]
            axes.add_patch(Rectangle((column, y), 0.94, 0.92, color=colour))
            dark = claim["verdict"] in ("not testable here", "too short to judge")
            axes.text(column + 0.47, y + 0.48, f"{claim['number']} {sign}", ha="center",
                      va="center", fontsize=8, color="black" if dark else "white")  # fmt: skip
        axes.set_xlim(0, per_line)
        axes.set_ylim(1.2 * height, -0.1)
        axes.set_title(paper.label)
        axes.set_xticks([])
        places = [2.4 * (line // 2) + line % 2 + 0.45 for line in range(height)]
        axes.set_yticks(places, ["drawn", "real"] * (height // 2), fontsize=8)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    marks = [Patch(color=c, label=f"{sign} {name}") for name, (sign, c) in VERDICTS.items()]
    figure.legend(handles=marks, loc="upper center", ncols=len(marks), fontsize="small")
    figure.text(0.01, -0.005, under(frame), fontsize="small", va="top")
    figure.tight_layout(rect=(0, 0, 1, 0.97))
    return figure


def under(frame: pd.DataFrame) -> str:
    """What a picture of claims rests on: data, network, steps and seeds of each paper."""
    lines = []
    trained = frame[frame["setting"] != ""]
    for data, some in trained.groupby("data", sort=True):
        parts = [
            f"{PAPERS[str(name)].label} {one['setting'].iloc[0]}, {seeds_of(one['seeds'].max())}"
            for name, one in some.groupby("paper", sort=False)
        ]
        middle = -(-len(parts) // 2)
        lines += [f"{data}: {'; '.join(parts[:middle])};", f"    {'; '.join(parts[middle:])}"]
    return "\n".join(lines)


if __name__ == "__main__":
    written = write()
    for file in written:
        print(f"renewed {file.relative_to(root())}")
    if not written:
        print("the claims file and the README's table are up to date")
