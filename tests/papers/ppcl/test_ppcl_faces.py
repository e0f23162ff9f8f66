"""PPCL with a global depthwise convolution: pairs in blocks equal to pairs one by one."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from reidlib import geometry, models
from reidlib.data.batches import Batch
from reidlib.errors import ReidError
from reidlib.models.base import evaluating
from reidlib.papers.ppcl import model as ppcl
from reidlib.papers.ppcl import pooling
from reidlib.papers.ppcl.model import PPCL

SIZE = (64, 64)


def build(**options) -> PPCL:
    torch.manual_seed(0)
    options = {"pool": "depthwise", "width": 24, "metric": "euclidean", **options}
    model = models.build("ppcl", 3, backbone="vgg_tiny", size=SIZE, **options)
    assert isinstance(model, PPCL)
    if model.rectifier is not None:  # both have left their start
        nn.init.normal_(model.rectifier.fc.weight, std=0.03)
        model.rectifier.fc.bias.data.copy_(torch.tensor([0.7, 0.6, 0.1, -0.2, 0.2]))
    if model.locator is not None:
        nn.init.normal_(model.locator.fc.weight, std=0.1)
        nn.init.normal_(model.locator.fc.bias, std=0.2)
    if options["pool"] == "depthwise":
        nn.init.normal_(model.reid.pool.depthwise.weight)
        model.reid.pool.last.running_mean.normal_()
    return model


def naive(model: PPCL, query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
    rows = []
    for q in query.split(1):
        for g in gallery.split(1):
            (x, region), (y, _) = model.rectify(q), model.rectify(g)
            h_x, h_y = model.reid.backbone(x), model.reid.backbone(y)
            boxes = region, model.locator(h_x, region, h_y)
            a, b = (
                model.reid.pool(geometry.sample(h, geometry.box_to_theta(box)))
                for h, box in zip((h_x, h_y), boxes, strict=True)
            )
            cosine = model.metric == "cosine"
            rows.append(1 - F.cosine_similarity(a, b) if cosine else (a - b).norm(dim=1))
    return torch.cat(rows).view(len(query), len(gallery))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [2, 64])
def test_distances_in_blocks_equal_those_of_single_pairs(metric, block, monkeypatch):
    monkeypatch.setattr(ppcl, "GALLERY", block)
    monkeypatch.setattr(pooling, "PAIRS", 2 * block)
    model, images = build(metric=metric), torch.randn(7, 3, *SIZE)
    with evaluating(model):
        query, gallery = model.encode(images[:3]), model.encode(images[3:])
        found = model.distance(query, gallery)
        torch.testing.assert_close(
            found, naive(model, images[:3], images[3:]), rtol=1e-3, atol=1e-4
        )
    assert query["region"].shape == (3, 24)
    assert found.std() > 1e-4


def test_without_a_locator_whole_descriptors_are_compared():
    model = build(locate=False)
    with evaluating(model):
        encoding = model.encode(torch.randn(4, 3, *SIZE))
        found = model.distance(encoding, encoding)
    feature = encoding["feature"]
    assert feature.shape == (4, 24)
    expected = torch.stack([(feature - one).norm(dim=1) for one in feature])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)


def test_everything_but_the_rectifier_is_trained():
    model, n = build().train(), 6
    batch = Batch(
        images=torch.randn(n, 3, *SIZE),
        label=torch.arange(3).repeat_interleave(2),
    )
    model.loss(batch)["loss"].backward()
    trained = [(k, p) for k, p in model.named_parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for _, p in trained)
    assert {k.split(".")[0] for k, _ in trained} == {"reid", "locator"}


def test_its_weights_are_stored_once(tmp_path):
    model = build()
    assert not [key for key in model.state_dict() if key.startswith("region.")]
    save_file(model.state_dict(), tmp_path / "model.safetensors")  # refuses shared tensors
    build().load_state_dict(load_file(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"pool": "mean"}, 'metric is "euclidean"'), ({"neck": True}, "set neck to false")],
)
def test_what_does_not_go_together(options, message):
    with pytest.raises(ReidError, match=message):
        build(**options)
