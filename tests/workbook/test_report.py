"""The report: files in their places, rows beside published values, nobody real shown."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from reidlib.errors import ReidError
from reidlib.papers.comparators import baseline
from reidlib.papers.rmgl import recipe as rmgl
from reidlib.train.recipe import Recipe, departures
from reidlib.workbook import published, tables
from reidlib.workbook import report as report_module
from reidlib.workbook.report import Report
from reidlib.workbook.rows import COLUMNS

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


def test_a_figure_says_what_it_rests_on_once(report):
    for measured, words in ((True, "synthetic"), (False, "nothing is trained")):
        figure = report.figure(plt.figure(), "line", measured=measured)
        assert words in figure.texts[0].get_text()
        report.figure(figure, "line")
        assert len(figure.texts) == 1
    said = report.conditions
    assert str(report.profile.steps) in said
    assert all(str(seed) in said for seed in report.seeds)


def test_a_committed_folder_never_shows_real_people(report, monkeypatch):
    profile = report.profile
    object.__setattr__(profile, "folder", "study")
    object.__setattr__(profile, "dataset", "market1501")
    with pytest.raises(ReidError, match="may not show the real people of market1501"):
        report.figure(plt.figure(), "people")


def test_tables_are_csv_and_their_title_says_embedded(report):
    frame = pd.DataFrame({"row": ["a"], "mean": [1.25], "sd": [np.nan]})
    html = report.frame(frame, "numbers", "Numbers").to_html()
    assert "drawn people" in html.split("</caption>")[0]
    assert "Measured on embedded data (drawn people), not on a published dataset" in html
    counted = report.frame(frame, "numbers", "Numbers", measured=False).to_html()
    assert "drawn people" not in counted.split("</style>")[1]
    read = pd.read_csv(report.tables / "00_quickstart_numbers.csv")
    pd.testing.assert_frame_equal(read, frame)


def test_seeds_stand_beside_the_published_value(report):
    rows = {
        "f_g w/o f_s (Baseline)": baseline.RECIPE,
        "not printed": baseline.RECIPE.but(weights=None, lr=1e-4),
    }
    printed = {"published": "vcn_table3", "on": "market1501"}
    with pytest.raises(ReidError, match='vcn_table3 prints no row "not printed" on market1501'):
        report.measure(rows, **printed)
    tidy = report.measure(rows, **printed, ours=["not printed"])
    assert list(tidy) == list(COLUMNS)
    assert tidy.row.tolist() == ["f_g w/o f_s (Baseline)"] * 2 + ["not printed"] * 2
    assert tidy.metric.tolist() == ["rank1", "mAP"] * 2
    assert tidy.published[:2].tolist() == [94.0, 85.3]  # as printed in VCN's Table 3
    assert tidy.published[2:].isna().all()
    assert (tidy.n == 2).all()
    first = tidy.iloc[0]
    runs = [report.fit(baseline.RECIPE, seed) for seed in (0, 1)]
    values = [100 * run.metrics.rank(1) for run in runs]
    assert first["mean"] == pytest.approx(np.mean(values))
    assert first["sd"] == pytest.approx(np.std(values, ddof=1))
    assert first.runs == f"{runs[0].fingerprint} {runs[1].fingerprint}"
    assert "backbone tiny (resnet50)" in first.differs
    assert first.measured_on == "synthetic"
    assert first.low <= first["mean"] <= first.high
    assert first[["gain", "gain_low", "gain_high"]].isna().all()  # a row gains nothing over itself
    gain = tidy["mean"][3] - tidy["mean"][1]
    assert tidy.gain[3] == pytest.approx(gain)
    assert tidy.gain_low[3] <= gain <= tidy.gain_high[3]
    assert first.protocol == "market1501"


def test_an_unknown_metric_is_said_before_anything_is_trained(report, monkeypatch):
    monkeypatch.setattr(report_module, "fit", lambda *_: pytest.fail("trained"))
    with pytest.raises(ReidError, match='unknown metric "map", did you mean "mAP"'):
        report.measure({"baseline": baseline.RECIPE}, metrics=["map"])


def test_the_protocol_says_what_else_was_asked_for(report):
    rows = {"baseline": baseline.RECIPE}
    tidy = report.measure(rows, evaluate={"protocol": "partial", "flip": True})
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
    tidy = report.measure(rows, evaluate={"flip": True})
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
    rows = {"a": baseline.RECIPE, "b": baseline.RECIPE.but(weights=None, lr=1e-4)}
    html = report.table("rows", rows, title="Two rows").to_html()
    assert "One seed" not in html.split("<caption>")[1].split("</caption>")[0]
    assert "Here (in the paper)" in html
    assert "backbone tiny (resnet50)" in html
    read = pd.read_csv(report.tables / "00_quickstart_rows.csv")
    assert read.row.tolist() == ["a", "a", "b", "b"]


def test_a_badge_says_what_was_measured_on(report):
    frame = pd.DataFrame({"a": [1]})
    assert (report.people, report.show(frame, "T").badge) == ("drawn people", "drawn")
    real = Report("00_quickstart", "market1501_cpu").show(frame, "T")
    assert (real.badge, real.note) == ("real", "Measured on market1501.")


def test_a_headline_profile_trains_named_rows_alone(report):
    rows = {"a": baseline.RECIPE, "b": baseline.RECIPE.but(weights=None, lr=1e-4)}
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
    printed = {"published": "rmgl_table3", "on": "msmt17", "ours": ["there"]}
    tidy = report.measure({"there": baseline.RECIPE}, **printed)
    assert set(tidy.published_on) == {"msmt17"}
    assert set(tidy.measured_on) == {"synthetic-b"}
    assert set(tidy.data) == {other.fingerprint}
    assert '"domain": "b"' in tidy.recipe[0]
    assert report.domain("imagenet") == {}
    assert report.domain_dataset("imagenet") is None


def untrained(monkeypatch):
    monkeypatch.setattr(Report, "fit_all", lambda *_: pytest.fail("trained"))


@pytest.mark.parametrize(
    ("overrides", "on", "options"),
    [
        ({"domains": {"msmt17": None}}, "msmt17", {}),  # nothing stands for it
        ({"domains": {"msmt17": {"dataset": "msmt17"}}}, "msmt17", {}),  # not at hand
        ({"rows": "headline"}, "msmt17", {}),  # no time for another dataset
        ({}, "msmt17", {"real": True}),  # a drawn town stands for it
        ({}, "market1501->cuhk03", {"real": True}),
        ({"rows": "headline"}, "market1501->cuhk03", {"headline": []}),
        ({"domains": {"cuhk03": None}}, "msmt17->cuhk03", {}),
    ],
)
def test_what_is_not_measured_shows_its_printed_values(
    overrides, on, options, tmp_path, monkeypatch
):
    untrained(monkeypatch)
    monkeypatch.delenv("REIDLIB_DATA", raising=False)
    report = Report("00_quickstart", "smoke", OVERRIDES | overrides)
    report.tables = tmp_path
    name, row = ("rmgl_table4", "RMGL(Ours)†") if "->" in on else ("rmgl_table3", "RMGL(Ours)")
    rows = {row: rmgl.RECIPE}
    shown = report.table("t", rows, title="Table", published=name, on=on, **options)
    assert shown.caption == f"Table, printed on {on}"
    assert shown.note == "As printed; not measured here."
    assert len(shown.rows) == published.table(name, on)["row"].nunique()
    assert not list(tmp_path.iterdir())


def test_what_is_neither_printed_nor_measured_shows_nothing(report, monkeypatch):
    untrained(monkeypatch)
    object.__setattr__(report.profile, "rows", "headline")
    assert report.table("choices", {"a": rmgl.RECIPE}, title="Choices", headline=[]) is None
    sweep = report.sweep("s", {"a": lambda x: rmgl.RECIPE}, "x", [1, 2], keep=1)
    assert sweep is None


def test_gains_are_over_the_row_that_is_named(report):
    recipe = baseline.RECIPE
    rows = {
        "a": recipe,
        "b": recipe.but(lr=1e-4),
        "c": report.row(recipe, flip=True),
        "d": report.row(recipe, {"size": (96, 32)}),
    }
    tidy = report.measure(rows, metrics=["mAP"], against={"b": "a", "c": "b"}).set_index("row")
    assert tidy.against.to_dict() == {"a": "a", "b": "a", "c": "b", "d": "a"}
    assert tidy.gain["c"] == pytest.approx(tidy["mean"]["c"] - tidy["mean"]["b"])
    assert tidy.protocol["c"] == "market1501, flip True"
    assert tidy.runs["c"] == tidy.runs["a"] != tidy.runs["d"]
    assert '"size": [96, 32]' in tidy.recipe["d"]
    with pytest.raises(ReidError, match='against: no row "e"'):
        report.measure(rows, against="e")
    object.__setattr__(report.profile, "rows", "headline")
    alone = report.measure(rows, headline=["c"], against={"c": "b"})
    assert alone.gain.isna().all(), "its reference is not measured in this profile"
    assert "gain" not in [column.head for column in tables.results("T", {"here": alone}).columns]


def test_trained_elsewhere_and_tested_at_home(report):
    rows = {"RMGL(Ours)†": baseline.RECIPE}
    tidy = report.measure(rows, published="rmgl_table4", on="dukemtmcreid->market1501")
    assert set(tidy.measured_on) == {"synthetic"}
    assert '"domain": "b"' in tidy.recipe[0]
    away = report.measure(rows, published="rmgl_table4", on="market1501->cuhk03")
    assert set(away.measured_on) == {"synthetic-b"}
    assert '"domain": "b"' not in away.recipe[0]


def test_a_sweep_over_recipes_has_its_values_as_x(report):
    rates = [1e-3, 1e-4]
    lines = {"baseline": lambda lr: baseline.RECIPE.but(weights=None, lr=lr)}
    figure = report.sweep("rates", lines, "rate", rates, keep=1e-3, logx=True)
    assert len(figure.axes) == 2
    tidy = pd.read_csv(report.tables / "00_quickstart_rates.csv")
    assert tidy.x.tolist() == [1e-3] * 2, "smoke has time for one point"
    object.__setattr__(report.profile, "points", None)
    report.sweep("rates", lines, "rate", rates, keep=1e-3)
    tidy = pd.read_csv(report.tables / "00_quickstart_rates.csv")
    assert tidy.x.tolist() == [1e-3, 1e-3, 1e-4, 1e-4]
    assert set(tidy.line) == {"baseline"}


def test_a_sweep_over_what_is_tested_on_trains_once(report):
    object.__setattr__(report.profile, "points", None)
    report.sweep(
        "errors",
        {"baseline": baseline.RECIPE},
        "error",
        [0.0, 0.1],
        keep=0.1,
        test=lambda e: report.dataset(detector_error=e, test_only=True),
        drawn=True,
    )
    tidy = pd.read_csv(report.tables / "00_quickstart_errors.csv")
    assert tidy.x.tolist() == [0.0, 0.0, 0.1, 0.1]
    assert tidy.runs.nunique() == 1
    assert tidy.data.nunique() == 2


def test_gains_are_drawn_over_the_line_that_is_named(report):
    lines = {"a": baseline.RECIPE.but(lr=1e-4), "BL": baseline.RECIPE}
    figure = report.sweep(
        "errors", lines, "error", [0.1], keep=0.1, test=lambda e: report.dataset(), gains="BL"
    )
    assert figure.axes[1].get_ylabel() == "mAP: gain over BL (points)"
    tidy = pd.read_csv(report.tables / "00_quickstart_errors.csv")
    assert set(tidy.against) == {"BL"}
    (bars,) = figure.axes[1].containers  # BL itself is the zero
    gain = tidy[(tidy.row == "a") & (tidy.metric == "mAP")].gain.item()
    assert bars.lines[0].get_ydata().tolist() == pytest.approx([gain], rel=1e-5)


def test_several_settings_share_one_figure_and_are_saved_each(report):
    object.__setattr__(report.profile, "points", None)
    panels = {
        "rate": ("learning rate", lambda lr: baseline.RECIPE.but(lr=lr), [1e-3, 1e-4], 1e-3),
        "decay": ("decay", lambda d: baseline.RECIPE.but(weight_decay=d), [1e-3], 1e-3),
    }
    figure = report.sweeps("s", "base", panels)
    assert [axis.get_xlabel() for axis in figure.axes] == ["learning rate", "decay"]
    assert figure.axes[0].get_shared_y_axes().joined(*figure.axes)
    for key, xs in {"rate": [1e-3, 1e-3, 1e-4, 1e-4], "decay": [1e-3] * 2}.items():
        tidy = pd.read_csv(report.tables / f"00_quickstart_s_{key}.csv")
        assert tidy.x.tolist() == xs
    assert (report.figures / "00_quickstart_s.png").is_file()
    object.__setattr__(report.profile, "rows", "headline")
    assert report.sweeps("s", "base", panels) is None
