"""The committed study beside a run of headline rows: never saved as its own, said in the title."""

import json

import numpy as np
import pandas as pd
import pytest

from reidlib.papers.comparators import baseline
from reidlib.papers.rmgl import recipe as rmgl
from reidlib.workbook import committed, tables
from reidlib.workbook.report import Report

SMALL = {
    "data_options": {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3},
    "size": (64, 32),
    "steps": 2,
    "ids_per_batch": 4,
    "rows": "headline",
}
RECIPE = {"backbone": "tiny", "size": [96, 32], "steps": 200, "weights": "start"}


@pytest.fixture
def report(tmp_path) -> Report:
    report = Report("00_quickstart", "smoke", SMALL)
    report.figures, report.tables = tmp_path / "figures", tmp_path / "tables"
    report.study = tmp_path / "study"
    report.study.mkdir()
    return report


def commit(report: Report, name: str, rows, **columns) -> None:
    """A table of the study: ``rows`` are (row, metric, mean), as its CSV holds them."""
    frame = pd.DataFrame(rows, columns=["row", "metric", "mean"]).assign(
        sd=1.5, n=3, low=10.0, high=90.0, recipe=json.dumps(RECIPE)
    )
    frame.assign(**columns).to_csv(report.study / f"00_quickstart_{name}.csv", index=False)


STUDY = [
    ("MGN", "rank1", 61.0), ("MGN", "mAP", 41.0), ("RMGL(Ours)", "rank1", 62.0),
    ("RMGL(Ours)", "mAP", 42.0), ("RMGL(Ours)", "rank5", 99.0), ("a row of yore", "mAP", 43.0),
]  # fmt: skip
ROWS = {"MGN": baseline.RECIPE, "RMGL(Ours)": baseline.RECIPE.but(lr=1e-4)}
ON = {"published": "rmgl_table1", "on": "market1501"}


def test_all_rows_of_the_study_stand_beside_the_headline(report):
    commit(report, "t", STUDY)
    shown = report.table("t", ROWS, title="Table", headline=["RMGL(Ours)"], **ON)
    heads = [name for name, span in shown.groups for _ in range(span)]
    heads = [f"{group}: {c.head}" for group, c in zip(heads, shown.columns, strict=True)]
    rows = {row.cells[0].text: row for row in shown.rows}
    mgn, own = (
        dict(zip(heads, (c.text for c in rows[name].cells), strict=True))
        for name in ("MGN", "RMGL (the authors' own)")
    )
    assert mgn["ours, committed study: mAP"] == "41.0 ± 1.5"
    assert own["ours, committed study: rank-1"] == "62.0 ± 1.5"
    assert mgn["printed: rank-1"] == "95.7"
    assert mgn["ours, drawn people: mAP"] == "–", "it was not trained here"
    assert own["ours, drawn people: mAP"] != "–"
    seeds = [
        line[f"ours, {x}: seeds"] for line in (mgn, own) for x in ("drawn people", tables.STUDY)
    ]
    assert seeds == ["", "3", "1", "3"]
    said = "profile study (tiny at 96x32, start weights, 200 steps, 3 seeds)"
    assert "not measured by this run" in shown.note
    assert said in shown.note
    saved = pd.read_csv(report.tables / "00_quickstart_t.csv")
    assert saved["row"].tolist() == ["RMGL(Ours)"] * 2
    assert 42.0 not in saved["mean"].tolist()


def test_the_study_alone_fills_a_table_that_nothing_was_trained_for(report, monkeypatch):
    monkeypatch.setattr(Report, "fit_all", lambda *_: pytest.fail("trained"))
    commit(report, "t", STUDY, n=[1, 1, 3, 3, 3, 3], sd=[np.nan, np.nan, 1, 1, 1, 1])
    shown = report.table("t", ROWS, title="Choices", headline=[])
    texts = [[cell.text for cell in row.cells] for row in shown.rows]
    assert [(line[0], line[1]) for line in texts] == [
        ("MGN", "61.0"),
        ("RMGL (the authors' own)", "62.0 ± 1.0"),
    ]
    assert "1 to 3 seeds" in shown.note
    assert not report.tables.exists(), "nothing was measured"
    elsewhere = report.table(
        "t", {"RMGL(Ours)": rmgl.RECIPE}, title="Table", published="rmgl_table3", on="msmt17"
    )
    last = [cell.text for cell in elsewhere.rows[-1].cells]
    assert last[0] == "RMGL (the authors' own)"
    assert {"42.0 ± 1.0", "60.4"} <= set(last)


@pytest.mark.parametrize(
    "change", [{"rows": "all"}, {"folder": "study"}, {"dataset": "market1501"}]
)
def test_other_profiles_show_their_own_values_alone(report, change):
    commit(report, "t", STUDY)
    assert len(report.committed("t")) == len(STUDY)
    for key, value in change.items():
        object.__setattr__(report.profile, key, value)
    assert report.committed("t").empty


def test_what_is_no_tidy_table_is_left_alone(report):
    pd.DataFrame({"network": ["RMGL"], "GMACs": [1.0]}).to_csv(
        report.study / "00_quickstart_cost.csv"
    )
    assert report.committed("cost").empty
    assert report.committed("never").empty
    assert report.table("cost", ROWS, title="Cost", headline=[]) is None


