"""Verdicts: by interval, least effect, seeds and training; exactly for what is counted."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.evaluate import verdict
from reidlib.evaluate.compare import Comparison
from reidlib.evaluate.metrics import Metrics, score


def gain(low: float, high: float, seeds: int = 3, short: str = "") -> Comparison:
    middle = (low + high) / 2
    return Comparison("mAP", 0.5, 0.5 + middle, middle, low, high, 10, pd.DataFrame(), 4, seeds,
                      short)  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "sign", "expected"),
    [
        (0.01, 0.03, 1, "holds"),
        (-0.01, 0.03, 1, "too small to tell"),
        (-0.03, -0.01, 1, "reversed"),
        (-0.03, -0.01, -1, "holds"),
        (0.01, 0.03, -1, "reversed"),
        (0.001, 0.004, 1, "too small to tell"),  # 0.25 points are below the least effect
        (-0.004, -0.001, 1, "too small to tell"),
    ],
)
def test_a_gain_holds_if_it_matters_and_chance_does_not_explain_it(low, high, sign, expected):
    claim = verdict.gained("RP helps", "IV-D", gain(low, high), 1.2, sign)
    assert claim.verdict == expected
    line = claim.line()
    assert line["printed"] == "+1.2 mAP"
    assert line["measured"] == (
        f"{50 * (low + high):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] mAP"
    )
    assert line["n"] == "4 people, 3 seeds"
    assert verdict.Claim("c", "1", "holds", people=4, seeds=1).line()["n"] == "4 people, 1 seed"
    assert verdict.Claim("c", "1", "holds", people=1, seeds=3).line()["n"] == "3 seeds"


def test_too_small_says_whether_the_printed_effect_is_excluded():
    inside = verdict.gained("x", "1", gain(-0.01, 0.03), 1.2)
    assert inside.note == "the interval contains the printed +1.2"
    outside = verdict.gained("x", "1", gain(-0.01, 0.01), 1.2)
    assert outside.note == "the interval excludes the printed +1.2"
    small = verdict.gained("x", "1", gain(0.001, 0.004))
    assert small.note == "below the least effect of 0.5"


def test_one_seed_or_an_untrained_row_decides_nothing():
    one = verdict.gained("x", "1", gain(0.01, 0.03, seeds=1))
    assert (one.verdict, one.note) == ("too short to judge", "one seed")
    assert one.measured == pytest.approx(2), "what was measured stands there"
    late = verdict.gained("x", "1", gain(0.01, 0.03, short="BL 0.93"))
    assert (late.verdict, late.note) == ("too short to judge", "BL 0.93")


@pytest.mark.parametrize(
    ("control", "expected"),
    [((0.01, 0.02), "holds"), ((-0.01, 0.02), "too small to tell"), ((-0.02, -0.01), "reversed")],
)
def test_a_gain_must_hold_over_its_control_too(control, expected):
    over = ("equal heads", gain(*control))
    claim = verdict.gained("RP helps", "IV-D", gain(0.03, 0.05), 1.2, control=over)
    assert claim.verdict == expected
    assert claim.note.startswith(f"over equal heads {50 * sum(control):+.1f} [")
    lost = verdict.gained("RP helps", "IV-D", gain(-0.05, -0.03), control=("x", gain(0.01, 0.02)))
    assert lost.verdict == "reversed", "a control rescues nothing"


def test_a_control_that_has_not_trained_decides_nothing():
    late = gain(0.01, 0.02, short="not trained: before")
    claim = verdict.gained("RP helps", "IV-D", gain(0.03, 0.05), control=("equal heads", late))
    assert claim.verdict == "too short to judge"
    assert claim.note == "over equal heads +1.5 [+1.0, +2.0] (not trained: before)"
    lost = verdict.gained("RP helps", "IV-D", gain(-0.05, -0.03), control=("equal heads", late))
    assert lost.verdict == "reversed", "the claim itself needs no control for that"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.009, 0.01, "holds"), (-0.02, 0.01, "too small to tell"), (-0.03, -0.02, "reversed")],
)
def test_a_loss_of_less_than_some_points(low, high, expected):
    claim = verdict.loses_less("does not harm", "4.4", gain(low, high), 1.0)
    assert claim.verdict == expected
    assert claim.note.startswith("less than 1")


def test_a_count_holds_in_the_printed_digits():
    assert verdict.counted("field", "III-B", 363, 363.0, "pixels").verdict == "holds"
    wrong = verdict.counted("field", "III-B", 363, 387, "pixels")
    assert wrong.verdict == "reversed"
    assert wrong.line()["printed"] == "363 pixels"
    assert wrong.line()["measured"] == "387 pixels"
    assert verdict.counted("size", "T4", 0.35, 0.354, "M", digits=2).verdict == "holds"
    in_words = verdict.counted("free", "III", 0, 5.02, "M", digits=2, printed=False)
    assert (in_words.verdict, in_words.printed, in_words.note) == (
        "reversed",
        None,
        "in words: 0.00",
    )


def values(middle: float, seeds: int = 3, n: int = 40) -> np.ndarray:
    rng = np.random.default_rng(int(100 * middle))
    return middle + 0.01 * rng.normal(size=(seeds, n))


def test_values_of_the_same_things_are_compared():
    rise = verdict.compared("finds it", "5.1", values(0.4), values(0.5), "IoU", digits=3)
    assert rise.verdict == "holds"
    assert rise.measured == pytest.approx(0.1, abs=0.01)
    assert rise.note == f"{values(0.4).mean():.3f} -> {values(0.5).mean():.3f}"
    fall = verdict.compared("less of it", "5.1", values(0.5), values(0.4), "IoU", sign=-1)
    assert fall.verdict == "holds"
    assert verdict.compared("x", "1", values(0.5), values(0.4), "IoU").verdict == "reversed"
    little = verdict.compared("x", "1", values(0.5), values(0.5) + 0.001, "IoU")
    assert little.verdict == "too small to tell", "0.001 IoU is nothing"
    one = verdict.compared("x", "1", values(0.4, 1), values(0.5, 1), "IoU")
    assert one.verdict == "too short to judge"
    people = np.repeat([1, 2], 20)
    assert verdict.compared("x", "1", values(0.4), values(0.5), "IoU", people=people).people == 2
    control = ("idle", values(0.6))
    idle = verdict.compared("x", "1", values(0.4), values(0.5), "IoU", control=control)
    assert idle.verdict == "reversed"
    assert "over idle -0.1" in idle.note


def test_two_numbers_have_no_interval():
    claim = verdict.compared("more even", "III-C", 17.5, 12.25, "points", sign=-1)
    assert claim.verdict == "too short to judge"
    assert claim.line()["measured"] == "-5.2 points"
    assert claim.note == "17.5 -> 12.2; one seed"


def test_a_number_that_is_reached():
    assert verdict.reached("gate", "4.3", 94.3, values(96), "%").verdict == "holds"
    short = verdict.reached("gate", "4.3", 94.3, values(90), "%")
    assert short.verdict == "reversed"
    assert short.line()["measured"].startswith("90.0 [")
    assert short.line()["printed"] == "94.3 %"


def scores(*hits: tuple[int, ...]) -> list[Metrics]:
    """One evaluation a seed: queries whose first match is nearest (1) or second (0)."""
    found = []
    for row in hits:
        n = len(row)
        distance = torch.tensor([[0.1, 0.2] if hit else [0.2, 0.1] for hit in row])
        found.append(score(distance, [1] * n, [1, 2], [0] * n, [1, 1]))
    return found


def test_more_than_the_sum_is_the_interaction():
    base, one, other, both = (scores(hits, hits) for hits in (
        (0, 0, 0, 0, 1), (1, 0, 0, 0, 1), (0, 1, 0, 0, 1), (1, 1, 1, 1, 1)))  # fmt: skip
    claim = verdict.more_than_the_sum("together", "IV-D", base, one, other, both, 0.1, "rank1")
    # 4/5 - 1/5 - 1/5 = 2/5
    assert claim.measured == pytest.approx(40)
    assert (claim.seeds, claim.people) == (2, 1)
    assert claim.printed == 0.1
    less = verdict.more_than_the_sum("together", "IV-D", base, one, one, one, 0.1, "rank1")
    assert less.measured == pytest.approx(-20)


def test_a_table_of_claims():
    table = verdict.claims_frame([verdict.untestable("six hours", "4.1", "another GPU")])
    assert table.columns.tolist() == [
        "claim", "where", "printed", "measured", "n", "verdict", "note",
    ]  # fmt: skip
    assert table.iloc[0].tolist() == [
        "six hours", "4.1", "", "", "", "not testable here", "another GPU",
    ]  # fmt: skip


def test_losses_of_different_models_are_shares_of_chance():
    chance = math.log(64)
    summed = pd.DataFrame({"loss": [50.0, 9.0], "id": [6 * chance, 3 * chance]})
    assert verdict.chance_share(summed, {"id": 6}, 64) == pytest.approx(0.5)
    branches = pd.DataFrame({"id_global": [0.2 * chance], "id_spatial": [0.6 * chance]})
    terms = {"id_spatial": 1, "id_global": 1}
    assert verdict.chance_share(branches, terms, 64) == pytest.approx(0.4)
    assert verdict.chance_share(branches[["id_global"]], terms, 64) == pytest.approx(0.2)
    assert verdict.chance_share(branches, {}, 64) is None
    assert verdict.chance_share(summed[:0], {"id": 6}, 64) is None


def test_rows_that_have_not_trained_are_named():
    assert verdict.too_short({"BL": [0.3, 0.5], "GLRec": [None]}) == ""
    assert "RP 0.93" in verdict.too_short({"BL": [0.3], "RP": [0.2, 0.93]})
    assert "BL" not in verdict.too_short({"BL": [0.3], "RP": [0.2, 0.93]})
    assert "BL nan" in verdict.too_short({"BL": [float("nan")]})
