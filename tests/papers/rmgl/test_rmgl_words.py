"""What the notebook says in words of the committed tables."""

import re

import pandas as pd

from reidlib.system.files import root

BASE, RP, RSA = "2-stripe (BL)", "2-stripe+RP", "2-stripe+RSA"
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