def diamonds(axis) -> dict[str, list]:
    """Of an axis, what is drawn as of this run: label -> x and y."""
    drawn = {bar.get_label(): bar.lines[0] for bar in axis.containers}
    return {
        label: [*line.get_xdata(), *line.get_ydata()]
        for label, line in drawn.items()
        if line.get_marker() == "D"
    }


def test_a_point_of_this_run_stands_on_the_studys_sweep(report):
    values = [2e-4, 1e-3, 2e-3]
    rows = [("0.0002", "rank1", 50), ("0.001", "rank1", 60), ("0.5", "rank1", 70)]
    commit(report, "decay", rows, line="base", x=[row[0] for row in rows])
    lines = {"base": lambda x: baseline.RECIPE.but(weight_decay=x)}
    figure = report.sweep("decay", lines, "decay", values, keep=1e-3, logx=True, metrics=["rank1"])
    saved = pd.read_csv(report.tables / "00_quickstart_decay.csv")
    assert saved["x"].tolist() == [1e-3]
    (axis,) = figure.axes
    assert axis.containers[0].lines[0].get_ydata().tolist() == [50, 60], "0.5 is no longer asked"
    assert diamonds(axis) == {"this run": [1e-3, pytest.approx(saved["mean"][0], rel=1e-5)]}
    assert "this run" in [text.get_text() for text in figure.legends[0].texts]
    assert "tiny at 96x32, start weights" in figure.get_supxlabel()


def test_only_a_headline_sweep_has_a_point_on_every_line(report):
    names = ["one", "two"]
    rows = [(name, "mAP", 50.0) for name in names for _ in range(2)]
    commit(report, "error", rows, x=["0.0", "0.1"] * 2)
    lines = {name: baseline.RECIPE for name in names}

    def sweep(**options):
        test = lambda e: report.dataset(detector_error=e, test_only=True)  # noqa: E731
        asked = {"keep": 0.1, "test": test, "metrics": ["mAP"], **options}
        return report.sweep("error", lines, "error", [0.0, 0.1], **asked).axes[0]

    assert [*diamonds(sweep())] == ["one, this run"]
    axis = sweep(headline=True)
    assert [*diamonds(axis)] == ["one, this run", "two, this run"]
    assert axis.containers[0].lines[0].get_xdata().tolist() == [0.0, 0.1]


def test_gains_stand_on_the_studys_gains(report):
    names = ["BL", "own", "third"]
    rows = [(name, "mAP", 50.0) for name in names]
    commit(report, "error", rows, x="0.1", gain=2.0, gain_low=1.0, gain_high=3.0)
    lines = {name: baseline.RECIPE for name in names}
    test = lambda e: report.dataset(detector_error=e, test_only=True)  # noqa: E731
    asked = {"keep": 0.1, "test": test, "metrics": ["mAP"], "gains": "BL"}
    (axis,) = report.sweep("error", lines, "error", [0.1], **asked).axes
    assert diamonds(axis) == {"own, this run": [0.1, 0.0]}, "two rows alike gain nothing"


def test_points_of_this_run_stand_in_every_panel_of_the_study(report):
    panels = {
        key: (key, lambda x: baseline.RECIPE.but(weight_decay=x), [1e-4, 1e-3], 1e-3)
        for key in ("a", "b")
    }
    rows = [("0.0001", "mAP", 50), ("0.001", "mAP", 60)]
    commit(report, "s_a", rows, line="base", x=[row[0] for row in rows])
    assert report.sweeps("s", "base", panels, metrics=["mAP"]) is None, "a panel is missing"
    commit(report, "s_b", rows, line="base", x=[row[0] for row in rows])
    figure = report.sweeps("s", "base", panels, metrics=["mAP"])
    for key, axis in zip(panels, figure.axes, strict=True):
        saved = pd.read_csv(report.tables / f"00_quickstart_s_{key}.csv")
        assert saved["x"].tolist() == [1e-3]
        assert axis.containers[0].lines[0].get_ydata().tolist() == [50, 60]
        assert [*diamonds(axis)] == ["this run"]
    assert "tiny at 96x32, start weights" in figure.get_supxlabel()


def test_a_sweep_of_other_lines_is_not_taken_for_this_one(report, monkeypatch):
    monkeypatch.setattr(Report, "fit_all", lambda *_: pytest.fail("trained"))
    commit(report, "s", [("1", "mAP", 50.0)], line="another", x="1")
    assert report.sweep("s", {"a": lambda x: rmgl.RECIPE}, "x", [1, 2], keep=1) is None
    assert committed.lines(report.committed("s"), ["another"], [2]) == {}


def test_the_note_spans_what_differs_and_leaves_out_what_is_not_trained():
    recipes = [RECIPE, RECIPE | {"steps": 100, "weights": None}, RECIPE | {"steps": 0}]
    frame = pd.DataFrame({"recipe": [json.dumps(one) for one in recipes], "n": [1, 2, 3]})
    said = committed.note(frame, "Study")
    assert "(tiny at 96x32, start or random weights, 100 to 200 steps, 1 to 3 seeds)" in said
    long = pd.DataFrame({"recipe": [json.dumps({"size": [384, 128]})], "n": [1]})
    assert "(resnet50 at 384x128, random weights, 120 epochs, 1 seed)" in committed.note(
        long, "Study"
    )
