"""DSR: the ridge and the sparse reconstruction against their definitions."""

import pytest
import torch

from reidlib import models
from reidlib.data import ImageBank, load
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.evaluate import evaluate
from reidlib.evaluate.encode import encode_cut
from reidlib.models.base import evaluating
from reidlib.models.dsr import DSR, ridge_dictionary, sparse_errors
from reidlib.papers.stnreid import recipe as stnreid
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

SIZE = (96, 48)


def build(**options):
    torch.manual_seed(0)
    return models.build("dsr", 4, backbone="tiny", size=SIZE, **options).eval()


def unit(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(len(shape))
    return torch.nn.functional.normalize(
        torch.randn(*shape, generator=rng, dtype=torch.float64), dim=-1
    )


def test_blocks_of_all_scales_that_fit():
    """A 6x3 map has 18 cells, 10 blocks of 2x2 and 4 of 3x3, each of length 1."""
    model = build()
    with evaluating(model):
        encoding = model.encode(torch.randn(2, 3, *SIZE))
        maps = model.backbone(torch.randn(1, 3, *SIZE))
    assert maps.shape[2:] == (6, 3)
    assert encoding["blocks"].shape == (2, 18 + 10 + 4, 1024)
    torch.testing.assert_close(encoding["blocks"].norm(dim=2), torch.ones(2, 32))
    with evaluating(model):
        image = torch.randn(1, 3, *SIZE)
        blocks, maps = model.encode(image)["blocks"][0], model.backbone(image)[0]
    window = maps[:, 2:4, 1:3].mean((1, 2))  # row 2, column 1 of the 5x2 blocks of 2x2
    torch.testing.assert_close(blocks[18 + 2 * 2 + 1], window / window.norm())


@pytest.mark.parametrize("beta", [0.01, 1.0])
def test_the_distance_is_the_error_of_the_best_ridge_combination(beta):
    x, y = unit(3, 5, 12), unit(4, 7, 12)
    model = build(beta=beta, coding="ridge")
    found = model.distance({"feature": x[:, 0], "blocks": x}, {"feature": y[:, 0], "blocks": y})
    for q in range(3):
        for g in range(4):
            gram = y[g] @ y[g].T + beta * torch.eye(7)
            w = torch.linalg.solve(gram, y[g] @ x[q].T)
            expected = (x[q] - w.T @ y[g]).square().sum(1).mean()
            assert found[q, g].item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("coding", ["ridge", "sparse"])
def test_blocks_of_the_gallery_do_not_change_the_result(monkeypatch, coding):
    x, y = unit(3, 5, 12), unit(4, 7, 12)
    model = build(coding=coding)
    query, gallery = {"feature": x, "blocks": x}, {"feature": y, "blocks": y}
    whole = model.distance(query, gallery)
    monkeypatch.setattr("reidlib.models.dsr.CELLS", 1)
    torch.testing.assert_close(model.distance(query, gallery), whole)


@pytest.mark.parametrize("coding", ["ridge", "sparse"])
def test_an_image_rebuilds_its_own_patch_and_no_other_so_well(coding):
    y = unit(2, 7, 12)
    x = y[:1, :3]
    model = build(beta=1e-4, coding=coding)
    found = model.distance({"feature": x, "blocks": x}, {"feature": y, "blocks": y})
    assert found[0, 0] < 1e-6 < 0.1 < found[0, 1]


@pytest.mark.parametrize("coding", ["ridge", "sparse"])
def test_a_query_with_fewer_blocks_counts_those_it_has(coding):
    x, y = unit(2, 5, 12), unit(4, 7, 12)
    model = build(coding=coding)
    fewer = x.clone()
    fewer[1, 3:] = 0  # a smaller map
    found = model.distance({"feature": x, "blocks": fewer}, {"feature": y, "blocks": y})
    alone = model.distance({"feature": x, "blocks": x[1:, :3]}, {"feature": y, "blocks": y})
    torch.testing.assert_close(found[1:], alone)


def test_dependent_blocks_are_no_trouble():
    y = unit(1, 3, 12)
    twice = torch.cat([y, y], 1)
    assert ridge_dictionary(twice, 0.01).isfinite().all()
    assert sparse_errors(y[0], twice, 0.01).isfinite().all()


def test_sparse_coding_finds_the_minimum():
    """The same error as at the end of plain proximal steps, for every pair."""
    x, y = unit(2, 5, 12), unit(3, 6, 12)
    beta = 0.05
    model = build(coding="sparse", beta=beta)
    found = model.distance({"feature": x, "blocks": x}, {"feature": y, "blocks": y})
    for q in range(2):
        for g in range(3):
            gram, cross = y[g] @ y[g].T, y[g] @ x[q].T
            w = torch.zeros_like(cross)
            for _ in range(20_000):
                w = w - 0.1 * (gram @ w - cross)
                w = w.sign() * (w.abs() - 0.1 * beta).clamp(min=0)
            expected = (x[q] - w.T @ y[g]).square().sum(1).mean()
            assert found[q, g].item() == pytest.approx(expected.item(), rel=1e-3)


def test_a_partial_probe_keeps_its_size():
    """Its blocks are those of the cut itself, not of the cut enlarged to the input; a narrow map
    has none of 3x3."""
    dataset = load("synthetic", train_ids=2, test_ids=4, cameras=2, images=2, size=(64, 32))
    cut = make_partial(dataset, ratio=(0.5, 0.5), side="left").query
    model = build()
    with evaluating(model):
        found = encode_cut(model, cut)["blocks"]
        whole = ImageBank.from_split(dataset.query, SIZE).images(slice(0, len(cut)))
        expected = model.encode(whole[:, :, :, 24:])["blocks"]
    assert expected.shape[1] == 6 * 2 + 5 * 1
    torch.testing.assert_close(found, expected)
    assert encode_cut(model, make_partial(dataset).query)["blocks"].shape[1] > 17


def test_an_evaluation_asks_for_probes_in_their_own_size(monkeypatch):
    dataset = load("synthetic", train_ids=2, test_ids=4, cameras=2, images=2, size=(64, 32))
    cut = make_partial(dataset)
    seen = []
    monkeypatch.setattr(
        "reidlib.evaluate.retrieval.encode_cut",
        lambda model, split, **options: (
            seen.append(len(split)) or encode_cut(model, split, **options)
        ),
    )
    own, enlarged = (evaluate(build(enlarge=large), cut).per_query for large in (False, True))
    assert seen == [len(cut.query)]
    assert not own.equals(enlarged)
    with pytest.raises(ReidError, match="in its own size"):
        evaluate(build(), cut, pad=True)


def test_what_was_scored_by_other_defaults_is_not_found_again(monkeypatch):
    options = {"train_ids": 2, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
    recipe = Recipe(model="dsr", backbone="tiny", size=SIZE, data_options=options)
    run, dataset = Run.of(recipe), load("synthetic", **options)
    before, _ = run._evaluation(dataset, {})
    monkeypatch.setattr(DSR, "test_version", DSR.test_version + 1)
    after, _ = run._evaluation(dataset, {})
    assert before.parent == after.parent, "the same training"
    assert before != after


def test_it_is_the_baseline_trained_once():
    rows = stnreid.rows()
    dsr = rows["DSR(Our)"]
    assert dsr.start == (rows["Baseline"],)
    assert dsr.steps == 0
    assert dsr.but(beta=0.1, coding="ridge", enlarge=True).training() == dsr.training()
    model = build()
    base = models.build("baseline", 4, backbone="tiny", size=SIZE)
    model.load_start(base.state_dict(), "baseline", True)
    assert all(torch.equal(v, base.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(ReidError, match="takes nothing over"):
        model.load_start({}, "mgn", True)
