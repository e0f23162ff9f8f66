"""PPCL's constraints: the cycle of a perfect locator, the hinge, both rules on negatives."""

import pytest
import torch

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


def test_the_triplet_is_a_hinge_over_pairs_with_a_legal_negative():
    near, far = torch.tensor([0.5, 0.2, 0.9]), torch.tensor([0.6, 1.0, 0.1])
    every = torch.tensor([True, True, True])
    assert part_triplet(near, far, every, 0.3).item() == pytest.approx((0.2 + 0 + 1.1) / 3)
    first = torch.tensor([True, True, False])
    assert part_triplet(near, far, first, 0.3).item() == pytest.approx((0.2 + 0) / 2)
    assert part_triplet(near, far, ~every) == 0
    near.requires_grad_()
    part_triplet(near, far, every).backward()
    assert near.grad.tolist() == pytest.approx([1 / 3, 0, 1 / 3]), "a negative opens the hinge"


@pytest.mark.parametrize("low", [0.1, 0.7])
def test_both_rules_hold_for_negatives(low):
    positive = boxes(300, low, 0.85)
    negative, legal = negative_regions(positive)
    assert legal.float().mean() > 0.9
    positive, negative = positive[legal], negative[legal]
    assert geometry.box_iou(positive, negative).max() < 0.5
    common = torch.minimum(positive[:, 2:], negative[:, 2:]) - torch.maximum(
        positive[:, :2], negative[:, :2]
    )
    share = common.clamp(min=0).prod(1) / geometry.box_area(negative)
    assert share.max() < 0.5
    assert negative.abs().max() <= 1 + 1e-6


def test_cuts_of_one_side_have_legal_negatives():
    """Above two thirds kept there is no place for a box of the positive's size."""
    kept = torch.linspace(0.2, 0.8, 100)
    positive = torch.stack([-torch.ones(100), -torch.ones(100), torch.ones(100), 2 * kept - 1], 1)
    negative, legal = negative_regions(positive)
    assert legal.float().mean() > 0.95
    small = kept < 0.4
    same = (negative - positive)[:, 3] - (negative - positive)[:, 1]
    assert same[small].abs().mean() < 0.1, "where there is a place, of about the positive's size"


def test_a_region_that_fills_the_frame_has_no_negative():
    whole = geometry.theta_to_box(geometry.identity(3))
    assert not negative_regions(whole)[1].any()


def test_overlap_sees_a_region_within_another():
    small, large = torch.tensor([-0.2, -0.2, 0.2, 0.2]), torch.tensor([-1.0, -1.0, 1.0, 1.0])
    assert geometry.box_iou(small, large) < 0.05
    assert overlap(small, large).item() == pytest.approx(1)
    assert overlap(large, small).item() == pytest.approx(1)
    assert overlap(small, small + 1) == 0


def test_negatives_follow_the_seed_and_have_no_gradient():
    positive = boxes(4, 0.1, 0.4).requires_grad_()
    torch.manual_seed(1)
    first, _ = negative_regions(positive)
    torch.manual_seed(1)
    assert torch.equal(negative_regions(positive)[0], first)
    assert not torch.equal(negative_regions(positive)[0], first)
    assert not first.requires_grad
