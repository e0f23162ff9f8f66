"""Verdicts: by interval for gains, by printed digits for counts."""

import pandas as pd
import pytest
import torch

from reidlib.evaluate.compare import Comparison
from reidlib.evaluate.metrics import Metrics, score
from reidlib.papers.rmgl import recipe as rmgl
from reidlib.papers.vcn import recipe as vcn
from reidlib.workbook import claims


def gain(low: float, high: float) -> Comparison:
    middle = (low + high) / 2
    return Comparison("mAP", 0.5, 0.5 + middle, middle, low, high, 10, pd.DataFrame())


@pytest.mark.parametrize(
    ("low", "high", "sign", "verdict"),
    [
        (0.01, 0.03, 1, "holds"),
        (-0.01, 0.03, 1, "within chance"),
        (-0.03, -0.01, 1, "does not hold"),
        (-0.03, -0.01, -1, "holds"),
        (0.01, 0.03, -1, "does not hold"),
    ],
)
def test_a_gain_holds_if_chance_does_not_explain_it(low, high, sign, verdict):
    claim = claims.gained("RP helps", "IV-D", gain(low, high), 1.2, sign)
    assert claim.verdict == verdict
    assert claim.printed == "+1.2 mAP"
    assert claim.measured.startswith(f"{50 * (low + high):+.1f} [")


def test_a_count_holds_in_the_printed_digits():
    assert claims.counted("field", "III-B", 363, 363.0, "pixels").verdict == "holds"
    wrong = claims.counted("field", "III-B", 363, 387, "pixels")
    assert (wrong.verdict, wrong.printed, wrong.measured) == (
        "does not hold", "363 pixels", "387 pixels",
    )  # fmt: skip
    assert claims.counted("size", "T4", 0.35, 0.354, "M", digits=2).verdict == "holds"


def test_a_number_that_becomes_smaller():
    claim = claims.smaller("more even", "III-C", 17.5, 12.25, "points")
    assert (claim.verdict, claim.measured) == ("holds", "17.5 -> 12.2 points")
    assert claims.smaller("more even", "III-C", 17.5, 17.5).verdict == "does not hold"


def test_a_number_that_is_reached():
    assert claims.reached("gate", "4.3", 94.3, 94.26, "%").verdict == "holds"
    short = claims.reached("gate", "4.3", 94.3, 90.0, "%")
    assert (short.verdict, short.measured) == ("does not hold", "90.0 %")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.009, 0.01, "holds"), (-0.02, 0.01, "within chance"), (-0.03, -0.02, "does not hold")],
)
def test_a_loss_of_less_than_some_points(low, high, verdict):
    claim = claims.loses_less("does not harm", "4.4", gain(low, high), 1.0)
    assert (claim.verdict, claim.printed) == (verdict, "less than 1")


def test_differences_of_the_text_whose_rows_are_there(monkeypatch):
    asked = []

    class Report:
        def gain(self, before, after, metric, evaluate):
            asked.append((before, after, metric, evaluate))
            return gain(0.01, 0.02)

    base = rmgl.RECIPE
    rows = {
        "2-stripe+RP": base.but(stripes=(2,)),
        "2-stripe (BL)": base.but(stripes=(2,), rp=False),
    }
    found = claims.differences(Report(), "rmgl_text", "market1501", rows, {"flip": True})
    assert [c.claim for c in found] == ["2-stripe+RP over 2-stripe (BL)"]
    assert found[0].printed == "+1.2 mAP"
    assert asked == [(rows["2-stripe (BL)"], rows["2-stripe+RP"], "mAP", {"flip": True})]
    assert claims.table(found).columns.tolist() == [
        "claim", "where", "printed", "measured", "verdict",
    ]  # fmt: skip


def test_between_expects_the_printed_sign():
    asked = []

    class Report:
        def gain(self, before, after, metric, evaluate, train_on, dataset):
            asked.append(dataset)
            return gain(-0.03, -0.02)

    full = vcn.RECIPE
    rows = {
        "f_g w/o f_s (Baseline)": full.but(use_spatial=False),
        "Baseline+STN+VCN": full.but(stn="six"),
        "Baseline+VCN": full.but(stn="none"),
    }
    pairs = [
        ("better", "4.4", "f_g w/o f_s (Baseline)", "Baseline+VCN"),
        ("worse", "4.4", "f_g w/o f_s (Baseline)", "Baseline+STN+VCN"),
        ("not trained here", "4.4", "f_s w/o f_g", "Baseline+VCN"),
    ]
    found = claims.between(Report(), "vcn_table3", "market1501", rows, pairs, on="another")
    assert asked == ["another"] * 2
    assert [(c.claim, c.printed, c.verdict) for c in found] == [
        ("better", "+1.7 mAP", "does not hold"),
        ("worse", "-22.9 mAP", "holds"),
    ]


def scores(*hits: tuple[int, ...]) -> list[Metrics]:
    """One evaluation a seed: queries whose first match is nearest (1) or second (0)."""
    found = []
    for row in hits:
        n = len(row)
        distance = torch.tensor([[0.1, 0.2] if hit else [0.2, 0.1] for hit in row])
        found.append(score(distance, [1] * n, [1, 2], [0] * n, [1, 1]))
    return found


def test_more_than_the_sum_is_the_interaction():
    base, one, other, both = (scores(hits) for hits in (
        (0, 0, 0, 0, 1), (1, 0, 0, 0, 1), (0, 1, 0, 0, 1), (1, 1, 1, 1, 1)))  # fmt: skip
    claim = claims.more_than_the_sum("together", "IV-D", base, one, other, both, 0.1, "rank1")
    # 4/5 - 1/5 - 1/5 = 2/5
    assert claim.measured.startswith("+40.0 [")
    assert claim.printed == "+0.1 rank1"
    assert claim.verdict in ("holds", "within chance")
    less = claims.more_than_the_sum("together", "IV-D", base, one, one, one, 0.1, "rank1")
    assert less.measured.startswith("-20.0 [")


def test_smaller_by_no_more_than_its_spread_is_chance():
    assert claims.smaller("a", "1", 50.0, 47.0).verdict == "holds"
    assert claims.smaller("a", "1", 50.0, 47.0, spread=4.0).verdict == "within chance"
    assert claims.smaller("a", "1", 50.0, 47.0, spread=2.0).verdict == "holds"
    assert claims.smaller("a", "1", 47.0, 50.0, spread=2.0).verdict == "does not hold"
