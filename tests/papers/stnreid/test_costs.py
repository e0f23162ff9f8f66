"""What matching costs: counted on the module, timed in blocks and pair by pair."""

import pandas as pd
import pytest
import torch

from reidlib import models
from reidlib.data import ImageBank, load
from reidlib.papers.stnreid import costs

SIZE = (64, 32)


def build(name, **options):
    torch.manual_seed(0)
    return models.build(name, 3, backbone="tiny", size=SIZE, **options)


def test_pairs_cost_what_the_models_say():
    some = {"Baseline": build("baseline"), "STNReID(PM)": build("stnreid"), "DSR": build("dsr")}
    table = costs.pair_costs(some, torch.randn(2, 3, *SIZE), torch.randn(5, 3, *SIZE))
    table = table.set_index("row")
    image, pair = table["GMACs an image"], table["GMACs a pair"]
    assert image["STNReID(PM)"] == image["Baseline"], "a feature once each"
    assert pair["Baseline"] == pytest.approx(1024 / 1e9)
    assert pair["STNReID(PM)"] > image["Baseline"], "the ReID module for each affined image"
    assert pair["Baseline"] < pair["DSR"] < pair["STNReID(PM)"]
    stn = sum(p.numel() for p in some["STNReID(PM)"].localization.parameters()) / 1e6
    assert table["parameters (M)"].diff()["STNReID(PM)"] == pytest.approx(stn)
    assert (table[[c for c in table if c.startswith("s /")]] > 0).all().all()


def test_counts_of_untrained_networks_are_those_of_built_ones():
    options = {"a": {"name": "baseline"}, "b": {"name": "dsr", "coding": "ridge"}}
    counted = costs.pair_counts(options, SIZE, "tiny").set_index("row")
    built = {"a": build("baseline"), "b": build("dsr", coding="ridge")}
    table = costs.pair_costs(built, torch.randn(1, 3, *SIZE), torch.randn(1, 3, *SIZE))
    table = table.set_index("row")
    for column in ("GMACs an image", "GMACs a pair"):
        assert counted[column].tolist() == pytest.approx(table[column].tolist(), rel=1e-3)


def test_the_network_halves_its_input_four_times():
    assert costs.halvings(build("stnreid").localization) == 4


@pytest.mark.parametrize(
    ("slow", "fast", "verdict"),
    [(2, 1, "holds"), (1, 2, "reversed"), (1.05, 1, "too small to tell")],
)
def test_fewer_seconds(slow, fast, verdict):
    claim = costs.fewer_seconds("x", "1", slow, fast)
    assert claim.verdict == verdict
    assert claim.line()["measured"] == f"{slow / fast:.1f} times"


def test_table_1_shows_what_is_printed():
    table = costs.localization_table(build("stnreid").localization)
    assert isinstance(table, pd.DataFrame)
    assert list(table["output"])[:4] == ["32x16x16", "16x8x16", "8x4x32", "4x2x32"]
    assert table["output printed"].iloc[0] == "128x64x16"
    assert table["biases"].tolist()[-1] == 6


def test_seconds_of_a_whole_test():
    split = load("synthetic", train_ids=2, test_ids=2, cameras=2, images=2, size=SIZE).query
    bank = ImageBank.from_split(split, SIZE)
    table = costs.whole_test_seconds({"a": build("baseline"), "b": build("ppcl")}, bank, bank)
    assert table["row"].tolist() == ["a", "b"]
    assert (table[["encoding", "matching"]] > 0).all().all()
    assert table["times"][1] == pytest.approx(table["seconds"][1] / table["seconds"][0])
