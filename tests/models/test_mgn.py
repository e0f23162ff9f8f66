"""MGN: its branches, its parts, its loss."""

import copy

import pytest
import torch
import torch.nn.functional as F

from reidlib import models
from reidlib.errors import ReidError
from reidlib.losses import batch_hard_triplet
from reidlib.models.base import evaluating

SIZE = (96, 32)


def build(**options):
    torch.manual_seed(0)
    return models.build("mgn", 4, backbone="tiny", size=SIZE, **options)


def test_eight_parts_of_256():
    model = build()
    with evaluating(model):
        assert model.encode(torch.randn(2, 3, *SIZE))["feature"].shape == (2, 8 * 256)


def test_the_global_branch_keeps_the_stride_of_conv5():
    model = build()
    with evaluating(model):
        shared = model.trunk(torch.randn(1, 3, *SIZE))
        heights = [branch(shared).shape[2] for branch in model.branches]
    assert heights == [3, 6, 6]
    first, second = (dict(b[-1].named_parameters()) for b in model.branches[:2])
    assert all(torch.equal(first[k], second[k]) for k in first), "the same initial weights"


def test_the_loss_is_its_parts(batch):
    model = build()
    twin = copy.deepcopy(model)  # batch norm counts what it sees
    losses = twin.loss(batch)
    identity, triplet = [], []
    for feature, head in zip(model.features(batch.images), model.heads, strict=True):
        identity += [F.cross_entropy(x, batch.label) for x in head.logits(feature).unbind(1)]
        triplet.append(batch_hard_triplet(feature[:, 0], batch.label, 1.2))
    torch.testing.assert_close(losses["id"], torch.stack(identity).mean())
    torch.testing.assert_close(losses["triplet"], torch.stack(triplet).mean())
    losses["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in twin.parameters())


def test_a_branch_without_stripes_is_refused():
    with pytest.raises(ReidError, match="not one number from 1 on"):
        build(stripes=(1, 0))
