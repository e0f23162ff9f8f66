"""The decisive run: what is told is found, rows learn by themselves, and shares are of one gain."""

import copy

import pandas as pd
import pytest
import torch
from torch.nn.functional import normalize

from reidlib import models
from reidlib.data import load
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.geometry import box_iou, box_to_theta, placement, sample
from reidlib.models.base import evaluating
from reidlib.papers.ppcl import decisive
from reidlib.papers.ppcl import recipe as ppcl
from reidlib.papers.ppcl.constraints import cycle_error, negative_regions, part_triplet
from reidlib.papers.ppcl.locator import CRLoc
from reidlib.papers.stnreid.measure import make_pairs
from reidlib.system.files import root
from reidlib.train.loop import fit
from reidlib.train.store import Run

SMALL = {"train_ids": 6, "test_ids": 5, "cameras": 2, "images": 2, "size": (64, 32)}
SIZE, CELLS = (64, 32), (4, 2)


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL, distractors=3, junk=2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    built = models.build("ppcl", 2, backbone="tiny", size=SIZE)
    built.rectifier.fc.bias.data.copy_(torch.tensor([0.7, 0.6, 0.1, -0.2, 9.0]))
    return built.eval()


def made(how, *given):
    with torch.no_grad():
        return how(*given)


def test_probes_have_one_true_match_each(dataset):
    test = decisive.probes(dataset)
    assert test.gallery["pid"].is_unique
    assert (test.gallery["pid"] > 0).all()
    own = test.gallery.iloc[decisive.owners(test).numpy()]
    assert (own["pid"].to_numpy() == test.query["pid"].to_numpy()).all()
    assert (own["cam"].to_numpy() != test.query["cam"].to_numpy()).all()


def test_true_regions_are_those_of_the_pairs(dataset, model):
    test = decisive.probes(dataset)
    maps = made(decisive.test_maps, model, test, 0.0)
    true = decisive.corresponding(maps.within, maps.body[decisive.owners(test)])
    torch.testing.assert_close(true, make_pairs(test, SIZE, "same person").true)


def test_the_cut_is_what_the_rectified_image_shows_of_its_own(dataset, model, monkeypatch):
    """Whatever GLRec says: the cut, read out of the whole image into the region that GLRec gave
    it, is the rectified image."""
    seen = []
    backbone = model.reid.backbone.forward
    monkeypatch.setattr(model.reid.backbone, "forward", lambda x: seen.append(x) or backbone(x))
    maps = made(decisive.training_maps, model, dataset.train, 0.15, 0)
    rectified, whole = seen[0][0], seen[-1]
    again = sample(sample(whole[:1], box_to_theta(maps.cut[:1])), placement(maps.region[:1]))[0]
    assert (again - rectified).abs().mean() < 0.1 * rectified.abs().mean()


def test_noise_makes_a_poorer_rectifier(dataset, model):
    plain, noisy = (made(decisive.training_maps, model, dataset.train, x, 0) for x in (0.0, 0.15))
    cut, seen = (decisive.corresponding(maps.within, maps.body) for maps in (plain, noisy))
    assert box_iou(noisy.region, seen).mean() < box_iou(plain.region, cut).mean()
    assert torch.equal(plain.whole, noisy.whole)
    assert not torch.equal(plain.partial, noisy.partial)


def test_every_cut_is_placed_and_what_leaves_the_frame_is_not_asked_for(dataset, model):
    """The gate says whole; GLRec puts the image half a frame too far to the right."""
    shy = models.build("ppcl", 2, backbone="tiny", size=SIZE).eval()
    shy.load_state_dict(model.state_dict())
    shy.rectifier.fc.weight.data.zero_()
    shy.rectifier.fc.bias.data.copy_(torch.tensor([1.0, 1, 1, 0, -9]))
    test = decisive.probes(dataset)
    maps = made(decisive.test_maps, shy, test, 0.0)
    torch.testing.assert_close(maps.region, torch.tensor([[0.0, -1, 1, 1]]).expand_as(maps.region))
    same = make_pairs(test, SIZE, "same person").true
    true = decisive.corresponding(maps.within, maps.body[decisive.owners(test)])
    left = torch.cat([same[:, :2], (same[:, :1] + same[:, 2:3]) / 2, same[:, 3:]], 1)
    torch.testing.assert_close(true, left)


