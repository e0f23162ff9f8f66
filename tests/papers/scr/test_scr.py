"""SCR: the paper's counts, heads against a loop, what a part sees, the loss, attention."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidlib import models
from reidlib.data.sampler import IdentitySampler
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.attention import ResidualAttention, SqueezeExcitation, insert_attention
from reidlib.models.backbone import build_backbone
from reidlib.models.base import count_parameters, evaluating
from reidlib.models.heads import Heads
from reidlib.papers.scr import recipe as scr
from reidlib.train.build import build_optimizer
from reidlib.workbook import published

SIZE = (96, 32)


def build(**options):
    torch.manual_seed(0)
    return models.build("scr", 4, backbone="tiny", size=SIZE, **options)


def classifiers(model) -> list[Heads]:
    return [head for head in model.heads.modules() if isinstance(head, Heads)]


def test_the_papers_counts():
    """Section 3.1 and Table 3: 13 parts of 256; the parameters are those of the authors' code."""
    with torch.device("meta"):  # shapes alone
        model = models.build("scr", 751, size=(384, 192)).eval()
        feature = model.encode(torch.empty(1, 3, 384, 192))["feature"]
    assert feature.shape == (1, 3328)
    heads = classifiers(model)
    assert sum(head.classifier.shape[0] for head in heads) == len(model.part_names) == 13
    ends = sum(head.classifier.numel() + head.bias.numel() for head in heads)
    assert round(count_parameters(model) / 1e6, 2) == 72.37
    assert round((count_parameters(model) - ends) / 1e6, 2) == 69.86
    lengths = [head.reduction.shape[:2] for head in heads]
    assert lengths == [(1, 2048), (3, 2048), (2, 1024), (4, 2048), (2, 683), (1, 682)]


def test_maps_have_the_same_size_and_branches_start_equal():
    model = build()
    with evaluating(model):
        maps = model.maps(torch.randn(2, 3, *SIZE))
    assert {name: x.shape for name, x in maps.items()} == dict.fromkeys(
        ("p1", "p2", "p3"), torch.Size([2, 1024, 6, 2])
    )
    torch.testing.assert_close(maps["p1"], maps["p3"])
    first, last = (dict(model.branches[k].named_parameters()) for k in (0, 2))
    assert all(first[name] is not last[name] for name in first), "of their own"


def test_heads_equal_a_loop_over_parts(batch):
    model = build().train()
    for head in classifiers(model):
        nn.init.normal_(head.bias)
        nn.init.uniform_(head.norm.weight, 0.5, 2)
    twin = copy.deepcopy(model)
    losses = twin.loss(batch)
    maps = model.maps(batch.images)
    identity, triplet = [], []
    for partition, mixed in zip(model.partitions, model.heads, strict=True):
        each = [(head, k) for head in mixed.runs for k in range(len(head.classifier))]
        for part, (head, k) in zip(partition.parts, each, strict=True):
            x = maps[partition.name]
            top, bottom = part.rows(x.shape[2])
            first, last = part.channels(x.shape[1])
            vector = x.amax((2, 3))[:, first:last]
            if part.kind == "rows":
                vector = x[:, :, top:bottom].amax((2, 3))
            scale, shift = (
                p.unflatten(0, (-1, 256))[k] for p in (head.norm.weight, head.norm.bias)
            )
            feature = F.batch_norm(
                vector @ head.reduction[k], None, None, scale, shift, training=True
            )
            logits = feature @ head.classifier[k] + head.bias[k]
            identity.append(F.cross_entropy(logits, batch.label))
            if part.kind == "whole":
                triplet.append(batch_hard_triplet(feature, batch.label, 1.2))
    assert (len(identity), len(triplet)) == (13, 3)
    expected = 2 * torch.stack(identity).mean() + torch.stack(triplet).mean()  # Eq. 3
    torch.testing.assert_close(losses["loss"], expected, rtol=1e-5, atol=1e-5)


def test_a_loss_without_triplets_and_with_another_weight(batch):
    losses = build(triplet=False, lambda_=3.0).eval().loss(batch)
    full = build(lambda_=1.0).eval().loss(batch)
    assert "triplet" not in losses
    torch.testing.assert_close(losses["loss"], 3 * losses["id"])
    torch.testing.assert_close(full["loss"], full["id"] + full["triplet"])
    torch.testing.assert_close(full["id"], losses["id"])


def test_parts_by_name_are_the_representation():
    model, images = build(), torch.randn(2, 3, *SIZE)
    with evaluating(model):
        parts = model.part_features(images)
        feature = model.encode(images)["feature"]
        logits = model.part_logits(images)
        pooled = model.pooled(images)
    assert list(parts) == model.part_names == list(logits) == list(pooled)
    assert model.part_names[:4] == ["p1", "p2", "p2.s1", "p2.s2"]
    assert torch.equal(torch.cat(list(parts.values()), 1), feature)
    assert {x.shape for x in logits.values()} == {(2, 4)}
    assert torch.equal(torch.cat([pooled["p2.c1"], pooled["p2.c2"]], 1), pooled["p2"])


