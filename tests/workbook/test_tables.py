"""How results are laid out: ours beside what is printed, signs for more than chance, departures."""

import json

import numpy as np
import pandas as pd
import pytest

from reidlib.workbook import published, tables
from reidlib.workbook.words import DRAWN, REAL

RECIPE = json.dumps({"backbone": "tiny", "size": [96, 32], "steps": 5})


def tidy(**changes) -> pd.DataFrame:
    rows = []
    for row, mean, gain in (("RMGL(Ours)", 50.0, 0.0), ("RMGL+RK", 60.0, 10.0)):
        for metric in ("rank1", "mAP"):
            rows.append(
                {"row": row, "metric": metric, "published": 96.2, "published_on": "market1501",
                 "measured_on": "synthetic", "mean": mean, "sd": 1.26, "n": 3, "low": mean - 2,
                 "high": mean + 2, "gain": gain, "gain_low": gain - 1, "gain_high": gain + 1,
                 "against": "RMGL(Ours)", "recipe": RECIPE,
                 "differs": f"backbone tiny (resnet50), lr {mean:g} (0.01)"}
            )  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def shown(frame: pd.DataFrame, printed: pd.DataFrame | None = None) -> dict[str, dict[str, object]]:
    """By row and by group and head of a column, its cells."""
    table = tables.results("T", {DRAWN: frame}, printed)
    groups = [name for name, span in table.groups for _ in range(span)]
    heads = [f"{g}: {c.head}" for g, c in zip(groups, table.columns, strict=True)]
    found = {}
    for row in table.rows:
        gains = iter(("rank-1 gain", "mAP gain"))
        named = [f"ours: {next(gains)}" if h.endswith(": gain") else h for h in heads]
        found[row.cells[0].text] = dict(zip(named, row.cells, strict=True))
    return found


OWN, RK = "RMGL (the authors' own)", "RMGL+RK"
HERE = f"ours, {DRAWN}: mAP"


def test_one_line_a_row_in_two_labelled_groups():
    found = shown(tidy())
    assert list(found) == [OWN, RK]
    assert [row[HERE].text for row in found.values()] == ["50.0 ± 1.3", "60.0 ± 1.3"]
    assert [row[HERE].sub for row in found.values()] == ["48.0 to 52.0", "58.0 to 62.0"]
    assert [row["printed: rank-1"].text for row in found.values()] == ["96.2", "96.2"]
    assert [row[f"ours, {DRAWN}: seeds"].text for row in found.values()] == ["3", "3"]
    assert ["best" in row[HERE].cls for row in found.values()] == [False, True]


@pytest.mark.parametrize(
    ("changes", "text", "mark"),
    [
        ({}, "+10.0", "gain"),
        ({"gain_low": -1.0}, "+10.0", ""),
        ({"gain": -11.8, "gain_low": -12.8, "gain_high": -10.8}, "-11.8", "loss"),
        ({"gain": 0.3, "gain_low": 0.1, "gain_high": 0.5}, "+0.3", ""),  # below the least effect
        ({"n": [1, 1, 3, 3]}, "+10.0", ""),  # one seed of the row that it is compared with
    ],
)
def test_a_gain_has_a_sign_where_chance_does_not_explain_it(changes, text, mark):
    found = shown(tidy(**changes))
    assert found[OWN]["ours: mAP gain"].text == ""
    assert (found[RK]["ours: mAP gain"].text, found[RK]["ours: mAP gain"].mark) == (text, mark)


def test_one_seed_has_no_spread_and_each_row_may_name_the_row_it_is_compared_with():
    assert shown(tidy(sd=np.nan))[OWN][HERE].text == "50.0"
    third = tidy().iloc[2:].assign(row="third", against="RMGL+RK")
    last = tables.results("T", {DRAWN: pd.concat([tidy(), third])}).rows[-1]
    assert last.cells[0].sub == "gains over RMGL+RK"


def test_rows_that_were_not_measured_stand_beside_ours_and_can_be_folded():
    printed = published.table("rmgl_table1", "market1501")
    table = tables.results("T", {DRAWN: tidy()}, printed)
    assert len(table.rows) == 20
    assert table.quoted == 18
    mgn = shown(tidy(), printed)["MGN"]
    assert (mgn["printed: mAP"].text, mgn[HERE].text) == ("86.9", tables.NOT_HERE)
    assert "printed" not in dict(tables.results("T", {DRAWN: tidy(published=np.nan)}).groups)


def test_a_badge_names_the_people_and_the_caption_is_one_line():
    both = tables.results("Table I", {DRAWN: tidy(), REAL: tidy()})
    assert (both.badge, both.caption) == ("both", "Table I")
    assert "tiny, 96x32, 5 steps" in both.note
    frame = pd.DataFrame({"a": [1]})
    assert [tables.plain("T", frame, data).badge for data in (DRAWN, REAL, "")] == [
        "drawn",
        "real",
        "",
    ]


def test_a_plain_table_keeps_whole_numbers_whole():
    frame = pd.DataFrame({"name": ["a", "b"], "count": [1.0, 2000.0], "share": [0.25, np.nan]})
    rows = [[c.text for c in row.cells] for row in tables.plain("T", frame, REAL).rows]
    assert rows == [["a", "1", "0.25"], ["b", "2,000", ""]]
    assert tables.plain("T", frame, digits=1).rows[0].cells[2].text == "0.2"
    assert tables.plain("T", frame.set_index("name")).columns[0].head == "name"


def test_a_verdict_has_its_sign_and_the_verdicts_are_counted():
    frame = pd.DataFrame({"claim": ["a", "b"], "verdict": ["holds", "not testable here"]})
    table = tables.plain("T", frame)
    cell = table.rows[0].cells[1]
    assert (cell.text, cell.colour) == ("✓ holds", "#0072b2")
    assert table.outcome == [
        "Of 2 claims, 1 holds, 0 are reversed, 0 are open; 1 cannot be tested here."
    ]


def test_a_notebook_shows_what_came_of_a_table_and_how_to_read_it_below():
    html = tables.results("T", {DRAWN: tidy()})._repr_html_()
    table, below = html.split("</table>")
    assert "60.0 ± 1.3" in table
    assert "The best mAP of these rows is that of RMGL+RK, 60.0" in below
    assert tables.NOT_HERE in below
    assert "<button" not in html


def test_the_note_names_what_all_rows_leave():
    assert tables.departures_note(tidy()) == "Here (in the paper): backbone tiny (resnet50)."
    assert tables.departures_note(tidy(differs="")) == ""
