"""PCB: six stripes, each with its own reduction and classifier."""

import copy

import pytest
import torch
import torch.nn.functional as F

from reidlib import models
from reidlib.errors import ReidError
from reidlib.models.base import count_parameters, evaluating
from reidlib.papers.comparators import pcb

SIZE = (96, 32)


def build(**options):
    torch.manual_seed(0)
    return models.build("pcb", 4, backbone="tiny", size=SIZE, **options)


def test_the_features_of_the_paper():
    with torch.device("meta"):
        model = models.build("pcb", 751, size=(384, 128)).eval()
        images = torch.empty(1, 3, 384, 128)
        assert model.backbone(images).shape == (1, 2048, 24, 8)
        assert model.encode(images)["feature"].shape == (1, 6 * 2048)
        model.match = "h"
        assert model.encode(images)["feature"].shape == (1, 6 * 256)
        heads = count_parameters(model) - count_parameters(model.backbone)
    assert heads == 6 * (2048 * 256 + 2 * 256 + 256 * 751 + 751)


def test_the_loss_is_the_sum_over_stripes(batch):
    model = build().train()
    twin = copy.deepcopy(model)
    losses = twin.loss(batch)
    maps, heads = model.backbone(batch.images), model.heads
    expected = torch.zeros(())
    for k in range(6):
        vector = maps[:, :, k].mean(2)  # six rows
        scale, shift = (p[256 * k : 256 * k + 256] for p in (heads.norm.weight, heads.norm.bias))
        reduced = F.batch_norm(vector @ heads.reduction[k], None, None, scale, shift, training=True)
        logits = reduced.relu() @ heads.classifier[k] + heads.bias[k]
        expected = expected + F.cross_entropy(logits, batch.label)
    torch.testing.assert_close(losses["loss"], expected, rtol=1e-5, atol=1e-5)
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in twin.parameters())


def test_reduced_vectors_are_behind_a_relu(batch):
    model = build(match="h")
    with evaluating(model):
        assert model.encode(batch.images)["feature"].min() == 0


def test_what_is_compared_shares_a_run():
    recipe = pcb.RECIPE.but(dataset="synthetic")
    assert recipe.but(match="h").training() == recipe
    assert pcb.rows()["PCB"] is pcb.RECIPE


def test_more_stripes_than_rows():
    with pytest.raises(ReidError, match="6 rows cannot be cut into 7 stripes"):
        build(stripes=7).encode(torch.zeros(1, 3, *SIZE))
    with pytest.raises(ReidError, match="not at least 1"):
        build(stripes=0)
