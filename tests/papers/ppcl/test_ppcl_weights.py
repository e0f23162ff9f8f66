"""Table 1c: sixteen cells of one F; what Adam sees of the weights is their ratio."""

import pandas as pd
import pytest
import torch

from reidlib import models
from reidlib.data import load
from reidlib.papers.ppcl import decisive, weights
from reidlib.papers.ppcl import recipe as ppcl
from reidlib.papers.ppcl.locator import CRLoc
from reidlib.system.files import root
from reidlib.train.loop import fit
from reidlib.workbook import published

SMALL = {"train_ids": 6, "test_ids": 5, "cameras": 2, "images": 2, "size": (64, 32)}
TINY = {"dataset": "synthetic", "data_options": SMALL, "weights": None, "backbone": "tiny",
        "size": (64, 32), "steps": 1, "ids_per_batch": 2, "images_per_id": 2}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    recipe = ppcl.RECIPE.but(**TINY, start=ppcl.GLREC.but(**TINY))
    run = fit(recipe, device="cpu", store=tmp_path_factory.mktemp("runs"), progress=False)

    def town(**options):
        return load("synthetic", **{**SMALL, **options})

    return weights.table([run], town, steps=3, test_ids=5), run, town


def test_all_sixteen_cells_are_there(found):
    table = found[0]
    printed = published.table("ppcl_table1c")
    for metric in decisive.METRICS:
        cells = table[table["metric"] == metric]
        ours = {*zip(cells["lambda_cyc"], cells["lambda_tri"], strict=True)}
        assert ours == {*zip(printed["lambda_cyc"], printed["lambda_tri"], strict=True)}
        assert weights.wide(table, metric).shape == (4, 4)
    assert table[table["row"] == weights.PRINTED]["gain"].tolist() == [0, 0]


def test_cells_of_one_ratio_are_one_network():
    """And only they: of the same maps, in one stack, from one start."""
    torch.manual_seed(0)
    model = models.build("ppcl", 2, backbone="tiny", size=(64, 32))
    model.rectifier.fc.bias.data.copy_(torch.tensor([0.7, 0.6, 0.1, -0.2, 9.0]))
    with torch.no_grad():
        town = load("synthetic", **SMALL)
        maps = decisive.training_maps(model.eval(), town.train, 0.15, 0)
    names = ("10, 1", "1, 0.1", "100, 10", "0.1, 100")
    locators = []
    for _ in names:
        torch.manual_seed(0)
        locators.append(CRLoc((4, 2)))
    decisive.train(maps, locators, 8, 0, {name: weights.GRID[name] for name in names})
    printed, *same, other = (locator.fc.weight for locator in locators)
    for one in same:
        torch.testing.assert_close(one, printed, rtol=0.05, atol=1e-4)
    assert (other - printed).abs().max() > 1e-3


def test_a_cell_is_the_row_of_the_decisive_run(found):
    """The printed weights are the row "maps, cycle 10", from the same start on the same pairs."""
    table, run, town = found
    train_on, test = decisive.town_and_probes(town, weights.ERROR, 5)
    rows = {"maps, cycle 10": decisive.ROWS["maps, cycle 10"]}
    alone = decisive.values(run, train_on, test, 0.0, 3, rows, ("relative",))["IoU"][0, 2].mean()
    cell = table[(table["row"] == weights.PRINTED) & (table["metric"] == "IoU")]["mean"].item()
    assert cell == pytest.approx(alone.item(), abs=1e-4)


def test_each_ratio_is_asked_once(found):
    table = found[0]
    asked = weights.ratios(table[table["metric"] == "mAP"])
    assert asked["ratio"].tolist() == [0.001, 0.01, 0.1, 1, 100, 1000]
    assert len({claim.claim for claim in weights.claims(table)}) == 6


def test_a_claim_says_that_the_printed_weights_are_better(found):
    table = found[0].assign(gain=-3.0, low=-4.0, high=-2.0, n=2)
    assert {claim.verdict for claim in weights.claims(table)} == {"holds"}
    table = table.assign(gain=3.0, low=2.0, high=4.0)
    assert {claim.verdict for claim in weights.claims(table)} == {"reversed"}


def test_what_is_said_of_the_printed_table():
    """ "Up to 4.9 points between such cells"."""
    printed = published.table("ppcl_table1c")
    ratio = (printed["lambda_cyc"] / printed["lambda_tri"]).round(6)
    spread = printed.groupby(ratio)["value"].agg(lambda cells: cells.max() - cells.min())
    assert round(spread.max(), 1) == 4.9
    assert torch.tensor(spread.to_numpy()).gt(0).sum() == 5


def test_what_the_notebook_says_of_our_table():
    """Of the committed table: equal weights find the region best, no weights rank better."""
    table = pd.read_csv(root() / "reports/study/tables/20_ppcl_weights.csv")
    ratio = (table["lambda_cyc"] / table["lambda_tri"]).round(6)
    iou, map_ = (table["metric"] == metric for metric in ("IoU", "mAP"))
    equal = table[iou & (ratio == 1)]
    assert (equal["low"] > 0).all()
    assert equal["mean"].min() > table[iou & (ratio != 1)]["mean"].max()
    assert (table[iou & (ratio <= 0.01)]["high"] < 0).all(), "PP-Triplet leads away"
    fixed = pd.read_csv(root() / "reports/study/tables/20_ppcl_decisive.csv")
    fixed = fixed[(fixed["row"] == decisive.FIXED) & (fixed["metric"] == "IoU")]
    fixed = fixed[(fixed["error"] == weights.ERROR) & (fixed["noise"] == 0)]["mean"].item()
    stay = table[iou & (ratio >= 100)]["mean"]
    assert (stay - fixed).abs().max() < 0.005, "with more PP-Cycle they stay"
    assert (table[map_]["low"] <= 0).all()
    away = table["high"] < 0
    assert (away[map_] == (ratio <= 0.01)[map_]).all(), "these rank worse, and no others"
    assert table[map_ & away]["gain"].between(-1.5, -0.9).all(), "by about one point"
    assert set(table["n"]) == {2}
