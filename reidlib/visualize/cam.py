"""Grad-CAM (Selvaraju et al. 2017) of a match: what in an image makes two of them alike."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor, nn

from reidlib.data.bank import denormalise
from reidlib.models import ReIDModel
from reidlib.visualize.style import show


class Similarity:
    """What Grad-CAM differentiates: the cosine between an image's feature and ``feature``."""

    def __init__(self, feature: Tensor) -> None:
        self.feature = feature.detach()

    def __call__(self, output: Tensor) -> Tensor:
        return F.cosine_similarity(output.flatten(), self.feature.flatten(), dim=0)


class _Feature(nn.Module):
    """A model as Grad-CAM wants it: images in, feature out."""

    def __init__(self, model: ReIDModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images)["feature"]


def similarity_cam(
    model: ReIDModel, images: Tensor, others: Tensor, layer: nn.Module | None = None
) -> np.ndarray:
    """Maps [N, H, W] in [0, 1] of what in ``images`` raises the cosine to ``others``.

    images, others: [N, 3, H, W] normalised, compared pair by pair. layer: default, the last stage
    of the model's backbone.
    """
    layer = layer or model.backbone.conv5  # type: ignore[union-attr,assignment]
    wrapped = _Feature(model.eval())
    with torch.no_grad():
        features = wrapped(others)
    with GradCAM(model=wrapped, target_layers=[layer]) as cam:
        maps: np.ndarray = cam(
            input_tensor=images.clone(), targets=[Similarity(feature) for feature in features]
        )
    return maps


def match_cam(
    model: ReIDModel, query: Tensor, match: Tensor, captions: Sequence[str] | None = None
) -> Figure:
    """Pairs of images with the map of what drives their similarity, each seen from the other.

    query, match: [N, 3, H, W] normalised. One column group a pair: query, its map, match, its map.
    """
    n = len(query)
    maps = (similarity_cam(model, query, match), similarity_cam(model, match, query))
    figure, axes = plt.subplots(2, 2 * n, figsize=(2 * n * 1.15, 4.8), layout="constrained")
    for side, (images, heat) in enumerate(zip((query, match), maps, strict=True)):
        for i in range(n):
            image = denormalise(images[i]).permute(1, 2, 0).cpu().numpy()
            show(axes[side, 2 * i], (255 * image).astype(np.uint8))
            show(axes[side, 2 * i + 1], show_cam_on_image(image, heat[i], use_rgb=True))
        label = ("query", "gallery")[side]
        axes[side, 0].text(-0.08, 0.5, label, rotation=90, ha="right", va="center",
                           transform=axes[side, 0].transAxes)  # fmt: skip
    for i, caption in enumerate(captions or []):
        axes[0, 2 * i].set_title(caption, fontsize="small")
    return figure
