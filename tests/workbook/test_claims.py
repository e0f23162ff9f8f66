"""Claims about rows of a printed table: which are asked, and with which sign."""

import pandas as pd

from reidlib.evaluate.compare import Comparison
from reidlib.papers.rmgl import recipe as rmgl
from reidlib.papers.vcn import recipe as vcn
from reidlib.workbook import claims


def gain(low: float, high: float) -> Comparison:
    middle = (low + high) / 2
    return Comparison("mAP", 0.5, 0.5 + middle, middle, low, high, 10, pd.DataFrame(), 5, 2)


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
    assert found[0].line()["printed"] == "+1.2 mAP"
    assert asked == [(rows["2-stripe (BL)"], rows["2-stripe+RP"], "mAP", {"flip": True})]


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
    assert [(c.claim, c.line()["printed"], c.verdict) for c in found] == [
        ("better", "+1.7 mAP", "reversed"),
        ("worse", "-22.9 mAP", "holds"),
    ]


def test_claims_in_words():
    first = claims.gained(
        "a is better", "4.4", gain(0.02, 0.04), 3.3, control=("c", gain(-0.01, 0.03))
    )
    second = claims.gained("b is better", "4.4", gain(0.02, 0.04))
    assert claims.in_words([first, second]) == (
        "a is better: too small to tell (measured +3.0 [+2.0, +4.0] mAP; printed +3.3 mAP; "
        "over c +1.0 [-1.0, +3.0])\n"
        "b is better: holds (measured +3.0 [+2.0, +4.0] mAP)"
    )


def test_a_control_is_asked_of_its_row():
    class Report:
        def gain(self, before, after, metric, evaluate, train_on, dataset):
            return gain(0.02, 0.03) if before is rows["f_g w/o f_s (Baseline)"] else gain(-0.01, 0)

    full = vcn.RECIPE
    rows = {
        "f_g w/o f_s (Baseline)": full.but(use_spatial=False),
        "Baseline+VCN": full.but(stn="none"),
        "as large": full.but(stn="four"),
    }
    pairs = [("better", "4.4", "f_g w/o f_s (Baseline)", "Baseline+VCN")]
    for control, verdict in (("as large", "too small to tell"), ("not a row", "holds")):
        (found,) = claims.between(
            Report(), "vcn_table3", "market1501", rows, pairs, controls={"Baseline+VCN": control}
        )
        assert found.verdict == verdict


def test_the_best_value_is_better_than_the_best_of_the_others():
    base = rmgl.RECIPE
    rows = {n: base.but(stripes=(n,)) for n in (1, 2, 3)}
    gains = {1: gain(0.05, 0.07), 3: gain(-0.01, 0.02)}  # of two stripes over the others

    class Report:
        def gain(self, before, after, metric, evaluate):
            assert after is rows[2]
            return gains[before.options["stripes"][0]]

    found = claims.best(Report(), "two is best", "Fig. 8", rows, 2)
    assert found.verdict == "too small to tell"
    assert found.note.startswith("over the best other of 2 values, 3")
    gains[3] = gain(0.02, 0.04)
    assert claims.best(Report(), "two is best", "Fig. 8", rows, 2).verdict == "holds"
    alone = claims.best(Report(), "two is best", "Fig. 8", {2: rows[2]}, 2)
    assert (alone.verdict, alone.note) == ("not testable here", "no other value was run")
