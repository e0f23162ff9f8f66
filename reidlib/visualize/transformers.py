"""What happens inside a spatial transformer, step by step (VCN Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.detector import UNMOVED, factors
from reidlib.encode import device_of, evaluating
from reidlib.errors import ReidError
from reidlib.geometry import sample
from reidlib.models.vcn import VCN
from reidlib.visualize.aligned import BODY, corners, pixels
from reidlib.visualize.style import show

NAMES = ("$s_w - 1$", "$s_h - 1$", "$t_w$", "$t_h$", "$r_h$", "$r_w$")


def transformer_steps(models: Mapping[str, VCN], image: Tensor) -> Figure:
    """One row a model: what its transformer makes of one image, from its own calls.

    image: [3, H, W] normalised. The mean of the map over its channels (Eq. 3); the factors that
    the two layers make of it (Eqs. 4 and 5), with the range (-eps, eps) that SC-STN allows itself;
    what these factors read, as a frame on the image; the mean of the moved map; the image so moved.
    """
    figure, axes = plt.subplots(
        len(models), 5, figsize=(11, 2.9 * len(models) + 0.5), layout="constrained", squeeze=False,
        width_ratios=(1, 2.4, 1, 1, 1),
    )  # fmt: skip
    for row, (name, model) in zip(axes, models.items(), strict=True):
        if model.transformer is None:
            raise ReidError(f"{name}: this model has no spatial transformer")
        with evaluating(model):
            maps = model.backbone(image[None].to(device_of(model)))
            moved, theta, eps = model.transformer(maps)
        theta = theta.cpu().float()
        before, after = (x.mean(1)[0].cpu().float().numpy() for x in (maps, moved))
        scale = {"vmin": 0.0, "vmax": before.max(), "cmap": "magma", "aspect": "auto"}
        row[0].imshow(before, **scale)
        _bars(row[1], theta[0], float(eps[0]))
        size = (image.shape[1], image.shape[2])
        show(row[2], denormalise(image).permute(1, 2, 0).cpu().numpy())
        x, y = pixels(corners(theta)[0], size).T.numpy()
        row[2].plot(x, y, color=BODY, lw=2.5)
        row[2].set(xlim=(min(-1, *x) - 1, max(size[1], *x) + 1),
                   ylim=(max(size[0], *y) + 1, min(-1, *y) - 1))  # fmt: skip
        row[3].imshow(after, **scale)
        show(row[4], denormalise(sample(image[None].cpu(), theta))[0].permute(1, 2, 0).numpy())
        row[0].set_ylabel(name, fontweight="bold")
        for axis in (row[0], row[3]):
            axis.set(xticks=[], yticks=[])
            axis.set_box_aspect(size[0] / size[1])
    titles = ("mean map (Eq. 3)", "factors (Eqs. 4, 5)", "what is read", "moved map", "moved image")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, loc="center")
    return figure


def _bars(axis: Axes, theta: Tensor, eps: float) -> None:
    """The factors of one theta [2, 3] as differences from the identity; a free one has six."""
    values = [*(factors(theta[None])[0] - torch.tensor(UNMOVED)).tolist()]
    if eps == 0:  # the original STN: with rotation
        values += [float(theta[0, 1]), float(theta[1, 0])]
    names = NAMES[: len(values)]
    axis.axvline(0, color="#30343b", lw=1)
    axis.barh(names, values, color="#4c72b0")
    reach = 1.15 * max(0.05, eps, *(abs(value) for value in values))
    if eps:
        axis.axvspan(-eps, eps, color="#55a868", alpha=0.2, lw=0)
        label = Patch(color="#55a868", alpha=0.3, label=f"allowed: $\\epsilon$ = {eps:.2f}")
        axis.legend(handles=[label], loc="lower right", fontsize="x-small")
    axis.set(xlim=(-reach, reach))
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.tick_params(labelsize="small")
