"""What a network responds to, laid over the images: every cell of a map at its true place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor, nn

from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating
from reidlib.models.receptive import edges, overlay, receptive_field
from reidlib.visualize.images import image_grid, pictures

Heat = Tensor | np.ndarray


def heated(picture: np.ndarray, heat: Heat) -> np.ndarray:
    """A picture [H, W, 3] in [0, 1] below its heat [H, W] in [0, 1], blue to red: uint8."""
    found: np.ndarray = show_cam_on_image(picture, np.asarray(heat), use_rgb=True)
    return found


def heat_grid(
    images: Tensor,
    columns: Mapping[str, Heat],
    captions: Sequence[str] = (),
    *,
    partners: Tensor | None = None,
    across: bool = False,
    width: float = 1.15,
) -> tuple[Figure, np.ndarray]:
    """One row an image: the image, then each of the maps over it; across: one column an image.

    images: [N, 3, H, W] normalised. columns: title -> heat [N, H, W] in [0, 1]. captions: of the
    images. partners: like ``images``, what each is compared with, shown beside it. Returns figure
    and axes [N, 1 + maps], or with partners [N, 2 + maps], or turned.
    """
    shown = pictures(images)
    beside = [[] for _ in shown] if partners is None else [[p] for p in pictures(partners)]
    titles = ["image", *(["partner"] if partners is not None else []), *columns]
    rows = [[p, *beside[i], *(heated(p, h[i]) for h in columns.values())]
            for i, p in enumerate(shown)]  # fmt: skip
    if across:
        turned = list(zip(*rows, strict=True))
        return image_grid(turned, titles=captions, sides=titles, width=width)
    return image_grid(rows, titles=titles, sides=captions, width=width)


def heat_maps(models: Mapping[str, ReIDModel], images: Tensor) -> Figure:
    """One column an image: the image, then for each model the response of its backbone's last map.

    images: [N, 3, H, W] normalised. The response is the mean over the channels as a multiple of its
    mean over the map; all have one scale, from 0 (blue) to the largest value drawn (red).
    """
    found = {}
    for name, model in models.items():
        backbone: Any = model.backbone
        with evaluating(model):
            maps = backbone(images.to(device_of(model))).float().mean(1).cpu()
        maps = maps / maps.mean((1, 2), keepdim=True).clamp(min=1e-12)
        found[name] = overlay(maps, receptive_field(backbone), _size(images))
    most = max(float(heat.max()) for heat in found.values())
    scaled = {name: (heat / max(most, 1e-12)).clamp(min=0) for name, heat in found.items()}
    figure, _ = heat_grid(images, scaled, across=True)
    words = "mean over channels, one scale:\nblue 0, red {:.1f} times a map's mean"
    figure.supxlabel(words.format(most), fontsize="small")
    return figure


class Similarity:
    """What Grad-CAM differentiates: the cosine between an image's feature and ``feature``."""

    def __init__(self, feature: Tensor) -> None:
        self.feature = feature.detach()

    def __call__(self, output: Tensor) -> Tensor:
        return F.cosine_similarity(output.flatten(), self.feature.flatten(), dim=0)


class _MapCAM(GradCAM):
    """Grad-CAM at the size of the map, 0 beyond some of its rows."""

    rows = slice(None)

    def get_target_width_height(self, input_tensor: Tensor) -> None:
        """No size: the map is not enlarged, which is ``overlay``'s."""

    def get_cam_image(self, *args: Any, **options: Any) -> np.ndarray:
        cam: np.ndarray = super().get_cam_image(*args, **options)
        kept = np.zeros_like(cam)
        kept[:, self.rows] = cam[:, self.rows]
        return kept


def grad_cam(
    output: nn.Module,
    path: Sequence[nn.Module],
    images: Tensor,
    targets: Sequence[Any] | None,
    rows: tuple[int, int] | None = None,
) -> np.ndarray:
    """Maps [N, H, W] in [0, 1], each scaled by its maximum (Grad-CAM, Selvaraju et al. 2017).

    output: images [N, 3, H, W] in, [N, D] out, of which a target [N] makes the scalars to be
    differentiated; None: the largest of D. path: what an image passes up to the map, whose last
    module makes it. rows: first and after the last row of the map that count; beyond them it is 0.
    """
    with _MapCAM(output, target_layers=[path[-1]]) as cam:
        cam.rows = slice(*rows) if rows else slice(None)
        found = torch.from_numpy(cam(input_tensor=images.clone(), targets=targets))
    field, size = receptive_field(*path), _size(images)
    heat = overlay(found, field, size)
    if rows:  # between two rows it would reach beyond
        ends = edges(field.centres(found.shape[1]), size[0]).round().int().tolist()
        heat[:, : ends[rows[0]]], heat[:, ends[rows[1]] :] = 0, 0
    drawn: np.ndarray = heat.numpy()
    return drawn


class _Feature(nn.Module):
    """A model as Grad-CAM wants it: images in, feature out."""

    def __init__(self, model: ReIDModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images)["feature"]


def similarity_cam(model: ReIDModel, images: Tensor, others: Tensor) -> np.ndarray:
    """Maps [N, H, W] in [0, 1] of what in ``images`` raises the cosine to ``others``.

    images, others: [N, 3, H, W] normalised, compared pair by pair; the map is the backbone's last.
    """
    wrapped, backbone = _Feature(model.eval()), model.backbone
    with torch.no_grad():
        targets = [Similarity(feature) for feature in wrapped(others)]
    return grad_cam(wrapped, [backbone], images, targets)  # type: ignore[list-item]


def match_cam(
    model: ReIDModel, query: Tensor, match: Tensor, captions: Sequence[str] = ()
) -> Figure:
    """Pairs of images with the map of what drives their similarity, each seen from the other.

    query, match: [N, 3, H, W] normalised. Two columns a pair: the image and its map; above the
    query, below its match.
    """
    rows = []
    for images, others in ((query, match), (match, query)):
        pairs = zip(pictures(images), similarity_cam(model, images, others), strict=True)
        rows.append([x for picture, heat in pairs for x in (picture, heated(picture, heat))])
    figure, axes = image_grid(rows, sides=["query", "gallery"])
    for axis, caption in zip(axes[0, ::2], captions, strict=False):
        axis.set_title(caption, fontsize="small")
    return figure


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
