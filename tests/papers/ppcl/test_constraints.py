"""PPCL's constraints: the cycle of a perfect locator, the hinge, both rules on negatives."""

import pytest
import torch
import torch.nn.functional as F

from reidlib import geometry
from reidlib.papers.ppcl.constraints import (
    cycle_error,
    grid_points,
    negative_regions,
    overlap,
    part_triplet,
)


def boxes(n: int, low: float = 0.2, high: float = 0.9) -> torch.Tensor:
    """Boxes within the frame whose sides are a share in [low, high] of it."""
    size = 2 * (low + (high - low) * torch.rand(n, 2))
    corner = torch.rand(n, 2) * (2 - size) - 1
    return torch.cat([corner, corner + size], 1)


class Perfect:
    """A locator for maps that show the same scene, one of them moved: it knows the move."""

    def __init__(self, shift: torch.Tensor) -> None:
        self.shift = shift.repeat(1, 2)

    def __call__(self, region: torch.Tensor, back: bool = False) -> torch.Tensor:
        return region - self.shift if back else region + self.shift


def test_a_perfect_locator_has_no_cycle_loss():
    region = boxes(20)
    locator = Perfect(0.3 * torch.randn(20, 2))
    there = locator(region)
    torch.testing.assert_close(
        cycle_error(locator(there, back=True), region), torch.zeros(20), rtol=0, atol=1e-10
    )
    assert (cycle_error(there, region) > 1e-6).all(), "one that does not come back has"


def test_the_cycle_error_is_the_mean_squared_distance_of_points():
    a, b = boxes(5), boxes(5)
    expected = (grid_points(a) - grid_points(b)).square().sum(-1).mean(-1)
    torch.testing.assert_close(cycle_error(a, b), expected)
    shifted = a + torch.tensor([0.3, 0.4, 0.3, 0.4])
    torch.testing.assert_close(cycle_error(shifted, a), torch.full((5,), 0.25))
    points = grid_points(a)
    torch.testing.assert_close(points.amin(1), a[:, :2])
    torch.testing.assert_close(points.amax(1), a[:, 2:])


def test_the_triplet_is_a_hinge_on_normalised_regions():
    a, p, n = torch.randn(3, 6, 16).unbind(0)
    unit = [F.normalize(x) for x in (a, p, n)]
    gap = (unit[0] - unit[1]).square().sum(1) - (unit[0] - unit[2]).square().sum(1)
    torch.testing.assert_close(part_triplet(a, p, n, 0.3), (gap + 0.3).clamp(min=0).mean())
    torch.testing.assert_close(part_triplet(3 * a, p, n), part_triplet(a, p, n))
    assert part_triplet(a, a, -a) == 0, "a satisfied triplet costs nothing"
    assert part_triplet(a, p, p).item() == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(5))
def test_both_rules_hold_for_negatives(seed):
    torch.manual_seed(seed)
    positive = boxes(300, 0.1, 0.5)  # so small that a place is always found
    negative = negative_regions(positive)
    assert geometry.box_iou(positive, negative).max() < 0.5
    common = torch.minimum(positive[:, 2:], negative[:, 2:]) - torch.maximum(
        positive[:, :2], negative[:, :2]
    )
    inside = common.clamp(min=0).prod(1) / geometry.box_area(positive)
    assert inside.max() < 0.5
    size = positive[:, 2:] - positive[:, :2]
    torch.testing.assert_close(negative[:, 2:] - negative[:, :2], size)
    assert negative.abs().max() <= 1 + 1e-6


def test_where_no_negative_fits_it_is_the_one_of_least_overlap():
    positive = torch.tensor([[-1.0, -1.0, 1.0, 0.8]]).expand(50, 4)
    torch.manual_seed(3)
    found = negative_regions(positive)
    torch.manual_seed(3)
    top = torch.rand(50, 20, 2)[..., 1] * 0.2 - 1
    torch.testing.assert_close(found[:, 1], top.amax(1), msg="the lowest of 20 tries")
    whole = negative_regions(geometry.theta_to_box(geometry.identity(3)))
    torch.testing.assert_close(whole, torch.tensor([[-1.0, -1.0, 1.0, 1.0]]).expand(3, 4))


def test_the_first_that_fits_is_taken():
    positive = torch.tensor([[-1.0, -1.0, -0.6, -0.6]])
    torch.manual_seed(0)
    found = negative_regions(positive)
    torch.manual_seed(0)
    corner = torch.rand(1, 20, 2)[0] * 1.6 - 1
    fits = [bool(overlap(torch.cat([c, c + 0.4]), positive[0]) < 0.5) for c in corner]
    torch.testing.assert_close(found[0, :2], corner[fits.index(True)])


def test_overlap_sees_a_region_within_another():
    small, large = torch.tensor([-0.2, -0.2, 0.2, 0.2]), torch.tensor([-1.0, -1.0, 1.0, 1.0])
    assert geometry.box_iou(small, large) < 0.05
    assert overlap(small, large).item() == pytest.approx(1)
    assert overlap(large, small).item() == pytest.approx(1)
    assert overlap(small, small + 1) == 0


def test_negatives_follow_the_seed_and_have_no_gradient():
    positive = boxes(4, 0.1, 0.4).requires_grad_()
    torch.manual_seed(1)
    first = negative_regions(positive)
    torch.manual_seed(1)
    assert torch.equal(negative_regions(positive), first)
    assert not torch.equal(negative_regions(positive), first)
    assert not first.requires_grad
