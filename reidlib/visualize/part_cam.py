"""Grad-CAM of SCR's parts: of a spatial part on its rows, of a channel group from its channels
(SCR Fig. 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from torch import Tensor, nn

from reidlib.data.bank import denormalise
from reidlib.encode import device_of, evaluating
from reidlib.models.partition import Part
from reidlib.models.scr import SCR
from reidlib.visualize.cam import Similarity
from reidlib.visualize.style import show


class _Output(nn.Module):
    """A model as Grad-CAM wants it: images in, one part's feature or its classifier's logits."""

    def __init__(self, model: SCR, part: str, logits: bool) -> None:
        super().__init__()
        self.model, self.part, self.logits = model, part, logits

    def forward(self, images: Tensor) -> Tensor:
        outputs = self.model.part_logits if self.logits else self.model.part_features
        return outputs(images)[self.part]


class _PartCAM(GradCAM):
    """Grad-CAM whose map is 0 beyond the rows of a part."""

    part: Part

    def get_cam_image(self, *args: Any, **options: Any) -> np.ndarray:
        cam: np.ndarray = super().get_cam_image(*args, **options)
        return _own_rows(cam, self.part)


def part_cam(model: SCR, images: Tensor, part: str, others: Tensor | None = None) -> np.ndarray:
    """Maps [N, H, W] in [0, 1] of what in ``images`` drives one part of the representation.

    images: [N, 3, H, W] normalised. part: "p1", "p2.s1", "p2.c2", ... (``SCR.part_names``). What is
    differentiated: with ``others`` [N, 3, H, W] the cosine between the part's feature and that of
    the other image, pair by pair, which says what makes two images of an unseen person alike;
    without, the largest logit of the part's classifier, as the authors' code does: an unseen
    person's image is explained by the training person whom it resembles most. After 200 steps on
    drawn people the map was 0 everywhere (nothing speaks for the target) in 9 of 90 cases without
    ``others``, in 17 with them.

    Each channel is weighted by its mean gradient. A channel group has no gradient from other
    channels; the map of a spatial part is 0 outside of its rows. Each map is scaled by its maximum.
    """
    layer = model.branch(part)
    own = next(p for branch in model.partitions for p in branch.parts if p.name == part)
    wrapped, device = _Output(model, part, logits=others is None), device_of(model)
    with evaluating(model, gradients=True), _PartCAM(wrapped, target_layers=[layer]) as cam:
        targets = None
        if others is not None:
            with torch.no_grad():
                targets = [Similarity(feature) for feature in wrapped(others.to(device))]
        cam.part = own
        maps: np.ndarray = cam(input_tensor=images.to(device).clone(), targets=targets)
    model.zero_grad()
    return _own_rows(maps, own)  # enlarging a map carries it beyond its rows


def part_cams(
    columns: Mapping[str, tuple[SCR, str]],
    images: Tensor,
    others: Tensor | None = None,
    captions: Sequence[str] | None = None,
) -> Figure:
    """One row an image, one column a network's part; spatial parts are bordered in white (Fig. 2).

    columns: by title a model and the name of a part, as in the paper: (a) a plain network's "p1",
    (b), (c) "p2.s1", "p2.s2" and (d), (e) "p2.c1", "p2.c2" of one with partition, (f), (g) "p1" of
    those with attention. images, others: as in ``part_cam``.
    """
    n, size = len(images), (images.shape[2], images.shape[3])
    wide = 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        n, 1 + len(columns), figsize=((1 + len(columns)) * wide + 0.4, n * 2.35 + 0.7),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    pictures = denormalise(images).permute(0, 2, 3, 1).cpu().numpy()
    for row, picture in zip(axes, pictures, strict=True):
        show(row[0], picture)
    axes[0, 0].set_title("image", loc="center", fontsize="small")
    for column, (title, (model, part)) in enumerate(columns.items(), 1):
        heat = part_cam(model, images, part, others)
        own = next(p for branch in model.partitions for p in branch.parts if p.name == part)
        for row, picture, one in zip(axes, pictures, heat, strict=True):
            show(row[column], show_cam_on_image(picture, one, use_rgb=True))
            for edge in own.rows(size[0]):
                if 0 < edge < size[0]:
                    row[column].axhline(edge - 0.5, color="white", lw=1.5)
        axes[0, column].set_title(title, loc="center", fontsize="small")
    for row, caption in zip(axes, captions or [], strict=False):
        row[0].text(-0.08, 0.5, caption, rotation=90, ha="right", va="center", fontsize="small",
                    transform=row[0].transAxes)  # fmt: skip
    what = "likeness to another image of the person" if others is not None else "largest logit"
    figure.supxlabel(f"Grad-CAM of each part's {what}, red highest in each map", fontsize="small")
    return figure


def _own_rows(maps: np.ndarray, part: Part) -> np.ndarray:
    """Maps [N, H, W] with 0 beyond the rows of ``part``."""
    top, bottom = part.rows(maps.shape[1])
    kept = np.zeros_like(maps)
    kept[:, top:bottom] = maps[:, top:bottom]
    return kept
