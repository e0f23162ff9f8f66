"""Words that tables and the site share, and what came of a table in sentences."""

import numpy as np
import pandas as pd
import pytest

from reidlib.workbook import words


def tidy(*rows: tuple[str, float, float, float, float]) -> pd.DataFrame:
    """Rows of name, mean, gain over the first with an interval of ± 1, published, and seeds."""
    lines = [
        {"row": row, "metric": "mAP", "mean": mean, "gain": gain, "gain_low": gain - 1,
         "gain_high": gain + 1, "published": published, "n": n}
        for row, mean, gain, published, n in rows
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_a_conclusion_counts_printed_differences_and_names_the_best_row():
    frame = tidy(
        ("base", 50, 0, 80, 3),
        ("up", 55, 5, 82, 3),  # printed a gain: comes again
        ("down", 40, -10, 81, 3),  # printed a gain: reversed
        ("worse", 45, -5, 70, 3),  # printed a loss: comes again
        ("even", 50.2, 0.2, 79, 3),  # chance
        ("our own", 60, 10, np.nan, 3),
    )
    assert words.conclusion(frame) == [
        "Of 4 differences in mAP that the paper prints, 2 come again, 1 is reversed and 1 is open.",
        "Of 1 further row compared in mAP, 1 gains, 0 lose, and chance explains 0.",
        "The best mAP of these rows is that of our own, 60.0; in print it is that of up, 82.0.",
    ]


def test_one_seed_decides_nothing():
    found = words.conclusion(tidy(("a", 50, 0, 80, 1), ("b", 60, 10, 90, 1)))
    assert found == [
        "One seed cannot decide the printed difference in mAP.",
        "The best mAP of these rows is that of b, 60.0, in print too (90.0).",
    ]


def test_of_one_row_the_value_is_told_and_of_a_sweep_nothing():
    assert words.conclusion(tidy(("SCR(ours)", 50, 0, 89, 3))) == [
        "One row was measured, SCR (the authors' own): mAP 50.0, printed 89.0."
    ]
    assert words.conclusion(tidy(("a", 1, 0, 1, 3), ("a", 2, 0, 1, 3))) == []


@pytest.mark.parametrize(
    ("n", "what", "expected"),
    [(1, "seeds", "1 seed"), (3, "seeds", "3 seeds"), (60, "people", "60 people"), ("", "x", "")],
)
def test_counts_are_singular_and_plural(n, what, expected):
    assert words.count(n, what) == expected


def test_signs_mean_one_thing():
    signs = [sign for sign, _ in words.VERDICTS.values()]
    assert len(set(signs)) == len(signs)
    assert "–" not in signs, "a dash is what was not measured"


def test_a_papers_own_row_is_not_ours():
    assert words.display("RMGL(Ours)†") == "RMGL (the authors' own)†"
    assert words.display("DSR(Our)") == "DSR (the authors' own)"
    assert words.metric_name("rank1") == "rank-1"
