"""The summary: committed tables of either form as claims and rows, and what is made of them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from reidlib.errors import ReidError
from reidlib.evaluate.verdict import Verdict
from reidlib.workbook import collected, summary, summary_figures, words
from reidlib.workbook.collected import SHORT, STARTED
from reidlib.workbook.words import DRAWN, REAL

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return collected.claims()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return collected.rows()


def tidy(**recipe: object) -> dict[str, object]:
    return {"row": "2-stripe (BL)", "metric": "mAP", "published": 85.6,
            "published_on": "market1501", "measured_on": "synthetic",
            "mean": 46.9, "low": 45.1, "high": 48.8, "n": 3,
            "recipe": json.dumps({"backbone": "tiny", "size": [96, 32], "steps": 200, **recipe}),
            }  # fmt: skip


def folder(base: Path, claims: str, name: str = "study", end: str = "", **recipe: object) -> Path:
    there = base / name / "tables"
    there.mkdir(parents=True, exist_ok=True)
    (there / f"50_rmgl_claims{end}.csv").write_text(claims)
    pd.DataFrame([tidy(**recipe)]).to_csv(there / f"50_rmgl_table5{end}.csv", index=False)
    return base


OLD = """claim,where,printed,measured,verdict
RP helps,IV,+1.2 mAP,"+3.9 [+2.7, +5.0] mAP",holds
RP helps,IV,+0.2 rank1,"-1.0 [-2.0, -0.1] rank1",does not hold
ABP helps,IV,+0.4 mAP,"+0.5 [-0.2, +1.2] mAP",within chance
receptive field,III-B,363 pixels,363 pixels,holds
stripes share more evenly,III-C,,14.5 -> 17.9 points between stripes,does not hold
20 ms a test image,IV-A,,no TITAN Xp here,not testable here
"""
NEW = """claim,where,printed,measured,n,verdict,note
RP helps,IV,+1.2 mAP,"+3.9 [+2.7, +5.0] mAP","60 people, 3 seeds",holds,over none +2.0
RP helps,IV,+0.2 rank1,"-1.0 [-2.0, -0.1] rank1","60 people, 1 seeds",too short to judge,one seed
"""


def test_claims_beside_older_sweeps_are_of_the_newer_regime(tmp_path: Path) -> None:
    base = folder(tmp_path, NEW, weights="start", size=[192, 64], steps=300)
    old = pd.DataFrame([tidy()] * 5)  # a sweep that was not run again, with more rows
    old.to_csv(base / "study" / "tables" / "50_rmgl_fig8.csv", index=False)
    found = collected.claims(collected.tables(["study"], base))
    assert set(found["regime"]) == {STARTED}
    assert set(found["setting"]) == {"tiny, 192x64, 300 steps"}


def test_a_claim_of_the_earlier_form_becomes_numbers(tmp_path: Path) -> None:
    found = collected.claims(collected.tables(["study"], folder(tmp_path, OLD)))
    assert list(found["verdict"]) == [
        "holds", "reversed", "too small to tell", "holds", "reversed", "not testable here",
    ]  # fmt: skip
    first = found.iloc[0]
    assert [first[c] for c in ("printed", "measured", "low", "high")] == [1.2, 3.9, 2.7, 5.0]
    assert (first["unit"], first["seeds"], first["regime"]) == ("mAP", 3, SHORT)
    assert first["setting"] == "tiny, 96x32, 200 steps"
    assert "earlier rule" in first["note"]
    assert list(found["unit"])[1] == "rank-1"
    assert list(found["kind"]) == ["trained"] * 3 + ["counted", "trained", "counted"]
    assert found["seeds"].isna().tolist() == [False] * 3 + [True, False, True]
    assert found["measured"].isna().tolist() == [False] * 4 + [True, True]


def test_a_claim_of_todays_form_names_people_and_seeds(tmp_path: Path) -> None:
    base = folder(tmp_path, NEW, start=[{"weights": "start"}])
    found = collected.claims(collected.tables(["study"], base))
    assert list(found["n"]) == [60, 60]
    assert list(found["seeds"]) == [3, 1]
    assert list(found["verdict"]) == ["holds", "too short to judge"]
    assert list(found["note"]) == ["over none +2.0", "one seed"]
    assert set(found["regime"]) == {STARTED}


def test_the_same_claim_has_one_number_on_drawn_and_on_real_people(tmp_path: Path) -> None:
    folder(tmp_path, OLD)
    folder(tmp_path, "\n".join([OLD.splitlines()[0], OLD.splitlines()[3]]), "market1501", "-cpu")
    found = collected.claims(collected.tables(base=tmp_path))
    real = found[found["data"] == REAL].iloc[0]
    assert (real["claim"], real["number"], real["profile"]) == ("ABP helps", 3, "market1501_cpu")
    both = summary.side_by_side(found)
    assert len(both) == 6
    assert both[f"{REAL}: verdict"].tolist() == ["", "", "too small to tell", "", "", ""]


def test_every_verdict_has_its_own_sign_and_colour() -> None:
    assert tuple(words.VERDICTS) == get_args(Verdict)
    signs, colours = zip(*words.VERDICTS.values(), strict=True)
    assert len(set(signs)) == len(set(colours)) == len(words.VERDICTS)


def test_an_unknown_verdict_is_an_error(tmp_path: Path) -> None:
    base = folder(tmp_path, OLD.replace("within chance", "perhaps"))
    with pytest.raises(ReidError, match='"perhaps" is no verdict; there are holds, reversed'):
        collected.claims(collected.tables(["study"], base))


def test_a_table_that_is_no_notebooks_is_an_error(tmp_path: Path) -> None:
    (folder(tmp_path, OLD) / "study" / "tables" / "mine.csv").write_text("a\n1\n")
    with pytest.raises(ReidError, match=r"mine\.csv is no notebook's table"):
        collected.tables(["study"], tmp_path)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({}, SHORT),
        ({"start": [{"steps": 3}]}, SHORT),
        ({"weights": "imagenet"}, STARTED),
        ({"start": [{"start": [{"weights": "start"}]}]}, STARTED),
    ],
)
def test_weights_anywhere_in_a_recipe_end_the_short_regime(recipe: dict, expected: str) -> None:
    assert collected.regime(recipe) == expected


def test_every_committed_claim_stands_in_the_claims(claims: pd.DataFrame) -> None:
    folders = (ROOT / "reports" / name / "tables" for name in collected.COMMITTED)
    files = sorted(file for folder in folders for file in folder.glob("*_claims*.csv"))
    lines = [line for file in files for line in csv.DictReader(file.open(encoding="utf-8"))]
    assert len(claims) == len(lines) > 0
    assert sorted(claims["claim"]) == sorted(line["claim"] for line in lines)
    held = sum(line["verdict"] == "holds" for line in lines)
    assert summary.counts(claims)["holds"].sum() == held


def test_intervals_contain_what_was_measured(claims: pd.DataFrame, rows: pd.DataFrame) -> None:
    for frame in (claims[claims["low"].notna()], rows):
        slack = 0.051  # of rounding
        assert (frame["low"] <= frame["measured"] + slack).all()
        assert (frame["measured"] <= frame["high"] + slack).all()


def test_rows_name_paper_table_data_and_regime(rows: pd.DataFrame) -> None:
    assert set(rows["paper"]) == set(collected.PAPERS)
    assert set(rows["data"]) == {DRAWN, REAL}
    assert rows["setting"].str.fullmatch(r"\w+, \d+x\d+, [\d,]+ (steps|epochs)").all()
    assert not rows.duplicated(["table", "row", "metric", "measured_on", "profile"]).all()
    one = rows[(rows["table"] == "rmgl_table5") & (rows["row"] == "2-stripe (BL)")]
    assert set(zip(one["metric"], one["printed"], strict=True)) == {("rank1", 95.0), ("mAP", 85.6)}


def test_claims_file_and_readme_are_up_to_date(claims: pd.DataFrame) -> None:
    renew = "renew it with `make summary`"
    stored = (ROOT / "reports" / "claims.csv").read_text(encoding="utf-8")
    assert stored == summary.claims_csv(claims), f"reports/claims.csv is not that of today: {renew}"
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == summary.results_page(claims, collected.rows()), f"docs/results.md: {renew}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split(summary.BEGIN)[1].split(summary.END)[0].strip()
    assert table == summary.readme_tables(claims), f"README's table is not that of today: {renew}"
    main, counted = (part.splitlines() for part in table.split("\n\nHow many of all claims:\n\n"))
    assert len(main) == len(counted) == 2 + len(collected.PAPERS)
    assert all("**" in line for line in main[2:]), "a main claim has another name now"


def test_write_renews_both_files_and_then_nothing(tmp_path: Path) -> None:
    folder(tmp_path / "reports", OLD)
    (tmp_path / "README.md").write_text(f"a\n{summary.BEGIN}\nformer\n{summary.END}\nb\n")
    names = [path.name for path in summary.write(tmp_path)]
    assert names == ["claims.csv", "results.md", "README.md"]
    assert summary.write(tmp_path) == []
    text = (tmp_path / "README.md").read_text()
    assert "former" not in text
    assert text.startswith("a\n")
    assert text.endswith("b\n")
    (tmp_path / "README.md").write_text("no place")
    with pytest.raises(ReidError, match=r"README\.md has no place for the table"):
        summary.write(tmp_path)


def test_the_claims_file_reads_back(claims: pd.DataFrame) -> None:
    back = pd.read_csv(io.StringIO(summary.claims_csv(claims)))
    wanted = [
        "paper",
        "section",
        "claim",
        "printed",
        "measured",
        "low",
        "high",
        "n",
        "seeds",
        "profile",
        "data",
        "verdict",
    ]
    assert set(wanted) <= set(back.columns)
    assert len(back) == len(claims)


def test_sentences_count_what_the_claims_say(claims: pd.DataFrame) -> None:
    for name in collected.PAPERS:
        mine = claims[(claims["paper"] == name) & (claims["data"] == DRAWN)]
        trained = mine[mine["kind"] == "trained"]
        held = int((trained["verdict"] == "holds").sum())
        came, _, still = summary.sentences(claims, name)
        assert f", {held} hold on drawn people" in came
        assert still.endswith("got the same verdict.")


def test_figures_show_every_claim(claims: pd.DataFrame) -> None:
    tiles = summary_figures.verdicts_figure(claims)
    drawn = sum(len(axes.patches) for axes in tiles.axes)
    assert drawn == len(claims.drop_duplicates(["paper", "number", "data"]))
    dots = summary_figures.gains_figure(claims)
    shown = sum(len(box.lines[0].get_xdata()) for axes in dots.axes for box in axes.containers)
    known = claims["low"].notna() & claims["printed"].notna()
    assert shown == (known & claims["unit"].str.fullmatch(collected.POINTS)).sum() > 0
