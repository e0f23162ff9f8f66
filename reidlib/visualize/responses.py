"""Where the last maps of RMGL's paths respond (RMGL Fig. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch.nn.functional as F
from matplotlib.figure import Figure
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.encode import evaluating
from reidlib.models.rmgl import RMGL
from reidlib.visualize.style import show

SHORT = {"original": "O", "receptive": "RP"}  # the paper's names of the paths


def responses(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean over the channels of maps [N, C, h, w], from 0 to 1 in each image: [N, H, W]."""
    mean = maps.float().mean(1, keepdim=True)
    low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
    scaled = (mean - low) / (high - low).clamp(min=1e-12)
    return F.interpolate(scaled, size, mode="bilinear", align_corners=False).squeeze(1)


def stripe_responses(model: RMGL, images: Tensor, captions: Sequence[str] | None = None) -> Figure:
    """One row an image: the image, then the response of each branch and path, with its stripes.

    images: [N, 3, H, W] normalised, on the model's device. O-2 is the original path of the branch
    with 2 stripes, RP-2 the receptive one.
    """
    size = (images.shape[2], images.shape[3])
    with evaluating(model):
        maps = {
            (f"{SHORT[path]}-{model.stripes[branch]}", model.stripes[branch]): responses(last, size)
            for (branch, path), last in model.maps(images).items()
        }
    n, wide = len(images), 2.5 * size[1] / size[0] + 0.1
    shape = ((1 + len(maps)) * wide + 0.4, n * 2.5 + 0.5)
    figure, axes = plt.subplots(
        n, 1 + len(maps), figsize=shape, layout="constrained", squeeze=False
    )
    shown = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    for row in range(n):
        show(axes[row, 0], shown[row])
        for axis, ((name, stripes), heat) in zip(axes[row, 1:], maps.items(), strict=True):
            show(axis, show_cam_on_image(shown[row], heat[row].cpu().numpy(), use_rgb=True))
            for k in range(1, stripes):
                axis.axhline(k * size[0] / stripes - 0.5, color="white", lw=1.5)
            if row == 0:
                axis.set_title(name, loc="center")
        if captions:
            axes[row, 0].text(-0.08, 0.5, captions[row], rotation=90, ha="right", va="center",
                              fontsize="small", transform=axes[row, 0].transAxes)  # fmt: skip
    axes[0, 0].set_title("image", loc="center")
    figure.supxlabel("mean over channels, blue lowest to red highest in each map", fontsize="small")
    return figure
