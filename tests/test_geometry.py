"""Affine transforms: against slow per-pixel references, brute force and known pictures."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from reidlib import geometry as g


def random_thetas(n: int, seed: int = 0, rotate: bool = True) -> Tensor:
    """Invertible thetas [n, 2, 3] in double precision."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-0.5, 0.5, n) if rotate else np.zeros(n)
    scale = rng.uniform(0.5, 1.5, (n, 2)) * rng.choice([-1, 1], (n, 2))
    turn = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn.transpose(2, 0, 1) * scale[:, None, :]
    return torch.from_numpy(np.concatenate([matrix, rng.uniform(-0.4, 0.4, (n, 2, 1))], 2))


def smooth(n: int = 2, size: tuple[int, int] = (96, 48)) -> Tensor:
    """Waves that are wide against a pixel, so that reading twice blurs little."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, s) for s in size), indexing="ij")
    waves = [torch.sin(2 * x + i) + torch.cos(1.5 * y - i * x) for i in range(2 * n)]
    return torch.stack(waves).reshape(n, 2, *size)


def slow_sample(image: np.ndarray, theta: np.ndarray, size: tuple[int, int], fill: float):
    """One channel [H, W], pixel by pixel: Jaderberg et al. 2015, Eq. 1 and 5."""
    height, width = image.shape
    out = np.zeros(size)
    for i in range(size[0]):
        for j in range(size[1]):
            point = np.array([(2 * j + 1) / size[1] - 1, (2 * i + 1) / size[0] - 1, 1.0])
            x, y = theta @ point
            column, row = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
            for r in range(math.floor(row), math.floor(row) + 2):
                for c in range(math.floor(column), math.floor(column) + 2):
                    weight = (1 - abs(row - r)) * (1 - abs(column - c))
                    inside = 0 <= r < height and 0 <= c < width
                    out[i, j] += weight * (image[r, c] if inside else fill)
    return out


@pytest.mark.parametrize("fill", [0.0, 3.5])
def test_sample_equals_the_slow_definition(fill):
    images = torch.rand(3, 2, 7, 5, dtype=torch.float64)
    thetas = random_thetas(3)
    out = g.sample(images, thetas, (9, 6), fill=fill)
    assert out.shape == (3, 2, 9, 6)
    for n in range(3):
        for c in range(2):
            slow = slow_sample(images[n, c].numpy(), thetas[n].numpy(), (9, 6), fill)
            np.testing.assert_allclose(out[n, c], slow, atol=1e-10)


def test_identity_changes_nothing():
    images = torch.randn(2, 3, 128, 64)
    torch.testing.assert_close(g.sample(images, g.identity(2)), images, atol=1e-4, rtol=0)
    exact = images.double()
    torch.testing.assert_close(g.sample(exact, g.identity(2)), exact, atol=1e-12, rtol=0)
    assert g.identity(5).shape == (5, 2, 3)


def test_a_mirrored_box_mirrors_the_image():
    images = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    theta = g.box_to_theta(torch.tensor([[1.0, -1.0, -1.0, 1.0]]).expand(2, 4))
    torch.testing.assert_close(g.sample(images, theta), images.flip(-1))


def test_a_box_of_whole_pixels_is_a_crop():
    images = torch.rand(1, 3, 12, 8, dtype=torch.float64)
    box = torch.tensor([[2 * 2 / 8 - 1, 2 * 3 / 12 - 1, 2 * 6 / 8 - 1, 2 * 10 / 12 - 1]]).double()
    crop = g.sample(images, g.box_to_theta(box), (7, 4))
    torch.testing.assert_close(crop, images[:, :, 3:10, 2:6])


def test_beyond_the_image_there_is_fill():
    theta = g.box_to_theta(torch.tensor([[1.5, -1.0, 3.5, 1.0]]))  # right of the image
    assert torch.equal(
        g.sample(torch.rand(1, 1, 4, 4), theta, fill=-2.0), -2 * torch.ones(1, 1, 4, 4)
    )
    half = g.box_to_theta(torch.tensor([[-1.0, 0.0, 1.0, 2.0]]))  # lower half and below it
    out = g.sample(torch.ones(1, 1, 8, 8), half, fill=5.0)
    assert torch.allclose(out[0, 0, :4], torch.ones(4, 8), atol=1e-5)
    assert torch.allclose(out[0, 0, 4:], 5 * torch.ones(4, 8), atol=1e-5)


def test_sample_has_a_gradient_for_image_and_theta():
    images = torch.rand(1, 1, 5, 4, dtype=torch.float64, requires_grad=True)
    theta = random_thetas(1, seed=3).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda i, t: g.sample(i, t, (3, 3), 0.5), (images, theta))


def test_box_and_theta_go_there_and_back():
    corner = torch.rand(50, 2, dtype=torch.float64) * 3 - 2
    box = torch.cat([corner, corner + torch.rand(50, 2) + 0.01], 1)
    theta = g.box_to_theta(box)
    torch.testing.assert_close(g.theta_to_box(theta), box)
    corners = g.transform_points(theta, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]).double())
    torch.testing.assert_close(corners.flatten(1), box)


def test_theta_to_box_bounds_a_rotated_region():
    thetas = random_thetas(20)
    square = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).double()
    corners = square @ thetas[:, :, :2].mT + thetas[:, :, 2].unsqueeze(1)
    bounds = torch.cat([corners.amin(1), corners.amax(1)], 1)
    torch.testing.assert_close(g.theta_to_box(thetas), bounds)


def test_compose_shows_what_sampling_twice_shows():
    images = smooth()
    zoom = g.box_to_theta(torch.tensor([[-0.6, -0.5, 0.4, 0.7], [-0.9, -0.2, 0.3, 0.8]]))
    turn = random_thetas(2, seed=1).float() * 0.4  # stays inside of the image
    twice = g.sample(g.sample(images, zoom), turn)
    once = g.sample(images, g.compose(zoom, turn))
    other = g.sample(images, g.compose(turn, zoom))
    inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))
    assert (once - twice)[inner].abs().max() < 0.01
    assert (other - twice)[inner].abs().max() > 0.3  # the order matters


def test_compose_of_many_takes_points_through_the_last_first():
    a, b, c = random_thetas(4, 1), random_thetas(4, 2), random_thetas(4, 3)
    points = torch.rand(4, 6, 2).double()
    through = g.transform_points(a, g.transform_points(b, g.transform_points(c, points)))
    torch.testing.assert_close(g.transform_points(g.compose(a, b, c), points), through)
    torch.testing.assert_close(g.compose(a), a)


def test_invert_undoes():
    theta = random_thetas(10)
    eye = g.identity(10).double()
    torch.testing.assert_close(g.compose(theta, g.invert(theta)), eye)
    torch.testing.assert_close(g.compose(g.invert(theta), theta), eye)
    assert not g.collapsed(theta).any()
    with pytest.raises(RuntimeError):
        g.invert(torch.zeros(1, 2, 3))
    assert g.collapsed(torch.zeros(1, 2, 3)).all()


def test_transform_box_says_where_a_box_lies_in_the_output():
    image = torch.zeros(1, 1, 64, 64)
    image[:, :, 16:32, 24:40] = 1  # the box (-0.25, -0.5, 0.25, 0)
    theta = g.box_to_theta(torch.tensor([[-0.5, -0.75, 0.75, 0.5]]))
    seen = g.sample(image, theta)[0, 0] > 0.5
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    x0, y0 = (2 * float(v[0]) / 64 - 1 for v in (columns, rows))
    x1, y1 = (2 * (float(v[-1]) + 1) / 64 - 1 for v in (columns, rows))
    found = g.transform_box(theta, torch.tensor([[-0.25, -0.5, 0.25, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[x0, y0, x1, y1]]), atol=1.5 / 64, rtol=0)
    # the region that is read fills the output
    whole = g.transform_box(theta, g.theta_to_box(theta))
    torch.testing.assert_close(whole, torch.tensor([[-1.0, -1.0, 1.0, 1.0]]))


def test_box_iou_equals_counting_cells():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 15, (200, 2, 2))
    high = low + rng.integers(0, 12, (200, 2, 2))  # some are empty
    cells = np.zeros((2, 200, 30, 30), bool)
    for which in range(2):
        for n in range(200):
            (x0, y0), (x1, y1) = low[n, which], high[n, which]
            cells[which, n, y0:y1, x0:x1] = True
    common, union = (cells[0] & cells[1]).sum((1, 2)), (cells[0] | cells[1]).sum((1, 2))
    expected = np.divide(common, union, out=np.zeros(200), where=union > 0)
    boxes = torch.from_numpy(np.concatenate([low, high], 2)) / 15 - 1
    found = g.box_iou(boxes[:, 0], boxes[:, 1])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (expected > 0).sum() > 30
    assert (expected == 0).sum() > 30
    areas = cells.sum((2, 3)).T * (2 / 30) ** 2
    np.testing.assert_allclose(g.box_area(boxes), areas, atol=1e-5)


def test_box_iou_knows_the_limits_and_broadcasts():
    whole = torch.tensor([-1.0, -1.0, 1.0, 1.0])
    boxes = torch.tensor([[-1.0, -1.0, 1.0, 1.0], [-1.0, -1.0, 0.0, 1.0], [2.0, 2.0, 3.0, 3.0]])
    assert g.box_area(whole) == 4
    assert g.box_iou(whole, boxes).tolist() == [1.0, 0.5, 0.0]
    inside_out = torch.tensor([0.5, 0.5, -0.5, -0.5])
    assert g.box_iou(inside_out, inside_out) == 0
    box = torch.tensor([-0.5, -0.5, 0.6, 0.5], requires_grad=True)
    g.box_iou(box, whole).backward()
    assert box.grad.tolist() == pytest.approx([-0.25, -0.275, 0.25, 0.275])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_places_are_exact_under_autocast(dtype):
    box = torch.tensor([[-0.9, -0.37, 0.83, 0.41]])
    theta, image = g.box_to_theta(box), torch.rand(1, 3, 256, 128).to(dtype)
    points = torch.rand(1, 7, 2)
    plain = [
        g.sample(image.float(), theta),
        g.compose(theta, theta),
        g.transform_points(theta, points),
    ]
    with torch.autocast("cpu", torch.bfloat16):
        found = [
            g.sample(image, theta),
            g.compose(theta, theta),
            g.transform_points(theta, points),
        ]
    for a, b in zip(found, plain, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b)


def test_placement_undoes_the_cut():
    box = torch.tensor([[-1.0, -1.0, 1.0, 0.2], [-0.5, -1.0, 1.0, 1.0], [-1.0, -0.25, 0.5, 0.75]])
    theta = g.placement(box)
    torch.testing.assert_close(theta, g.invert(g.box_to_theta(box)))
    torch.testing.assert_close(g.placed_box(theta), box)


def test_what_is_shown_mirrored_or_upside_down_does_not_overlap():
    box = torch.tensor([-0.5, -1.0, 0.5, 0.2])
    theta = g.box_to_theta(box[None])
    assert g.theta_iou(theta, box).item() == pytest.approx(1)
    flips = {"mirrored": (-1, 1), "upside down": (1, -1), "turned by 180 degrees": (-1, -1)}
    for x, y in flips.values():
        turned = theta * torch.tensor([[x, 1, 1], [1, y, 1]])
        assert torch.equal(g.theta_to_box(turned), g.theta_to_box(theta))
        assert g.theta_iou(turned, box).item() == 0
