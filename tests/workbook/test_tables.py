"""How results are laid out: every printed row, stars for more than chance, common departures."""

import numpy as np
import pandas as pd
import pytest

from reidlib.errors import ReidError
from reidlib.workbook import tables


def tidy(**changes) -> pd.DataFrame:
    rows = []
    for row, mean, gain in (("RMGL(Ours)", 50.0, 0.0), ("RMGL+RK", 60.0, 10.0)):
        for metric in ("rank1", "mAP"):
            rows.append(
                {"row": row, "metric": metric, "published": 96.2, "published_on": "market1501",
                 "mean": mean, "sd": 1.25, "n": 3, "low": mean - 2, "high": mean + 2, "gain": gain,
                 "gain_low": gain - 1, "gain_high": gain + 1, "against": "RMGL(Ours)",
                 "differs": f"backbone tiny (resnet50), lr {mean:g} (0.01)"}
            )  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


def test_one_line_a_row():
    frame = tables.wide(tidy())
    assert frame.row.tolist() == ["RMGL(Ours)", "RMGL+RK"]
    assert frame["mAP"].tolist() == ["50.0 ± 1.2", "60.0 ± 1.2"]
    assert frame["rank-1 95 %"].tolist() == ["48.0 to 52.0", "58.0 to 62.0"]
    assert frame["mAP gain"].tolist() == ["–", "+10.0*"]
    assert frame["rank-1 printed"].tolist() == ["96.2", "96.2"]


def test_a_gain_within_chance_has_no_star_and_one_seed_no_spread():
    frame = tables.wide(tidy(gain_low=-1.0, sd=np.nan))
    assert frame["mAP gain"].tolist() == ["–", "+10.0"]
    assert frame["mAP"].tolist() == ["50.0", "60.0"]


def test_losses_have_a_sign_of_their_own_and_one_seed_has_none():
    loss = tables.wide(tidy(gain=-11.8, gain_low=-12.8, gain_high=-10.8))
    assert loss["mAP gain"].tolist() == ["–", "-11.8†"]
    little = tables.wide(tidy(gain=0.3, gain_low=0.1, gain_high=0.5))
    assert little["mAP gain"].tolist() == ["–", "+0.3"]
    one = tidy()
    one.loc[one.row == "RMGL(Ours)", "n"] = 1
    assert tables.wide(one)["mAP gain"].tolist() == ["–", "+10.0"]
    assert all(sign in tables.SIGNS_NOTE for sign in "*†")


def test_each_row_may_name_the_row_that_it_is_compared_with():
    first = tidy(against="RMGL(Ours)")
    assert tables.wide(first).equals(tables.wide(tidy()))
    last = tables.wide(tidy(against="RMGL+RK"))
    assert last["mAP gain"].tolist() == ["+0.0", "–"]
    assert last["gain over"].tolist() == ["RMGL+RK", "–"]


def test_columns_without_any_printed_value_are_left_out():
    assert "mAP printed" not in tables.wide(tidy(published=np.nan))


def test_printed_rows_that_were_not_measured_stand_above():
    frame = tables.wide(tidy(), published="rmgl_table1")
    assert len(frame) == 20
    assert frame.row.tolist()[-2:] == ["RMGL(Ours)", "RMGL+RK"]
    mgn = frame[frame.row == "MGN"].iloc[0]
    assert (mgn["mAP printed"], mgn["rank-1 printed"], mgn["mAP"]) == ("86.9", "95.7", "–")
    named = tables.wide(tidy(), published="rmgl_table1", dataset="dukemtmcreid")
    assert named[named.row == "MGN"].iloc[0]["mAP printed"] == "78.4"
    mixed = tidy()
    mixed.loc[0, "published_on"] = "dukemtmcreid"
    with pytest.raises(ReidError, match="printed on several datasets"):
        tables.wide(mixed, published="rmgl_table1")


def test_the_note_names_what_all_rows_leave():
    assert tables.departures_note(tidy()) == "ours (the paper's): backbone tiny (resnet50)"
    assert tables.departures_note(tidy(differs="")) == ""
