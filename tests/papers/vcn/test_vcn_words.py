"""What the notebook says came of it, against the tables of the two profiles that are committed."""

import re

import pandas as pd
import pytest

from reidlib.papers.vcn import recipe as vcn
from reidlib.papers.vcn.measure import LEARNED
from reidlib.system.files import root

FULL, ONLY = f"Full Model{vcn.ALIKE}", f"Baseline+VCN{vcn.ALIKE}"
STUDY, MARKET = "study/tables/30_vcn_{}", "market1501/tables/30_vcn_{}-cpu"


def read(profile: str, table: str) -> pd.DataFrame:
    return pd.read_csv(root() / "reports" / f"{profile.format(table)}.csv")


def gains(profile: str) -> pd.DataFrame:
    """mAP of the rows at equal losses and starts."""
    found = read(profile, "controls")
    return found[found["metric"] == "mAP"].set_index("row")


def claim(profile: str, start: str) -> pd.Series:
    found = read(profile, "claims")
    (line,) = found[found["claim"].str.startswith(start)].to_dict("records")
    return pd.Series(line).fillna("")


def over(line: pd.Series) -> list[float]:
    """Value, low and high of the effect over the control that a note names."""
    return [float(x) for x in re.findall(r"[-+]\d+\.\d", line["note"].split("over ")[-1])]


@pytest.mark.parametrize("profile", [STUDY, MARKET])
def test_the_full_model_and_its_branch_fixed_stay_below_the_baseline(profile):
    rows = gains(profile)
    for row in (FULL, ONLY, vcn.STILL):
        assert rows.loc[row, "gain_high"] < 0
        assert rows.loc[row, "n"] == 2
    for start in ("the full model is better", "the vertical convolution improves"):
        line = claim(profile, f"{start.replace('better', 'better than')} the baseline, equal")
        assert line["verdict"] == "reversed"
        assert "kernels moved" not in line["note"], f"by more than {LEARNED}"
    assert claim(profile, "f_g gains by being trained with f_s")["verdict"] == "reversed"
    assert claim(profile, "SC-STN adds to it")["verdict"] == "holds"


def test_on_market_1501_kernels_gain_over_the_branch_fixed():
    rows = gains(MARKET)["mean"]
    assert rows[vcn.STILL] < rows[ONLY] < rows[FULL]
    assert over(claim(MARKET, "the vertical convolution improves the baseline, equal"))[1] > 0
    assert claim(MARKET, "not only a longer feature")["verdict"] == "holds"
    assert gains(MARKET).loc[vcn.ONE_RATE, "gain_high"] < 0


def test_on_drawn_people_they_do_not_and_sc_stn_makes_up_for_it():
    rows = gains(STUDY)
    assert over(claim(STUDY, "the vertical convolution improves the baseline, equal"))[2] < 0
    assert claim(STUDY, "not only a longer feature")["verdict"] == "too small to tell"
    assert rows.loc[vcn.ONE_RATE, "gain_low"] < 0 < rows.loc[vcn.ONE_RATE, "gain_high"]
    assert claim(STUDY, "SC-STN is better than STN")["verdict"] == "holds"
    low, high = over(claim(STUDY, "the original STN is worse than the baseline"))[1:]
    assert low < 0 < high, "over having none"


def test_sc_stn_finds_the_vertical_shift_and_a_frame_of_its_own():
    found = read(STUDY, "recovery").query("row == 'SC-STN'")
    r = found.groupby("quantity")["correlation"]
    assert r.min()["t_h"] > 0.8
    assert r.max()["t_w"] < 0.2
    start = "SC-STN refines images more than STN, and than none: bodies miss"
    assert claim(STUDY, f"{start} one another")["verdict"] == "holds"
    assert over(claim(STUDY, f"{start} one another"))[2] < 0
    assert over(claim(STUDY, f"{start} a perfect"))[1] > 0
