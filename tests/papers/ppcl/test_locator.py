"""CRLoc: Eq. 8, its start, what it can see, many pairs at once; regions read from maps."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidlib import geometry
from reidlib.errors import ReidError
from reidlib.models.base import evaluating
from reidlib.papers.ppcl import locator as module
from reidlib.papers.ppcl.constraints import cycle_error, negative_regions
from reidlib.papers.ppcl.locator import INSIDE, CRLoc, coverage
from reidlib.papers.ppcl.pooling import (
    Products,
    RegionMean,
    cell_weights,
    frame,
    region_distance,
    resampling,
)

CELLS = (4, 2)
REGION = torch.tensor([[-1.0, -1.0, 1.0, 0.0], [-0.3, -0.9, 1.1, 0.6], [-1.0, -1.0, 1.0, 1.0]])


def maps(n: int, channels: int = 12) -> torch.Tensor:
    return torch.rand(n, channels, *CELLS, generator=torch.Generator().manual_seed(n))


def moved(locator: CRLoc) -> CRLoc:
    """A locator that has left its start, with a batch norm that does something."""
    nn.init.normal_(locator.fc.weight, std=0.2)
    for norm in locator.norms:
        norm.running_mean.normal_(std=0.1)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias, std=0.3)
    return locator


@pytest.mark.parametrize("coordinates", ["relative", "absolute", "cropped"])
def test_it_starts_at_the_probes_region_or_inside_the_frame(coordinates):
    locator = CRLoc(CELLS, coordinates=coordinates)
    found = locator(maps(3), REGION, maps(3).flip(0))
    expected = REGION if coordinates == "relative" else INSIDE * frame(3, REGION.device)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("correlation", ["cosine", "printed"])
def test_equation_8(correlation):
    locator = CRLoc(CELLS, correlation=correlation, temperature=0.1)
    x, y = maps(3), maps(3).flip(0)
    found = locator.correlate(x, REGION, y)
    assert found.shape == (3, 8, *CELLS)
    inside = coverage(REGION, *CELLS)
    for u in range(8):
        for i in range(3):
            a, b = x[i].flatten(1)[:, u], y[i].flatten(1)
            scores = (b * a[:, None]).sum(0)
            if correlation == "cosine":
                scores = F.cosine_similarity(b, a[:, None], dim=0) / 0.1
            expected = scores.exp() / scores.exp().sum() * inside[i, u] * 8
            torch.testing.assert_close(found[i, u].flatten(), expected)


@pytest.mark.parametrize("correlation", ["cosine", "printed"])
def test_a_cropped_map_is_read_at_its_region(correlation):
    """As if what is cut out of the map were a map by itself."""
    options = {"coordinates": "cropped", "correlation": correlation}
    locator, x, y = moved(CRLoc(CELLS, **options)).eval(), maps(3), maps(3).flip(0)
    cut, whole = geometry.sample(x, geometry.box_to_theta(REGION)), frame(3, x.device)
    with evaluating(locator):
        torch.testing.assert_close(locator(x, REGION, y), locator(cut, whole, y))
        assert not torch.allclose(locator(x, REGION, y), locator(x, whole, y), atol=1e-3)


def test_only_relative_coordinates_start_without_a_cycle():
    """At the start PP-Cycle is exactly 0 there, and so is its gradient."""
    for coordinates in ("relative", "absolute", "cropped"):
        locator, x, y = CRLoc(CELLS, coordinates=coordinates), maps(3), maps(3).flip(0)
        error = cycle_error(locator(y, locator(x, REGION, y), x), REGION).mean()
        error.backward()
        still = coordinates == "relative"
        assert (error < 1e-12) == still
        assert (locator.fc.bias.grad.abs().max() < 1e-6) == still


@pytest.mark.parametrize("coordinates", ["absolute", "cropped"])
def test_an_absolute_locator_begins_where_maps_can_teach_it(coordinates):
    """Not at the whole frame, where samples lie on cells and no negative is legal."""
    locator, x, y = CRLoc(CELLS, coordinates=coordinates), maps(3), maps(3).flip(0)
    there = locator(x, REGION, y)
    torch.testing.assert_close(there, INSIDE * frame(3, x.device))
    assert negative_regions(there)[1].any()
    assert not negative_regions(frame(3, x.device))[1].any()

    def pull(box):
        return region_distance(Products.of(x, y), CELLS, REGION, box).sum()

    pull(there).backward()
    assert locator.fc.bias.grad.abs().min() > 1e-5
    stuck = frame(3, x.device).clone().requires_grad_()
    pull(stuck).backward()
    assert not stuck.grad.any()


def test_a_coarser_partial_map_has_fewer_channels():
    locator = CRLoc(CELLS, coarse=2)
    found = locator.correlate(maps(3), REGION, maps(3))
    assert found.shape == (3, 2, *CELLS)
    assert locator.convs[0].in_channels == 2
    with pytest.raises(ReidError, match="a map of 4x3 has no squares of 2 cells"):
        CRLoc((4, 3), coarse=2)
    with pytest.raises(ReidError, match="temperature is 0"):
        CRLoc(CELLS, temperature=0)


def test_coverage_is_the_share_of_a_cell():
    found = coverage(torch.tensor([[-1.0, -1.0, 0.5, 0.25], [-2.0, -2.0, 2.0, 2.0]]), 4, 2)
    expected = torch.tensor([[1, 0.5], [1, 0.5], [0.5, 0.25], [0, 0]])
    torch.testing.assert_close(found[0].view(4, 2), expected)
    assert (found[1] == 1).all()


def test_what_lies_outside_of_the_region_is_not_seen():
    locator = moved(CRLoc(CELLS)).eval()
    x, y = maps(3), maps(3).flip(0)
    changed = x.clone()
    changed[0, :, 2:] = 5.0 * torch.rand(12, 2, 2)
    with evaluating(locator):
        before, after = locator(x, REGION, y), locator(changed, REGION, y)
    torch.testing.assert_close(before, after)
    changed[0, :, 0] = 5.0 * torch.rand(12, 2)
    with evaluating(locator):
        assert not torch.allclose(before[0], locator(changed, REGION, y)[0], atol=1e-4)


def test_it_can_tell_where_a_response_lies():
    """A mean alone would be the same for a response at the top and at the bottom."""
    locator = CRLoc((8, 4))
    x = torch.zeros(2, module.WIDTH, 8, 4)
    x[0, 0, 2, 1] = x[1, 0, 5, 1] = 1
    pooled = (x.flatten(2) @ locator.moments).flatten(1)
    assert pooled[0, 0] == pooled[1, 0] == 1 / 32, "the mean"
    assert pooled[0, 2].item() == pytest.approx(-0.375 / 32), "the mean of it times y"
    assert pooled[1, 2].item() == pytest.approx(0.375 / 32)


@pytest.mark.parametrize(
    "options",
    [{}, {"coarse": 2}, {"coordinates": "absolute"}, {"coordinates": "cropped"},
     {"coordinates": "cropped", "coarse": 2}, {"correlation": "printed"}],
    ids=lambda o: "-".join(map(str, o.values())) or "default",
)  # fmt: skip
@pytest.mark.parametrize("together", [1, 2, 8])
def test_many_pairs_equal_single_ones(options, together, monkeypatch):
    monkeypatch.setattr(module, "TOGETHER", together)
    locator = moved(CRLoc(CELLS, **options)).eval()
    query, gallery = maps(4), maps(5)
    beyond = torch.tensor([[1.0, -1.0, 2.0, 1.0]])  # a rectifier may put an image out of the frame
    regions = torch.cat([REGION, beyond])
    with evaluating(locator):
        found = locator.pairs(locator.asked(query, regions), locator.columns(gallery))
        for q in range(4):
            alone = [a[q : q + 1].expand(5, *a.shape[1:]) for a in (query, regions)]
            torch.testing.assert_close(found[q], locator(*alone, gallery), rtol=0, atol=1e-5)
    assert found.std(0).mean() > 1e-3, "the boxes differ"


def test_gradients_reach_everything():
    locator = moved(CRLoc(CELLS)).train()
    x, y, region = maps(3).requires_grad_(), maps(3).flip(0).requires_grad_(), REGION.clone()
    region.requires_grad_()
    locator(x, region, y).square().sum().backward()
    tensors = [x, y, region, *locator.parameters()]
    assert all(t.grad is not None and t.grad.any() for t in tensors)


# --- regions


def test_a_region_is_the_mean_of_what_is_sampled():
    x = maps(3).double().requires_grad_()
    box = (REGION + 0.013).double().requires_grad_()  # at a cell's centre there is no one slope
    found = RegionMean()(x, box)
    sampled = geometry.sample(x, geometry.box_to_theta(box)).mean((2, 3))
    torch.testing.assert_close(found, sampled)
    weight = torch.randn(3, 12).double()
    ours = torch.autograd.grad((found * weight).sum(), (x, box))
    theirs = torch.autograd.grad((sampled * weight).sum(), (x, box))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_resampling_is_a_matrix():
    box = REGION + 0.013
    found = resampling(box, CELLS, (3, 5)) @ maps(3).flatten(2).mT
    sampled = geometry.sample(maps(3), geometry.box_to_theta(box), (3, 5))
    torch.testing.assert_close(found.mT.unflatten(2, (3, 5)), sampled)


@pytest.mark.parametrize("pooled", [False, True])
def test_the_distance_of_two_regions(pooled):
    a, b, box = maps(3), maps(3).flip(0), REGION.flip(0) + 0.013
    read = [geometry.sample(x, geometry.box_to_theta(r)) for x, r in ((a, REGION), (b, box))]
    one, two = (F.normalize((x.mean((2, 3)) if pooled else x).flatten(1)) for x in read)
    found = region_distance(Products.of(a, b), CELLS, REGION, box, pooled)
    torch.testing.assert_close(found, (one - two).square().sum(1), rtol=0, atol=1e-5)
    alike = region_distance(Products.of(a, a), CELLS, box, box, pooled)
    torch.testing.assert_close(alike, torch.zeros(3), rtol=0, atol=1e-5)


def test_the_whole_frame_is_the_plain_mean():
    torch.testing.assert_close(
        cell_weights(frame(1, torch.device("cpu")), 6, 3), torch.full((1, 18), 1 / 18)
    )
    x = maps(2)
    torch.testing.assert_close(RegionMean()(x, frame(2, x.device)), x.mean((2, 3)))


@pytest.mark.parametrize("neck", [False, True])
def test_distances_without_a_vector_for_each_pair(neck):
    layer: nn.Module = nn.Identity()
    if neck:
        layer = nn.BatchNorm1d(12).eval()
        nn.init.uniform_(layer.weight, 0.5, 2)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
    region, gallery = RegionMean(), maps(5)
    wanted, box = torch.randn(3, 12), REGION[:, None] + 0.1 * torch.randn(3, 5, 4)
    with torch.no_grad():
        found = region.distance(wanted, region.prepare(gallery, layer), box, CELLS)
        for q in range(3):
            each = 1 - F.cosine_similarity(wanted[q, None], layer(region(gallery, box[q])))
            torch.testing.assert_close(found[q], each, rtol=0, atol=1e-5)