def test_probes_are_as_sharp_as_the_cuts_of_training(dataset, model, monkeypatch):
    """The same images and cuts give the same maps, by either way."""
    test = decisive.probes(dataset)
    kept = torch.tensor(make_partial(test).query["box"].tolist())
    monkeypatch.setattr(decisive, "keep_boxes", lambda *_: kept)
    learned = made(decisive.training_maps, model, test.query, 0.0, 0)
    tested = made(decisive.test_maps, model, test, 0.0)
    torch.testing.assert_close(learned.partial, tested.partial)
    torch.testing.assert_close(learned.within, tested.within)


@pytest.mark.parametrize("coordinates", decisive.COORDINATES)
def test_rows_learn_as_in_a_plain_loop(dataset, model, coordinates):
    """What follows from Algorithm 1 for one locator, written without stacks."""
    maps = made(decisive.training_maps, model, dataset.train, 0.15, 0)
    names = ["maps, cycle 10", "none, cycle 10 to the cut", "supervised"]
    rows = {name: decisive.ROWS[name] for name in names}
    torch.manual_seed(0)
    first = CRLoc(CELLS, coordinates=coordinates)
    stacked = [copy.deepcopy(first) for _ in names]
    decisive.train(maps, stacked, 2, 0, rows)
    for name, found in zip(names, stacked, strict=True):
        alone = copy.deepcopy(first).train()
        optimizer = torch.optim.AdamW(alone.parameters(), weight_decay=decisive.DECAY)
        for step, lr in enumerate((decisive.LR, decisive.LR / 10)):
            optimizer.param_groups[0]["lr"] = lr
            torch.manual_seed(step)
            x = torch.randperm(len(maps.partial))[: decisive.BATCH]
            y = x[torch.randperm(len(x))]
            there = alone(maps.partial[x], maps.region[x], maps.whole[y])
            statistics = copy.deepcopy(dict(alone.named_buffers()))
            back = alone(maps.whole[y], there, maps.whole[x])
            if name == "supervised":
                true = decisive.corresponding(maps.within[x], maps.body[y])
                loss = cycle_error(there, true).mean()
            elif name == "none, cycle 10 to the cut":
                loss = 10 * cycle_error(back, maps.cut[x]).mean()
            else:
                other, legal = negative_regions(there)
                a, b, c = (
                    normalize(sample(some, box_to_theta(box)).flatten(1))
                    for some, box in (
                        (maps.partial[x], maps.region[x]),
                        (maps.whole[y], there),
                        (maps.whole[y], other),
                    )
                )
                near, far = ((a - one).pow(2).sum(1) for one in (b, c))
                loss = part_triplet(near, far, legal)
                loss = loss + 10 * cycle_error(back, maps.region[x]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for buffer, value in statistics.items():
                alone.get_buffer(buffer).copy_(value)
        moved = (alone.fc.weight - first.fc.weight).abs().max()
        assert moved > 1e-4
        torch.testing.assert_close(found.fc.weight, alone.fc.weight, rtol=0.05, atol=5e-5)
        for key, value in alone.named_buffers():
            torch.testing.assert_close(found.get_buffer(key), value, rtol=1e-3, atol=1e-4)


def test_regions_beyond_the_frame_rank_nobody_first(dataset, model):
    test = decisive.probes(dataset)
    maps = made(decisive.test_maps, model, test, 0.0)
    away = CRLoc(CELLS, coordinates="absolute")
    away.fc.bias.data.copy_(torch.tensor([-9.0, -9, 9, 9]))
    locators = [away for _ in decisive.ROWS]
    iou, ap = made(decisive.measure, model, maps, locators, decisive.owners(test))
    assert (iou[2:-1] == 0).all()
    torch.testing.assert_close(ap[2:-1], torch.full_like(ap[2:-1], 1 / len(test.gallery)))


def test_a_row_learns_as_if_it_were_alone(dataset, model):
    """In a stack each locator has its own losses, statistics and steps."""
    maps = made(decisive.training_maps, model, dataset.train, 0.0, 0)
    found = {}
    for names in (["pooled, cycle 0.1", "supervised"], ["supervised"]):
        locators = []
        for _ in names:
            torch.manual_seed(0)
            locators.append(CRLoc(CELLS))
        decisive.train(maps, locators, 3, 0, {name: decisive.ROWS[name] for name in names})
        found[len(names)] = locators
    for name, value in found[1][0].state_dict().items():
        torch.testing.assert_close(found[2][1].state_dict()[name], value, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(found[2][0].fc.weight, found[2][1].fc.weight, atol=1e-5)


def test_the_rows():
    assert decisive.ROWS["maps, cycle 10"] == {"cycle": 10, "maps": 1}
    assert decisive.ROWS["none, cycle 0.1"] == {"cycle": 0.1}
    assert "none, cycle 0" not in decisive.ROWS, "that is a locator that learns nothing"
    assert len(decisive.ROWS) == 3 * 3 - 1 + 4
    assert {name for row in decisive.ROWS.values() for name in row} == set(decisive.LOSSES)


def test_regions_and_ranks(dataset, model):
    test = decisive.probes(dataset)
    maps = made(decisive.test_maps, model, test, 0.0)
    owner = decisive.owners(test)
    locators = [CRLoc(CELLS) for _ in decisive.ROWS]  # where the rectifier put the image
    iou, ap = made(decisive.measure, model, maps, locators, owner)
    assert iou.shape == ap.shape == (len(decisive.ALL), len(test.query))
    torch.testing.assert_close(iou[2:-1], iou[:1].expand(len(locators), -1))
    torch.testing.assert_close(ap[2:-1], ap[:1].expand(len(locators), -1))
    torch.testing.assert_close(iou[-1], torch.ones(len(owner)))
    true = decisive.corresponding(maps.within, maps.body[owner]).clamp(-1, 1)
    torch.testing.assert_close(iou[0], box_iou(maps.region.clamp(-1, 1), true))
    whole = torch.tensor([[-1.0, -1, 1, 1]])
    torch.testing.assert_close(iou[1], box_iou(whole.expand_as(true), true))
    neck = model.reid.neck
    one = normalize(neck(model.region(maps.partial, maps.region)))
    other = normalize(neck(maps.whole.mean((2, 3))))
    far = 1 - one @ other.T
    better = (far <= far.gather(1, owner[:, None])).sum(1)
    torch.testing.assert_close(ap[1], 1 / better.float())
    fixed = models.build("ppcl", 2, backbone="tiny", size=SIZE, match="fixed").eval()
    fixed.load_state_dict(model.state_dict())
    with evaluating(fixed):
        region = fixed.region(maps.partial, maps.region)
        query = {"maps": maps.partial, "box": maps.region, "region": region}
        whole = fixed.region(maps.whole, torch.tensor([[-1.0, -1, 1, 1]]).expand(5, 4))
        gallery = {"maps": maps.whole, "box": torch.tensor([[-1.0, -1, 1, 1]]).expand(5, 4)}
        distance = fixed.distance(query, {**gallery, "region": whole})
    rank = distance.argsort(1).argsort(1).gather(1, owner[:, None]).squeeze(1)
    torch.testing.assert_close(ap[0], 1 / (1 + rank.float()))


def test_shares_are_of_the_supervised_gain():
    rows = len(decisive.ALL)
    found = torch.zeros(2, 3, rows, 12, dtype=torch.double)
    found += torch.rand(12) * 0.01
    found[:, 0, decisive.ALL.index("supervised")] += 0.4
    found[:, :, decisive.ALL.index("maps, cycle 0")] += 0.1
    lines = pd.DataFrame(decisive._lines(found, pd.Series(range(12))))
    assert len(lines) == 3 * (rows - 3) + 3
    told = lines[lines["row"] == "maps, cycle 0"]
    assert told["gain"].tolist() == pytest.approx([0.1] * 3)
    assert told["over_whole"].tolist() == pytest.approx([0.1] * 3), "which is GLRec's here"
    assert told["share"].tolist() == pytest.approx([25] * 3)
    found[:, 0, decisive.ALL.index("supervised")] -= 0.4
    assert pd.DataFrame(decisive._lines(found, pd.Series(range(12))))["share"].isna().all()


def test_what_the_notebook_says_of_it():
    """The numbers in its words are those of the committed table."""
    table = pd.read_csv(root() / "reports/study/tables/20_ppcl_decisive.csv")
    table = table.fillna({"coordinates": ""})
    first = table[(table["error"] == 0.08) & (table["noise"] == 0)]
    iou, map_ = (
        first[first["metric"] == metric].set_index(["coordinates", "row"])
        for metric in ("IoU", "mAP")
    )
    assert 22 < iou.loc[("relative", "maps, cycle 10"), "share"] < 33, "over a quarter"
    assert 45 < iou.loc[("relative", "maps, cycle 0.1"), "share"] < 55, "half"
    pinned = table[(table["row"] == "maps, cycle 10") & (table["coordinates"] == "relative")]
    assert (pinned[pinned["metric"] == "IoU"]["low"] > 0).all(), "in all four conditions"
    assert (iou.loc["absolute"]["gain"].drop("supervised") < -0.09).all()
    assert iou.loc[("absolute", "supervised"), "low"] > 0
    printed = map_.loc[("relative", "maps, cycle 10")]
    assert printed["low"] < 0 < printed["high"]
    assert printed["whole_high"] < 0, "the whole reference ranks better"
    assert map_.loc[("", decisive.WHOLE), "low"] > 0
    true = map_.loc[("", decisive.TRUE)]
    assert true["low"] > 0
    assert true["whole_low"] < 0 < true["whole_high"]
    assert abs(true["over_whole"]) < 0.5, "true regions rank as well as the whole reference"
    alone = table[(table["row"] == "maps, cycle 0") & (table["coordinates"] == "relative")]
    assert (alone[alone["metric"] == "IoU"]["high"] < 0).sum() == 3, "uncertain in the fourth"
    kept = pd.read_csv(root() / "reports/study/tables/20_ppcl_fig5.csv")
    kept = kept[(kept["row"] == "+R") & (kept["metric"] == "mAP")].set_index("x")
    assert kept.loc[[20, 40], "gain"].min() > kept.loc[[60, 80, 100], "gain"].max() > 0
    assert (kept.loc[[20, 40], "gain_low"] > 0).all()
    assert table["people"].unique().tolist() == [336]
    assert table["n"].unique().tolist() == [2]


def test_what_the_notebook_says_of_real_people():
    folder = root() / "reports/market1501/tables"

    def rank1(name):
        table = pd.read_csv(folder / f"20_ppcl_{name}-cpu.csv")
        return table[table["metric"] == "rank1"].set_index("row")

    table, regions = rank1("table1a"), rank1("locator")
    rectified, located, own = table.loc["+R"], table.loc["PPCL"], regions.loc["PPCL"]
    assert 4.9 < rectified["gain"] < 5.0
    assert 0 < rectified["gain_low"] < rectified["gain_high"] < 14.0
    assert located["gain_low"] < 0 < located["gain_high"], "as good as Resize"
    assert own["gain_low"] < 0 < own["gain_high"]
    kept = (
        pd.read_csv(folder / "20_ppcl_fig5-cpu.csv").set_index(["row", "metric", "x"]).sort_index()
    )
    gains = kept.loc[("+R", "rank1"), "gain"]
    assert [x for x in gains.index if kept.loc[("+R", "rank1", x), "gain_low"] > 0] == [60]
    gate = pd.read_csv(folder / "20_ppcl_gate-cpu.csv").set_index("kept")["right"]
    assert 0.60 < gate[0.8] < 0.70, "a third of them"
    assert set(table["n"]) == {2}
    both = pd.read_csv(folder / "20_ppcl_table1b-cpu.csv").query("metric == 'rank1'")
    assert set(both["n"]) == {2}
    axes = ["row", "query kept (%)", "gallery kept (%)"]
    cells = both.set_index(axes).sort_index()
    assert len(cells) == 3 * 16
    for row in ("Resize", "PPCL"):
        own = cells.loc[row]
        for more in (40, 60, 80):  # of the other image
            assert own["low"][80, more] > own["high"][20, more]
            assert own["low"][more, 80] > own["high"][more, 20]
    own = cells.loc["PPCL"]
    assert (own["gain_low"] < 0).all()
    below = own[own["gain_high"] < 0].index
    assert set(below) == {(40, 40), (60, 40), (80, 20), (80, 40), (80, 60)}
    assert -10.5 < own["gain"].min() < -10
    claims = pd.read_csv(folder / "20_ppcl_claims-cpu.csv").set_index("claim")
    overall = claims.loc["handles arbitrary inputs: better than Resize, mean over the cells"]
    assert overall["verdict"] == "reversed"
    gate = pd.read_csv(folder / "20_ppcl_gains_by_gate-cpu.csv").set_index(axes[1:])
    for more in (20, 40, 60):
        share, lost, others = gate.loc[(80, more)]
        assert 30 < share < 40, "a third"
        assert share * lost < (100 - share) * others < 0, "most of it"


def test_what_the_notebook_says_of_drawn_pairs_that_are_both_cut():
    table = pd.read_csv(root() / "reports/study/tables/20_ppcl_table1b.csv")
    axes = ["row", "query kept (%)", "gallery kept (%)"]
    own = table.query("metric == 'rank1'").set_index(axes).sort_index().loc["PPCL"]
    for more in (40, 60, 80):
        assert own["low"][80, more] > own["high"][20, more]
        assert own["low"][more, 80] > own["high"][more, 20]
    claims = pd.read_csv(root() / "reports/study/tables/20_ppcl_claims.csv").set_index("claim")
    overall = claims.loc["handles arbitrary inputs: better than Resize, mean over the cells"]
    assert overall["verdict"] == "reversed"


def test_the_claims_need_more_than_the_whole_reference():
    found = torch.rand(2, 3, len(decisive.ALL), 40, dtype=torch.double) * 0.01

    def verdicts():
        lines = [
            {"error": 0.08, "noise": 0.0, **line, "metric": metric}
            for metric, scale in (("IoU", 1), ("mAP", 100))
            for line in decisive._lines(scale * found, pd.Series(range(40)))
        ]
        return {claim.claim: claim.verdict for claim in decisive.claims(pd.DataFrame(lines))}

    name = "comparing true regions ranks better than GLRec's (mAP)"
    found[:, :, decisive.ALL.index(decisive.TRUE)] += 0.3
    assert len(verdicts()) == 12, "each sentence is another"
    assert verdicts()[name] == "holds"
    found[:, :, decisive.ALL.index(decisive.WHOLE)] += 0.3
    assert verdicts()[name] == "too small to tell"


def test_it_is_stored_beside_its_run(tmp_path, monkeypatch):
    tiny = {"dataset": "synthetic", "data_options": SMALL, "weights": None, "backbone": "tiny",
            "size": SIZE, "steps": 1, "ids_per_batch": 2, "images_per_id": 2}  # fmt: skip
    recipe = ppcl.RECIPE.but(**tiny, start=ppcl.GLREC.but(**tiny))
    run = fit(recipe, device="cpu", store=tmp_path, progress=False)

    def town(**options):
        return load("synthetic", **{**SMALL, **options})

    few = {"steps": 1, "test_ids": 5, "noises": (0.0,), "errors": (0.08,)}
    first = decisive.table([run], town, **few)
    assert set(first["metric"]) == {"IoU", "mAP"}
    assert first[first["row"] == decisive.TRUE].set_index("metric")["mean"]["IoU"] == 1
    shown = decisive.wide(first)
    assert len(shown) == 3 * len(decisive.ROWS) + 3
    still = shown[shown["row"].str.endswith("(untrained)")]
    assert [*still["coordinates"]] == ["relative"] * 2
    assert still.iloc[:, 2:].map(lambda cell: cell.lstrip("+-").startswith("0.0")).all(axis=None)
    fixed = first[(first["row"] == decisive.FIXED) & (first["metric"] == "mAP")]["mean"].item()
    line = shown[shown["row"] == decisive.FIXED].iloc[0]
    assert line["mAP, detector 0.08"] == f"{fixed:.1f}"
    monkeypatch.setattr(decisive, "train", None)  # nothing is trained again
    pd.testing.assert_frame_equal(decisive.table([run], town, **few), first)
    other = Run.of(recipe.start[0], tmp_path)
    with pytest.raises(ReidError, match="no PPCL with a rectifier and a locator"):
        decisive.table([other], town, **few)