def test_a_spatial_part_sees_its_rows_and_a_group_its_channels():
    model, images = build(), torch.randn(2, 3, *SIZE)
    with evaluating(model):
        before = model.part_features(images)
        hook = model.branch("p3").register_forward_hook(lambda _, __, x: _shifted(x, rows=(2, 4)))
        moved = _changed(before, model.part_features(images))
        hook.remove()
        hook = model.branch("p3").register_forward_hook(
            lambda _, __, x: _shifted(x, channels=(0, 342))  # 1,024 / 3: 342, 341, 341
        )
        groups = _changed(before, model.part_features(images))
        hook.remove()
    assert moved == {"p3", "p3.s2", "p3.c1", "p3.c2", "p3.c3"}
    assert groups == {"p3", "p3.s1", "p3.s2", "p3.s3", "p3.c1"}


def _shifted(x, rows=(0, None), channels=(0, None)):
    x = x.clone()
    x[:, slice(*channels), slice(*rows)] += 5
    return x


def _changed(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("attention", ["none", "se", "residual"])
@pytest.mark.parametrize("branches", ["p1+p2(s2c2)+p3(s3c3)", "p2(c2)"])
def test_gradients_reach_every_parameter(attention, branches, batch):
    model = build(attention=attention, branches=branches).train()
    model.loss(batch)["loss"].backward()
    assert {n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()} == set()


def test_an_unknown_part_or_branch():
    with pytest.raises(ReidError, match=r'no part "p2\.s3": there are p1, p2, p2\.s1'):
        build().branch("p2.s3")
    with pytest.raises(ReidError, match="is not a branch"):
        build(branches="p2(x2)")


def test_squeeze_and_excitation_in_every_block_of_a_resnet50():
    with torch.device("meta"):
        plain = build_backbone("resnet50")
        net = build_backbone("resnet50")
        insert_attention(net, "se")
    assert sum(isinstance(m, SqueezeExcitation) for m in net.modules()) == 16
    widths = {256: 3, 512: 4, 1024: 6, 2048: 3}
    expected = sum(n * (2 * c * c // 16 + c // 16 + c) for c, n in widths.items())
    assert count_parameters(net) - count_parameters(plain) == expected  # 2.53 M
    x = torch.randn(2, 32, 3, 2)
    squeeze = SqueezeExcitation(32)
    factor = (squeeze(x) / x).detach()
    torch.testing.assert_close(factor, factor[:, :, :1, :1].expand_as(factor))
    assert ((factor > 0) & (factor < 1)).all()


def test_residual_attention_is_a_factor_from_1_to_2():
    module = ResidualAttention(nn.Sequential(nn.Conv2d(8, 8, 1)), 8, 3).eval()
    x = torch.randn(2, 8, 11, 5)
    factor = module(x) / module.trunk(x)
    assert ((factor > 1) & (factor < 2)).all()
    torch.testing.assert_close(factor, 1 + module.mask(x))
    assert factor.flatten(2).std(2).min() > 0, "for each place"


@pytest.mark.parametrize("backbone", ["tiny", "resnet18", "mobilenet_v2"])
def test_attention_fits_any_backbone_and_leaves_its_weights(backbone):
    for kind, cls in (("se", SqueezeExcitation), ("residual", ResidualAttention)):
        torch.manual_seed(0)
        net = build_backbone(backbone).eval()
        before = {p.data_ptr(): p.detach().clone() for p in net.parameters()}
        shape = net(torch.zeros(1, 3, 64, 32)).shape
        insert_attention(net, kind)
        net.eval()
        assert net(torch.zeros(1, 3, 64, 32)).shape == shape
        found = [m for m in net.modules() if isinstance(m, cls)]
        assert len(found) >= 3
        after = {p.data_ptr(): p for p in net.parameters()}
        assert all(torch.equal(after[key], value) for key, value in before.items())


def test_recipe_is_the_papers():
    model = nn.Linear(2, 2)
    optimizer = build_optimizer(scr.RECIPE, model)
    assert optimizer.defaults["amsgrad"]
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (2e-4, 5e-4)
    assert not build_optimizer(scr.RECIPE.but(optimizer="adam"), model).defaults["amsgrad"]
    every = "p1+p2(s2c2)+p3(s3c3)"
    assert scr.rows()[every] == scr.RECIPE.but(branches=every)


def test_classifiers_may_start_as_in_the_authors_code():
    for name, deviation in (("small", 0.001), ("fan-out", 0.052)):  # of 751 identities
        torch.manual_seed(0)
        options = {"backbone": "tiny", "size": SIZE, "branches": "p1+p2(s2c2)"}
        model = models.build("scr", 751, classifiers=name, **options)
        for head in classifiers(model):
            assert float(head.classifier.detach().std()) == pytest.approx(deviation, rel=0.02)


def test_an_epoch_shows_each_identity_once():
    paper = scr.RECIPE
    pid = np.repeat(np.arange(751), 17)  # as many identities as Market-1501 has
    sampler = IdentitySampler(pid, paper.ids_per_batch, paper.images_per_id, epoch=paper.epoch_of)
    assert sampler.steps_per_epoch == 93  # of the authors' code


def test_table_3_prints_what_the_networks_are():
    rows = published.those("scr_table3", scr.rows())
    found = scr.sizes(rows, published.table("scr_table3", "market1501"))
    assert len(found) == 5
    assert (found["branches"] == found["branches, printed"]).all()
    assert (found["representation"] == found["representation, printed"]).all()
    assert found["dimension"].iloc[-1] == 3328
    assert found["parameters (M)"].iloc[-1] == pytest.approx(69.86, abs=0.005)
