"""What the notebook says in words of the committed tables."""

import re

import pandas as pd

from reidlib.system.files import root

BASE, RP, RSA, ABP = "2-stripe (BL)", "2-stripe+RP", "2-stripe+RSA", "2-stripe+ABP"
CONTROL, HALF = "2-stripe+two equal paths", "2-stripe+RSA, p = 0.5"
LONGER = "in three times the steps"


def table(folder, name):
    return pd.read_csv(root() / "reports" / folder / "tables" / f"50_rmgl_{name}.csv")


def of(frame, row, metric="mAP"):
    return frame[(frame["row"] == row) & (frame["metric"] == metric)].iloc[0]


def test_length_decides_on_market1501():
    short, long = table("market1501", "shorter-cpu"), table("market1501", "table5-cpu")
    for frame, steps in ((short, 300), (long, 900)):
        assert frame["recipe"].str.contains(f'"steps": {steps}').all()
        assert (frame["n"] == 2).all()
        assert of(frame, RSA)["gain_high"] < 0
    assert of(short, CONTROL)["gain_low"] > 0 > of(long, CONTROL)["gain_low"]
    assert of(long, RSA)["gain"] < of(long, HALF)["gain"] < 0
    claims = table("market1501", "claims-cpu").set_index("claim")
    early = claims.loc[f"{RP} over {CONTROL}, a third of the steps"]
    assert early["verdict"] == "too small to tell"
    receptive = claims.loc[f"{RP} over {BASE}"]
    assert receptive["verdict"] == "holds"
    over = re.search(rf"over {re.escape(CONTROL)} \S+ \[(\S+),", receptive["note"])
    assert over
    assert float(over[1]) > 0
    for pair in (f"{RP} gains more over {CONTROL}", f"{RSA} gains more over {BASE}"):
        assert claims.loc[f"{pair} {LONGER}", "verdict"] == "holds"
    learned = table("market1501", "learned-cpu").set_index("row")
    assert learned["epochs"].round().eq(2).all()


def test_boxes_decide_on_drawn_people():
    errors = table("study", "against_error")
    assert sorted(errors["x"].unique()) == [0.0, 0.08, 0.24]
    assert errors["recipe"].str.contains('"steps": 300').all()
    at = {x: frame for x, frame in errors.groupby("x") if (frame["n"] == 2).all()}
    for x in (0.0, 0.08):
        assert of(at[x], RSA)["gain_high"] < 0
    far = at[0.24]
    for row in (RSA, HALF, ABP):
        assert of(far, row)["gain_low"] > 0
    assert of(far, ABP)["gain"] > max(of(far, RSA)["gain"], of(far, HALF)["gain"])
    gains = errors[errors["metric"].eq("rank1") & errors["x"].eq(0.24)].dropna(subset="gain")
    assert (gains["gain_low"] < 0).all()
    assert len(gains) == 5
    receptive = errors[errors["row"].isin([RP, CONTROL])]
    assert (receptive["gain_low"] < 0).all()
    assert (receptive["gain_high"] > 0).all()
    claims = table("study", "claims").set_index("claim")
    means = claims.loc[f"{ABP} gains where boxes are bad (detector's error 0.24)"]
    assert means["verdict"] == "too small to tell"
    over = re.search(r"over equal stripes, means \S+ \[(\S+), (\S+)\]", means["note"])
    assert over
    assert float(over[1]) < 0 < float(over[2])
    for row in (RSA, HALF):
        bad = f"{row} gains where boxes are bad (detector's error 0.24)"
        assert claims.loc[bad, "verdict"] == "holds"
    assert claims.loc[f"{RP} over {BASE}", "verdict"] == "too small to tell"
    assert table("study", "learned").set_index("row")["epochs"].eq(5).all()
