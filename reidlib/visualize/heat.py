"""Where the last maps of several models respond, side by side (VCN Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.encode import device_of, evaluating
from reidlib.models import ReIDModel
from reidlib.visualize.responses import responses
from reidlib.visualize.style import show


def heat_maps(models: Mapping[str, ReIDModel], images: Tensor) -> Figure:
    """One column an image: the image, then for each model the response of its backbone's last map.

    images: [N, 3, H, W] normalised. The response is the mean over the channels, scaled in each map.
    """
    size = (images.shape[2], images.shape[3])
    shown = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    n, wide = len(images), 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        1 + len(models), n, figsize=(n * wide + 0.6, 2.4 * (1 + len(models)) + 0.3),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for axis, picture in zip(axes[0], shown, strict=True):
        show(axis, picture)
    for row, model in zip(axes[1:], models.values(), strict=True):
        backbone: Any = model.backbone
        with evaluating(model):
            heat = responses(backbone(images.to(device_of(model))), size).cpu().numpy()
        for axis, picture, one in zip(row, shown, heat, strict=True):
            show(axis, show_cam_on_image(picture, one, use_rgb=True))
    for row, name in zip(axes, ["image", *models], strict=True):
        row[0].text(-0.1, 0.5, name, rotation=90, ha="right", va="center",
                    transform=row[0].transAxes)  # fmt: skip
    figure.supxlabel(
        "mean over channels, blue lowest\nto red highest in each map", fontsize="small"
    )
    return figure
