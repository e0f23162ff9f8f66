"""The one affine vocabulary: crops, shifts, spatial transformers, rectifiers, detector errors.

Coordinates are normalised: x and y run from -1 to 1 over the image's outer edges (torch's
``align_corners=False``). A ``theta`` [N, 2, 3] takes a point of the *output* to the point of the
*input* it is read from (Jaderberg et al. 2015, Eq. 1). A box is (x0, y0, x1, y1), [N, 4]; it may
reach beyond [-1, 1], where an image has no pixels.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor


def identity(n: int, *, device: torch.device | str | None = None) -> Tensor:
    """``n`` thetas [n, 2, 3] that change nothing."""
    return torch.eye(2, 3, device=device).repeat(n, 1, 1)


def box_to_theta(box: Tensor) -> Tensor:
    """The theta [N, 2, 3] whose output shows the input's ``box`` [N, 4], and only that.

    A box with x0 > x1 mirrors the image.
    """
    x0, y0, x1, y1 = box.unbind(-1)
    zero = torch.zeros_like(x0)
    row_x = torch.stack([(x1 - x0) / 2, zero, (x0 + x1) / 2], -1)
    row_y = torch.stack([zero, (y1 - y0) / 2, (y0 + y1) / 2], -1)
    return torch.stack([row_x, row_y], -2)


def theta_to_box(theta: Tensor) -> Tensor:
    """The smallest upright box [N, 4] that holds what ``theta`` [N, 2, 3] reads from the input.

    Exact for thetas without rotation or shear; the bounding box of the region otherwise.
    """
    reach = theta[..., :2].abs().sum(-1)  # half width and half height
    centre = theta[..., 2]
    return torch.cat([centre - reach, centre + reach], -1)


def placement(box: Tensor) -> Tensor:
    """The theta [N, 2, 3] that shows an image inside ``box`` [N, 4] of an otherwise empty frame:
    the inverse of ``box_to_theta``, in closed form."""
    x0, y0, x1, y1 = box.unbind(-1)
    zero = torch.zeros_like(x0)
    row_x = torch.stack([2 / (x1 - x0), zero, -(x0 + x1) / (x1 - x0)], -1)
    row_y = torch.stack([zero, 2 / (y1 - y0), -(y0 + y1) / (y1 - y0)], -1)
    return torch.stack([row_x, row_y], -2)


def placed_box(theta: Tensor) -> Tensor:
    """The box [N, 4] of the frame in which ``placement`` theta [N, 2, 3] shows the image."""
    scale = torch.stack([theta[:, 0, 0], theta[:, 1, 1]], 1)
    return torch.cat([(-1 - theta[..., 2]) / scale, (1 - theta[..., 2]) / scale], 1)


def exact(x: Tensor) -> AbstractContextManager[object]:
    """No autocast where ``x`` is: in half precision a place is up to half a pixel off."""
    kind = x.device.type
    known = torch.amp.is_autocast_available(kind)  # not on the device "meta"
    return torch.autocast(kind, enabled=False) if known else nullcontext()


def _square(theta: Tensor) -> Tensor:
    last = theta.new_tensor([0.0, 0.0, 1.0]).expand(*theta.shape[:-2], 1, 3)
    return torch.cat([theta, last], -2)


def compose(*thetas: Tensor) -> Tensor:
    """One theta [N, 2, 3] for several samplings in the order given.

    ``sample(x, compose(a, b))`` shows what ``sample(sample(x, a), b)`` shows, but reads each pixel
    once. The output point goes through the *last* theta first, so the matrices multiply left to
    right.
    """
    result = thetas[0]
    with exact(result):
        for theta in thetas[1:]:
            result = result @ _square(theta)
    return result


def invert(theta: Tensor) -> Tensor:
    """The theta [N, 2, 3] that undoes ``theta``. Raises if a matrix has no inverse."""
    return torch.linalg.inv(_square(theta))[..., :2, :]


def collapsed(theta: Tensor) -> Tensor:
    """Which of theta [N, 2, 3] have no inverse (bool [N]): they read a line or a point."""
    return torch.linalg.det(theta[..., :2]).abs() < 1e-6


def transform_points(theta: Tensor, points: Tensor) -> Tensor:
    """Takes output points [N, P, 2] (x, y) to input points [N, P, 2]."""
    with exact(points):
        return points @ theta[..., :2].transpose(-1, -2) + theta[..., 2].unsqueeze(-2)


def transform_box(theta: Tensor, box: Tensor) -> Tensor:
    """Where the input's ``box`` [N, 4] lies in the output of ``sample(x, theta)``, [N, 4]."""
    return theta_to_box(compose(invert(theta), box_to_theta(box)))


def sample(
    images: Tensor, theta: Tensor, size: tuple[int, int] | None = None, fill: float = 0.0
) -> Tensor:
    """Reads ``images`` [N, C, H, W] through ``theta`` [N, 2, 3], bilinearly.

    size: (H, W) of the output, default that of the input. Beyond the image there is ``fill``.
    Differentiable in both arguments. Half precision becomes float32.
    """
    height, width = size or (images.shape[-2], images.shape[-1])
    shape = [images.shape[0], images.shape[1], height, width]
    if images.dtype in (torch.float16, torch.bfloat16):
        images = images.float()
    if fill:
        images = images - fill
    with exact(images):
        grid = F.affine_grid(theta.to(images.dtype), shape, align_corners=False)
        out = F.grid_sample(
            images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    return out + fill if fill else out


def box_area(box: Tensor) -> Tensor:
    """Areas [...] of boxes [..., 4]; the whole image has 4. Empty boxes have 0."""
    return (box[..., 2] - box[..., 0]).clamp(min=0) * (box[..., 3] - box[..., 1]).clamp(min=0)


def upright(theta: Tensor) -> Tensor:
    """Whether ``theta`` [..., 2, 3] shows its region neither mirrored nor upside down [...]."""
    return (theta[..., 0, 0] > 0) & (theta[..., 1, 1] > 0)


def theta_iou(theta: Tensor, true: Tensor) -> Tensor:
    """Intersection over union [...] of the box around what ``theta`` [..., 2, 3] reads and the box
    ``true`` [..., 4]; 0 where the region is shown mirrored or upside down."""
    found = box_iou(theta_to_box(theta), true)
    return torch.where(upright(theta), found, torch.zeros_like(found))


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union [...] of boxes [..., 4], pair by pair (the shapes broadcast).

    Two empty boxes have an overlap of 0.
    """
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    union = box_area(a) + box_area(b) - common
    return torch.where(union > 0, common / union.clamp(min=1e-12), torch.zeros_like(union))
