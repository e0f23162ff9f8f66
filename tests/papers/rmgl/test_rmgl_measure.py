"""Shares of stripes on their parts, where the truth is known."""

import math

import pytest
import torch

from reidlib.data import ImageBank, load
from reidlib.errors import ReidError
from reidlib.models import build
from reidlib.papers.rmgl.measure import (
    alignment_table,
    balance,
    boxes,
    intended_parts,
    learned,
    margins,
    stripe_edges,
    stripe_share,
)
from reidlib.papers.rmgl.stripes import balanced_cuts
from reidlib.train import Recipe, Run, fit
from reidlib.train.build import build_batches, started_model

CUT = 2 * 40.5 / 96 - 1  # where two equal stripes of six rows part, centred at 32 and 48
OPTIONS = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2, "distractors": 0, "junk": 0}


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", size=(64, 32), **OPTIONS)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build("rmgl", 4, backbone="tiny", size=(96, 32)).eval()


def test_stripe_share():
    cuts = torch.tensor([[-1.0, 0.0, 1.0]])
    same = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]])
    assert stripe_share(cuts, same).tolist() == [[1, 1]]
    lower = torch.tensor([[[-0.5, 0.5], [0.5, 1.5]]])  # the body hangs half a stripe too low
    assert stripe_share(cuts, lower).tolist() == [[0.5, 0.5]]
    beyond = torch.tensor([[[-3.0, -2.0], [2.0, 3.0]]])
    assert stripe_share(cuts, beyond).tolist() == [[0, 0]]


def test_intended_parts(dataset):
    body, torso = boxes(dataset.query, "body"), boxes(dataset.query, "torso")
    equal = intended_parts(dataset.query, 3)
    assert torch.allclose(equal[:, 0, 0], body[:, 1])
    assert torch.allclose(equal[:, 2, 1], body[:, 3])
    assert torch.allclose((equal[..., 1] - equal[..., 0]) * 3, (body[:, 3:] - body[:, 1:2]))
    named = intended_parts(dataset.query, 2, "named")
    assert torch.equal(named[:, 0, 1], torso[:, 3])
    assert torch.equal(named[:, 1, 0], torso[:, 3])
    with pytest.raises(ReidError, match="for two stripes, not 3"):
        intended_parts(dataset.query, 3, "named")


def test_stripe_edges(dataset, model):
    images = ImageBank.from_split(dataset.query, model.size).images(slice(0, 5))
    uniform = stripe_edges(model, images, 1, "original", False)
    ends = torch.tensor([0, 8.5, 24.5, 40.5, 56.5, 72.5, 96])  # of the six rows of the last map
    places = 2 * ends / 96 - 1
    assert torch.allclose(uniform, places[::2].expand(5, 4))
    balanced = stripe_edges(model, images, 1, "receptive", True, batch_size=2)
    with torch.no_grad():
        last = model.maps(images)[1, "receptive"]
    assert torch.allclose(balanced, places[balanced_cuts(last, 3)])


