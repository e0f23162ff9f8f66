"""RMGL: shared weights, paths, partitions, balanced pooling at test alone, its loss."""

import copy

import pytest
import torch
import torch.nn.functional as F

from reidlib import models
from reidlib.errors import ReidError
from reidlib.evaluate.cost import gmacs
from reidlib.losses import batch_hard_triplet
from reidlib.models.base import count_parameters, evaluating
from reidlib.papers.rmgl import recipe as rmgl

SIZE = (96, 32)
SPLITS = ("input", "stem", "conv2", "conv3", "conv4", "conv5")


def build(num_ids: int = 4, **options):
    torch.manual_seed(0)
    return models.build("rmgl", num_ids, backbone="tiny", size=SIZE, **options)


def test_the_paths_share_every_weight():
    both, original, receptive = build(), build(rp=False), build(op=False)

    def body(model):
        return {k: v for k, v in model.state_dict().items() if not k.startswith("heads.")}

    assert body(both).keys() == body(original).keys() == body(receptive).keys()
    counts = [sum(v.numel() for v in body(m).values()) for m in (both, original, receptive)]
    assert len(set(counts)) == 1, "a receptive path adds no parameter outside of the heads"
    assert count_parameters(original) == count_parameters(receptive)


def test_each_branch_owns_the_late_stages_and_starts_from_the_same_weights():
    model = build(stripes=(2, 3))
    first, second = (dict(branch.named_parameters()) for branch in model.branches)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not {p.data_ptr() for p in first.values()} & {p.data_ptr() for p in second.values()}


