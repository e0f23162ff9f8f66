"""The face network: a kernel as large as the map, regions brought to its size, distances."""

import pytest
import torch
from torch import nn

from reidlib import geometry, models
from reidlib.errors import ReidError
from reidlib.papers.ppcl.face import GlobalDepthwise, fitted

SIZE = (64, 64)
BOX = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [-0.5, -1.0, 0.5, 0.2]])


def build(**options) -> models.ReIDModel:
    return models.build("vggface", 4, backbone="vgg_tiny", size=SIZE, width=32, **options)


def random_pool(channels: int = 5, shape: tuple[int, int] = (3, 4), width: int = 6):
    pool = GlobalDepthwise(channels, shape, width)
    nn.init.normal_(pool.depthwise.weight)
    for norm in (pool.norm, pool.last):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return pool.eval()


def test_global_depthwise_is_a_weighted_sum_of_each_channel():
    pool, maps = random_pool(), torch.randn(2, 5, 3, 4)
    sums = torch.zeros(2, 5)
    for n in range(2):
        for c in range(5):
            for i in range(3):
                for j in range(4):
                    sums[n, c] += pool.depthwise.weight[c, 0, i, j] * maps[n, c, i, j]
    norm, last = pool.norm, pool.last
    normed = (sums - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    longer = normed @ pool.longer.weight.T
    expected = (longer - last.running_mean) / (last.running_var + last.eps).sqrt()
    torch.testing.assert_close(pool(maps), expected)


def test_it_starts_as_the_mean():
    pool, maps = GlobalDepthwise(5, (3, 4), 6), torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(pool.depthwise(maps).flatten(1), maps.mean((2, 3)))


def test_a_region_is_resampled_to_the_kernels_size():
    pool, maps = random_pool(), torch.randn(2, 5, 6, 8)
    found = fitted(maps, BOX, (3, 4))
    assert found.shape == (2, 5, 3, 4)
    torch.testing.assert_close(found, geometry.sample(maps, geometry.box_to_theta(BOX), (3, 4)))
    same = torch.randn(2, 5, 3, 4)  # the whole of a map of that size is the map
    torch.testing.assert_close(pool(fitted(same, BOX[:1].expand(2, 4), pool.shape)), pool(same))
    box = BOX.clone().requires_grad_()
    pool(fitted(maps, box, pool.shape)).square().sum().backward()
    assert box.grad is not None
    assert (box.grad[1] != 0).all()


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ReidError, match=r"the map is \(6, 8\), its kernels \(3, 4\)"):
        random_pool()(torch.zeros(1, 5, 6, 8))


@pytest.mark.parametrize(("last_stride", "side"), [(1, 4), (2, 2)])
def test_the_kernels_have_the_maps_size(last_stride, side):
    model = build(last_stride=last_stride)
    assert model.descriptor.depthwise.kernel_size == (side, side)
    assert model.training


def test_distance_is_euclidean_unless_it_is_the_cosine():
    model = build().eval()
    with torch.inference_mode():
        encoding = model.encode(torch.randn(4, 3, *SIZE))
        q, g = encoding["feature"][:3], encoding["feature"][1:]
        found = model.distance({"feature": q}, {"feature": g})
    assert encoding["feature"].shape == (4, 32)
    expected = torch.tensor([[(a - b).norm() for b in g] for a in q])
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-3)
    found = build(metric="cosine").distance({"feature": q}, {"feature": g})
    expected = torch.tensor([[1 - torch.cosine_similarity(a, b, 0) for b in g] for a in q])
    torch.testing.assert_close(found, expected)


def test_the_loss_is_cross_entropy(batch):
    model = build().eval()
    parts = model.loss(batch)
    logits = model.classifier(model.encode(batch.images)["feature"])
    expected = -logits.log_softmax(1)[torch.arange(8), batch.label].mean()
    torch.testing.assert_close(parts["loss"], expected)
    model.train().loss(batch)["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_it_learns_a_batch_by_heart(batch):
    model = build(dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(15):
        parts = model.loss(batch)
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
    assert parts["accuracy"] == 1
    assert parts["loss"] < 0.7  # of log 4


def test_a_run_of_other_people_is_taken_over_but_for_the_classifier():
    other = models.build("vggface", 4, backbone="vgg_tiny", size=SIZE, width=32)
    model = build()
    own = model.classifier.weight.clone()
    model.load_start(other.state_dict(), "vggface", False)
    assert torch.equal(model.descriptor.longer.weight, other.descriptor.longer.weight)
    assert torch.equal(model.classifier.weight, own)
    with pytest.raises(ReidError, match="takes nothing over from a run of vcn"):
        model.load_start({}, "vcn", True)


def test_bad_values():
    with pytest.raises(ReidError, match=r"dropout 1\.0"):
        build(dropout=1.0)
