"""The strong baseline: what it minimises, what it encodes, that it learns."""

import pytest
import torch
from torch import nn

from reidlib import models
from reidlib.data.batches import Batch
from reidlib.losses import batch_hard_triplet

SIZE = (64, 32)


def build(num_ids: int = 4, **options) -> models.ReIDModel:
    torch.manual_seed(0)
    return models.build("baseline", num_ids, backbone="tiny", size=SIZE, **options)


@pytest.fixture
def batch() -> Batch:
    """4 identities x 4 images of noise."""
    n = 16
    return Batch(
        images=torch.randn(n, 3, *SIZE),
        label=torch.arange(4).repeat_interleave(4),
    )


def test_encode_and_distance():
    model = build().eval()
    with torch.inference_mode():
        encoding = model.encode(torch.randn(5, 3, *SIZE))
        distance = model.distance(encoding, {"feature": encoding["feature"][:3]})
    assert encoding.keys() == {"feature"}
    assert encoding["feature"].shape == (5, 1024)
    assert distance.shape == (5, 3)
    assert distance.min() > -1e-6
    assert distance.max() < 2 + 1e-6
    assert distance.diag().abs().max() < 1e-6


def test_the_loss_is_its_parts(batch):
    model = build(triplet=0.7, label_smoothing=0.2, margin=0.5).eval()
    parts = model.loss(batch)
    assert parts.keys() == {"loss", "id", "triplet", "accuracy"}
    pooled = model.backbone(batch.images).mean((2, 3))
    logits = model.classifier(model.neck(pooled))
    log_p = logits.log_softmax(1)
    target = torch.full((16, 4), 0.2 / 4)
    target[torch.arange(16), batch.label] += 0.8
    torch.testing.assert_close(parts["id"], -(target * log_p).sum(1).mean())
    torch.testing.assert_close(parts["triplet"], batch_hard_triplet(pooled, batch.label, 0.5))
    torch.testing.assert_close(parts["loss"], parts["id"] + 0.7 * parts["triplet"])
    assert parts["accuracy"] == (logits.argmax(1) == batch.label).float().mean()
    assert all(torch.isfinite(value) for value in parts.values())
    assert not parts["accuracy"].requires_grad


def test_without_triplet_there_is_the_identity_loss_alone(batch):
    parts = build(triplet=0.0).loss(batch)
    assert parts.keys() == {"loss", "id", "accuracy"}
    assert parts["loss"] == parts["id"]


def test_pooling_and_neck(batch):
    images = batch.images
    for pooling, reference in (
        ("avg", lambda x: x.mean((2, 3))),
        ("max", lambda x: x.amax((2, 3))),
    ):
        model = build(pooling=pooling).eval()
        expected = reference(model.backbone(images))
        torch.testing.assert_close(model.pooled(images), expected)
        model.neck.running_mean += 1.0
        shifted = (expected - 1) / (1 + model.neck.eps) ** 0.5
        torch.testing.assert_close(model.encode(images)["feature"], shifted)  # test: after the neck
    model = build(neck=False).eval()
    torch.testing.assert_close(model.encode(images)["feature"], model.pooled(images))


def test_neck_without_shift_and_classifier_without_bias(batch):
    model = build()
    assert model.classifier.bias is None
    model.loss(batch)["loss"].backward()
    assert model.neck.bias.grad is None
    assert not model.neck.bias.any()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)


def test_last_stride_reaches_the_backbone():
    model = build(last_stride=2)
    strides = {m.stride for m in model.backbone.conv5.modules() if isinstance(m, nn.Conv2d)}
    assert (2, 2) in strides


def test_it_learns_a_batch_by_heart(batch):
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    history = []
    for _ in range(20):
        parts = model.loss(batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        history.append({key: value.item() for key, value in parts.items()})
    first, last = history[0], history[-1]
    assert last["loss"] < 0.5 * first["loss"]
    assert last["id"] < first["id"]
    assert last["triplet"] < first["triplet"]
    assert last["accuracy"] == 1.0