@pytest.mark.parametrize("split", SPLITS)
def test_with_one_stripe_the_receptive_path_is_the_original(split, batch):
    model = build(stripes=(1,), split=split).eval()
    with evaluating(model):
        maps = model.maps(batch.images)
    torch.testing.assert_close(maps[0, "receptive"], maps[0, "original"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("split", SPLITS)
def test_a_receptive_stripe_sees_its_part_of_the_cut_map_alone(split, batch):
    """The map equals that of each stripe run through the rest of the network by itself."""
    model = build(stripes=(3,), split=split).eval()
    order = ("input", "stem", "conv2", "conv3", "conv4", "conv5")
    stages = {**model.trunk, **model.branches[0]}
    with evaluating(model):
        x = batch.images
        for stage in order[1 : order.index(split) + 1]:
            x = stages[stage](x)
        parts = []
        for stripe in x.chunk(3, dim=2):
            for stage in order[order.index(split) + 1 :]:
                stripe = stages[stage](stripe)
            parts.append(stripe)
        found = model.maps(batch.images)[0, "receptive"]
    torch.testing.assert_close(found, torch.cat(parts, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("split", SPLITS)
def test_without_the_original_path_the_receptive_one_is_the_same(split, batch):
    both, alone = build(split=split).eval(), build(split=split, op=False).eval()
    body = {k: v for k, v in both.state_dict().items() if not k.startswith("heads.")}
    alone.load_state_dict(body, strict=False)
    with evaluating(both), evaluating(alone):
        a, b = both.maps(batch.images), alone.maps(batch.images)
    assert b.keys() == {(0, "receptive"), (1, "receptive")}
    assert all(torch.equal(a[key], b[key]) for key in b)


def test_receptive_partition_costs_no_computation_of_its_own():
    """Only receptive paths cost what only original ones do, to the padding at the cut rows."""
    assert gmacs(build(op=False)) == pytest.approx(gmacs(build(rp=False)), rel=1e-9)


def test_features_have_a_global_part_and_one_for_each_stripe_of_each_path(batch):
    model = build(stripes=(2, 3)).eval()
    with evaluating(model):
        feature = model.encode(batch.images)["feature"]
    assert feature.shape == (8, 256 * 2 * (3 + 4))  # Eq. 1: two paths, 1 + 2 and 1 + 3 parts
    with evaluating(model):
        pooled = model.pooled(model.maps(batch.images), 0)
        whole = model.maps(batch.images)[0, "original"].amax((2, 3))
    assert torch.equal(pooled[:, 0], whole)


def test_balanced_pooling_is_for_the_test_alone_unless_asked_for(batch):
    plain, balanced = build(abp=False), build(abp=True)
    always = build(abp=True, abp_training=True)
    with torch.no_grad():
        maps = plain.maps(batch.images)
        assert torch.equal(plain.train().pooled(maps, 1), balanced.train().pooled(maps, 1))
        assert not torch.equal(plain.eval().pooled(maps, 1), balanced.eval().pooled(maps, 1))
        assert torch.equal(always.train().pooled(maps, 1), balanced.eval().pooled(maps, 1))


def test_options_of_the_test_share_a_run():
    plain = rmgl.RECIPE.but(dataset="synthetic", abp=False)
    balanced, maxima = plain.but(abp=True), plain.but(abp=True, abp_pooling="max")
    assert plain.training() == balanced.training() == maxima.training()
    assert plain.test_options() == {"abp": False}
    always = balanced.but(abp_training=True)
    assert always.but(abp_pooling="max").training() != always.training()


@pytest.mark.parametrize("margin", [0.6, None])
def test_the_loss_is_equation_4(margin, batch):
    model = build(margin=margin).train()
    twin = copy.deepcopy(model)  # batch norm counts what it sees
    losses = twin.loss(batch)
    identity, triplet = torch.zeros(()), torch.zeros(())
    for feature, head in zip(model.features(batch.images), model.heads, strict=True):
        for part in head.logits(feature).unbind(1):
            identity = identity + F.cross_entropy(part, batch.label)
        triplet = triplet + batch_hard_triplet(feature.flatten(1), batch.label, margin)
    torch.testing.assert_close(losses["id"], identity)
    torch.testing.assert_close(losses["triplet"], triplet)
    torch.testing.assert_close(losses["loss"], identity + triplet)
    losses["loss"].backward()
    without = [n for n, p in twin.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == [], "every parameter trains"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"op": False, "rp": False}, "no path left"),
        ({"stripes": ()}, "not one number from 1 on"),
        ({"split": "conv6"}, "option split"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ReidError, match=message):
        build(**options)


def test_an_image_that_cannot_be_cut_says_what_to_do():
    with pytest.raises(ReidError, match="cannot be cut into 5 equal stripes: choose an image hei"):
        build(stripes=(5,)).maps(torch.zeros(1, 3, *SIZE))


def test_the_papers_settings():
    """Section IV-A, as quoted in DECISIONS and the text."""
    recipe = rmgl.RECIPE
    assert recipe.size == (384, 128)
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 1e-3)
    assert (recipe.ids_per_batch, recipe.images_per_id) == (12, 4)
    assert (recipe.lr, recipe.warmup_start * recipe.lr, recipe.head_lr) == (0.01, 1e-5, 10.0)
    assert recipe.milestones == (30.0, 50.0)
    model = models.build("rmgl", 751, **{k: v for k, v in recipe.options.items()})
    assert model.margin == 0.6
    assert model.stripes == (2, 3)
    assert model.abp
    assert model.paths == ("original", "receptive")


def test_the_one_stripe_of_a_whole_map_has_no_second_head(batch):
    parts = [f.shape[1] for f in build(stripes=(1, 2)).features(batch.images)]
    assert parts == [2, 6], "two paths: each a global part; each that and two stripes"


def test_equal_stripes_may_be_pooled_otherwise_at_test(batch):
    how = {"stripes": (2,), "rp": False, "abp": False}
    model, other = build(**how), build(**how, equal_pooling="avg")
    maps = model.maps(batch.images)
    half = maps[0, "original"].shape[2] // 2
    assert torch.equal(model.pooled(maps, 0), other.pooled(maps, 0)), "in training: maxima"
    ours, theirs = model.eval().pooled(maps, 0), other.eval().pooled(maps, 0)
    assert torch.equal(ours[:, 0], theirs[:, 0]), "the global part stays a maximum"
    torch.testing.assert_close(theirs[:, 1], maps[0, "original"][:, :, :half].mean((2, 3)))
    assert (ours[:, 1] >= theirs[:, 1]).all()
    assert not torch.equal(ours, theirs)
