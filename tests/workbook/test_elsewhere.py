"""Tables on a paper's other datasets."""

import pandas as pd
import pytest

from reidlib.evaluate.compare import Comparison
from reidlib.papers.scr import recipe as scr
from reidlib.workbook import elsewhere
from reidlib.workbook.report import Report

DOMAIN = {"dataset": "synthetic", "data_options": {"domain": "b"}}


@pytest.fixture
def report(tmp_path, monkeypatch):
    monkeypatch.delenv("REIDLIB_PROFILE", raising=False)
    made = Report("00_quickstart", "smoke", {"domains": {"dukemtmcreid": DOMAIN}})
    made.tables = tmp_path
    return made


def test_the_stand_in_is_trained_and_named(report, monkeypatch):
    asked = {}

    def reproduce(rows, **options):
        asked.update(options, rows=rows)
        return "tidy"

    monkeypatch.setattr(report, "reproduce", reproduce)
    rows = {"p1": scr.SCRATCH}
    found = elsewhere.reproduce(report, rows, "scr_table3", "dukemtmcreid", evaluate={"flip": True})
    assert found == "tidy"
    assert asked["published"] == "scr_table3"
    assert asked["published_dataset"] == "dukemtmcreid"
    assert asked["train_on"]["data_options"]["domain"] == "b"
    assert asked["rows"] is rows
    assert asked["evaluate"] == {"flip": True}


def test_without_a_stand_in_the_printed_values_stand_alone(report, monkeypatch):
    assert elsewhere.stand_in(report, "nowhere") == {}
    monkeypatch.setattr(report, "domain", lambda name: {})
    shown = elsewhere.table(report, {}, "scr_table4", "cuhk03-labeled", "Table 4")
    assert len(shown.data) == 4
    assert not list(report.tables.iterdir())


def test_headline_profiles_train_nothing_elsewhere(monkeypatch):
    monkeypatch.delenv("REIDLIB_PROFILE", raising=False)
    few = Report("00_quickstart", "smoke", {"rows": "headline", "domains": {"duke": DOMAIN}})
    assert few.domain("duke")
    assert elsewhere.stand_in(few, "duke") == {}
    assert elsewhere.claims(few, "scr_table3", "dukemtmcreid", {}, []) == []


def test_claims_name_the_dataset_and_have_the_printed_sign(report, monkeypatch):
    gain = Comparison("mAP", 0.5, 0.4, -0.1, -0.15, -0.05, 9, pd.DataFrame(), 5, 2)
    asked = []
    monkeypatch.setattr(report, "gain", lambda *a, **options: asked.append(options) or gain)
    rows = {"p1": scr.SCRATCH, "p2(s2c2)": scr.SCRATCH}
    pair = [("p2 is better", "4.3", "p1", "p2(s2c2)")]
    (found,) = elsewhere.claims(report, "scr_table3", "dukemtmcreid", rows, pair)
    assert found.claim == "p2 is better (dukemtmcreid)"
    assert found.verdict == "reversed"
    assert found.line()["printed"] == "+10.8 mAP"  # 77.6 - 66.8
    assert asked[0]["train_on"]["dataset"] == "synthetic"
