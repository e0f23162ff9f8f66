"""The report: files in their places, rows beside published values, nobody real shown."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from reidlib.errors import ReidError
from reidlib.papers.comparators import baseline
from reidlib.papers.rmgl import recipe as rmgl
from reidlib.train.recipe import Recipe, departures
from reidlib.workbook import report as report_module
from reidlib.workbook.report import Report

OVERRIDES = {
    "data_options": {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 3},
    "size": (64, 32),
    "steps": 2,
    "seeds": (0, 1),
    "ids_per_batch": 4,
    "images_per_id": 2,
}


@pytest.fixture
def report(tmp_path, monkeypatch) -> Report:
    report = Report("00_quickstart", "smoke", OVERRIDES)
    report.figures, report.tables = tmp_path / "figures", tmp_path / "tables"
    return report


def test_figures_are_saved_twice_and_are_the_same_file_each_time(report):
    contents = []
    for _ in range(2):
        figure, axis = plt.subplots()
        axis.plot([1, 2, 3])
        assert report.figure(figure, "line") is figure
        contents.append([(report.figures / f"00_quickstart_line.{s}").read_bytes() for s in
                         ("png", "svg")])  # fmt: skip
        plt.close(figure)
    assert contents[0] == contents[1]
    assert contents[0][0].startswith(b"\x89PNG")


def test_a_committed_folder_never_shows_real_people(report, monkeypatch):
    profile = report.profile
    object.__setattr__(profile, "folder", "study")
    object.__setattr__(profile, "dataset", "market1501")
    with pytest.raises(ReidError, match="may not show the real people of market1501"):
        report.figure(plt.figure(), "people")


def test_tables_are_csv_and_their_title_says_embedded(report):
    frame = pd.DataFrame({"row": ["a"], "mean": [1.25], "sd": [np.nan]})
    html = report.table(frame, "numbers", "Numbers").to_html()
    assert "Numbers (measured on embedded data (drawn people), not on a published dataset" in html
    assert "–" in html
    read = pd.read_csv(report.tables / "00_quickstart_numbers.csv")
    pd.testing.assert_frame_equal(read, frame)


def test_reproduce_sets_seeds_beside_the_published_value(report):
    rows = {
        "f_g w/o f_s (Baseline)": baseline.SCRATCH,
        "not printed": baseline.SCRATCH.but(lr=1e-4),
    }
    tidy = report.reproduce(rows, published="vcn_table3", published_dataset="market1501")
    assert tidy.row.tolist() == ["f_g w/o f_s (Baseline)"] * 2 + ["not printed"] * 2
    assert tidy.metric.tolist() == ["rank1", "mAP"] * 2
    assert tidy.published[:2].tolist() == [94.0, 85.3]  # as printed in VCN's Table 3
    assert tidy.published[2:].isna().all()
    assert (tidy.n == 2).all()
    first = tidy.iloc[0]
    runs = [report.fit(baseline.SCRATCH, seed) for seed in (0, 1)]
    values = [100 * run.metrics.rank(1) for run in runs]
    assert first["mean"] == pytest.approx(np.mean(values))
    assert first["sd"] == pytest.approx(np.std(values, ddof=1))
    assert first.runs == f"{runs[0].fingerprint} {runs[1].fingerprint}"
    assert "backbone tiny (resnet50)" in first.differs
    assert first.measured_on == "synthetic"
    assert first.low <= first["mean"] <= first.high
    assert (first.gain, first.gain_low, first.gain_high) == (0, 0, 0)  # against itself
    gain = tidy["mean"][3] - tidy["mean"][1]
    assert tidy.gain[3] == pytest.approx(gain)
    assert tidy.gain_low[3] <= gain <= tidy.gain_high[3]
    assert first.protocol == "market1501"


def test_an_unknown_metric_is_said_before_anything_is_trained(report, monkeypatch):
    monkeypatch.setattr(report_module, "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(ReidError, match='unknown metric "map", did you mean "mAP"'):
        report.reproduce({"baseline": baseline.SCRATCH}, metrics=["map"])


def test_the_protocol_says_what_else_was_asked_for(report):
    rows = {"baseline": baseline.SCRATCH}
    tidy = report.reproduce(rows, evaluate={"protocol": "partial", "flip": True})
    assert set(tidy.protocol) == {"partial, flip True"}


def test_departures():
    paper = Recipe(lr=1e-3, size=(384, 128)).but(margin=0.6)
    assert departures(paper.but(seed=3), paper) == ""
    own = paper.but(margin=0.3, size=(96, 48), steps=300, weights=None)
    assert departures(own, paper) == "margin 0.3 (0.6), size 96x48 (384x128), steps 300 (none)"


@pytest.mark.parametrize(
    ("points", "keep", "expected"),
    [
        (None, 4, [1, 2, 3, 4, 5, 6]),
        (1, 4, [4]),
        (2, 4, [1, 4]),
        (3, 4, [1, 4, 6]),
        (3, 6, [1, 2, 6]),
        (4, 2, [1, 2, 3, 6]),
        (9, 4, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_sweep_keeps_the_papers_value_and_its_ends(report, points, keep, expected):
    object.__setattr__(report.profile, "points", points)
    assert report.points([1, 2, 3, 4, 5, 6], keep) == expected
    with pytest.raises(ReidError, match="must contain the value to keep, 7"):
        report.points([1, 2], 7)


def test_rows_that_differ_in_their_test_alone_are_trained_once(report, monkeypatch):
    monkeypatch.setenv("REIDLIB_RUNS", str(report.tables))
    base = rmgl.RECIPE.but(weights=None)
    object.__setattr__(report.profile, "size", (96, 32))
    rows = {"plain": base.but(abp=False), "balanced": base}
    tidy = report.reproduce(rows, evaluate={"flip": True})
    assert len(list(report.tables.glob("rmgl-*/weights.safetensors"))) == 2, "one for each seed"
    plain, balanced = tidy[tidy.metric == "mAP"].to_dict("records")
    assert plain["runs"] == balanced["runs"]
    assert plain["mean"] != balanced["mean"]
    assert "abp false (true)" in departures(base.but(abp=False), base)
    gain = report.gain(rows["plain"], rows["balanced"], evaluate={"flip": True})
    assert 100 * gain.difference == pytest.approx(balanced["gain"])
    assert (100 * gain.low, 100 * gain.high) == pytest.approx(
        (balanced["gain_low"], balanced["gain_high"])
    )


def test_results_are_saved_tidy_and_shown_wide(report):
    rows = {"a": baseline.SCRATCH, "b": baseline.SCRATCH.but(lr=1e-4)}
    tidy = report.reproduce(rows)
    html = report.results(tidy, "rows", "Two rows").to_html()
    assert "Two rows, in percent; ours (the paper&#x27;s): " in html or "Two rows, in perc" in html
    assert "backbone tiny (resnet50)" in html
    read = pd.read_csv(report.tables / "00_quickstart_rows.csv")
    assert read.row.tolist() == ["a", "a", "b", "b"]


def test_a_title_says_what_it_was_measured_on(report):
    assert "embedded data" in report.title("Table 1", "synthetic, 6 people")
    real = Report("00_quickstart", "market1501_cpu")
    assert real.title("Table 1") == "Table 1 (market1501)"
    assert real.title("Table 1", "partial-reid") == "Table 1 (partial-reid)"


def test_a_headline_profile_trains_named_rows_alone(report):
    rows = {"a": baseline.SCRATCH, "b": baseline.SCRATCH.but(lr=1e-4)}
    assert report.rows(rows, ["b"]) == rows
    object.__setattr__(report.profile, "rows", "headline")
    assert report.rows(rows, ["b"]) == {"b": rows["b"]}
    with pytest.raises(ReidError, match="no row 'c'"):
        report.rows(rows, ["c"])


def test_another_town_stands_for_another_dataset(report):
    domain = report.domain("msmt17")
    options = {**report.profile.data_options, "domain": "b"}
    assert domain == {"dataset": "synthetic", "data_options": options}
    other = report.domain_dataset("msmt17")
    assert other.name == "synthetic-b"
    assert len(other.query) == len(report.dataset().query)
    tidy = report.reproduce({"there": baseline.SCRATCH}, train_on=domain)
    assert set(tidy.measured_on) == {"synthetic-b"}
    assert set(tidy.data) == {other.fingerprint}
    assert '"domain": "b"' in tidy.recipe[0]
    assert report.domain("imagenet") == {}
    assert report.domain_dataset("imagenet") is None


def test_a_curve_has_its_values_as_x(report):
    tidy = report.curve({lr: baseline.SCRATCH.but(lr=lr) for lr in (1e-3, 1e-4)})
    assert tidy.x.tolist() == [1e-3, 1e-3, 1e-4, 1e-4]
    assert tidy.row.tolist() == ["0.001", "0.001", "0.0001", "0.0001"]


def test_without_a_measurement_the_printed_rows_are_shown(report):
    printed = {"published": "rmgl_table3", "published_dataset": "msmt17"}
    html = report.results(None, "table3", "Table III", **printed).to_html()
    assert "as printed, not measured here" in html
    assert "DG-Net" in html
    assert not (report.tables / "00_quickstart_table3.csv").exists()