def test_shares_of_maxima_are_of_the_stripes_that_are_cut(dataset, model):
    images = ImageBank.from_split(dataset.query, model.size).images(slice(0, 5))
    found = balance(model, images, 1)
    with torch.no_grad():
        rows = model.maps(images)[1, "original"].amax(3)  # [N, C, H]: the largest of each row
    for i, image in enumerate(rows):
        places = image[image.amax(1) > 0].argmax(1)  # a channel without response counts nowhere
        thirds = [float((places // 2 == k).float().mean()) for k in range(3)]
        assert found["equal stripes"][i].tolist() == pytest.approx(thirds)
    assert torch.allclose(found["balanced stripes"].sum(1), torch.ones(5))
    wide = [shares.amax(1) - shares.amin(1) for shares in found.values()]
    assert wide[1].mean() < wide[0].mean()


def test_table_without_a_detectors_error(model):
    """Then the body reaches from -0.9 to 0.9 in every image, and equal stripes are cut alike."""
    exact = load("synthetic", size=(64, 32), detector_error=0.0, **OPTIONS)
    table = alignment_table(model, exact).set_index(["branch", "path", "partition"])
    assert len(table) == 8
    for path in ("original", "receptive"):
        two = table.loc[(0, path, "uniform")]
        # cut at 40.5 of 96 rows, the body from 4.8 to 91.2 with its middle at 48: of the upper
        # stripe all but the margin is upper body, of the lower one 48 to 91.2
        wanted = ((40.5 - 4.8) / 40.5 + (91.2 - 48) / 55.5) / 2
        assert two.share == pytest.approx(wanted, abs=0.01)
        assert two.cut_spread == pytest.approx(0, abs=0.01)
    assert table.loc[(1, "original", "uniform")].share < 0.9  # the cuts at 1/3 do not agree


def test_table_with_it(dataset, model):
    table = alignment_table(model, dataset, batch_size=3)
    uniform = table[table.partition == "uniform"].set_index(["branch", "path"])
    assert (uniform.cut_spread > 0.02).all()
    assert table.images.unique().tolist() == [len(dataset.query)]
    share = stripe_share(torch.tensor([[-1.0, CUT, 1]]).expand(len(dataset.query), 3),
                         intended_parts(dataset.query, 2))  # fmt: skip
    assert uniform.loc[(0, "original")].share == pytest.approx(float(share.mean()))
    body = boxes(dataset.query, "body")
    middle = (CUT - body[:, 1]) / (body[:, 3] - body[:, 1])  # where the cut meets the body
    assert uniform.loc[(0, "original")].cut_spread == pytest.approx(float(middle.std()))
    named = alignment_table(model, dataset, "named")
    assert named.branch.unique().tolist() == [0]


def test_what_cannot_be_measured(dataset, model):
    plain = dataset.but(query=dataset.query[["path", "pid", "cam"]])
    with pytest.raises(ReidError, match='no column "body"'):
        alignment_table(model, plain)


def test_what_a_row_had_learned_is_read_from_its_logs(tmp_path):
    small = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2}
    recipe = Recipe(model="rmgl", backbone="tiny", dataset="synthetic", data_options=small,
                    size=(96, 32), ids_per_batch=2, images_per_id=2, warmup=0, steps=8,
                    options={"stripes": (2,), "rp": False, "abp": False})  # fmt: skip
    runs = [fit(recipe.but(seed=seed), store=tmp_path, progress=False) for seed in (0, 1)]
    balanced = [Run.of(recipe.but(abp=True, seed=seed), tmp_path) for seed in (0, 1)]
    found = learned({"BL": runs, "one seed": runs[:1], "ABP": balanced})
    assert [*found.index] == ["BL", "one seed"]  # balanced pooling is a test of the same training
    assert found["epochs"].tolist() == [2, 2]  # 8 steps of 4 of 16 images
    last = [run.history.iloc[-1] for run in runs]  # three classifiers of four people
    shares = [100 * row["id"] / 3 / math.log(4) for row in last]
    assert found["identity loss"].tolist() == pytest.approx([sum(shares) / 2, shares[0]])
    for run in runs:  # what was logged before does not count
        log = run.history.assign(accuracy=0.25)
        log.loc[log.index[-1], "accuracy"] = 0.75
        log.to_csv(run.path / "history.csv", index=False)
        assert len(log) < 20
    assert learned({"BL": runs})["training accuracy"].tolist() == [75]


def test_a_margin_acts_where_distances_are_as_small_as_it(tmp_path):
    small = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2}
    recipe = Recipe(model="rmgl", backbone="tiny", dataset="synthetic", data_options=small,
                    size=(96, 32), ids_per_batch=2, images_per_id=2, warmup=0, steps=1,
                    options={"stripes": (1, 2), "rp": False})  # fmt: skip
    run = fit(recipe, store=tmp_path, progress=False)
    found = margins(run, [0.0, 0.6, 1000.0], batches=2)
    names = ["1-stripe, first step", "2-stripe, first step", "1-stripe, trained"]
    assert [*found.index] == [*names, "2-stripe, trained"]
    assert (found["m = 1000"] == 100).all()  # beyond every distance
    assert (found["m = 0"] <= found["m = 0.6"]).all()
    # batch norm makes each of 256 values of variance 1: two features are about sqrt(512) apart
    assert found["nearest negative"]["1-stripe, first step"] == pytest.approx(512**0.5, rel=0.35)
    model = started_model(run).train()  # by hand, from one batch at a time
    bank = ImageBank.from_split(recipe.load_dataset().train, recipe.size)
    moved = []
    for step in range(2):
        batch = build_batches(recipe, bank)(step)
        with torch.no_grad():
            distance = torch.cdist(*[model.features(batch.images)[1].flatten(1)] * 2)
        for a, own in enumerate(batch.label):
            far = max(d for d, other in zip(distance[a], batch.label, strict=True) if other == own)
            near = min(d for d, other in zip(distance[a], batch.label, strict=True) if other != own)
            moved.append(float(0.6 + far > near))
    expected = 100 * sum(moved) / len(moved)
    assert found["m = 0.6"]["2-stripe, first step"] == pytest.approx(expected)
