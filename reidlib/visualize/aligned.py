"""Images as spatial transformers show them (VCN Figs. 1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.data.synthetic import NOMINAL
from reidlib.geometry import box_to_theta, collapsed, invert, sample, transform_points
from reidlib.visualize.style import show

BODY, TARGET = "#ffd166", "#118ab2"


def corners(theta: Tensor) -> Tensor:
    """The corners [N, 5, 2] (x, y; the first again at the end) of what ``theta`` reads."""
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    return transform_points(theta.cpu().float(), square.expand(len(theta), 5, 2))


def pixels(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Points (x, y) [..., 2] in [-1, 1] as pixels of an image of ``size`` (H, W)."""
    return (points + 1) * torch.tensor([size[1], size[0]]) / 2 - 0.5


def aligned(images: Tensor, thetas: Mapping[str, Tensor], body: Tensor | None = None) -> Figure:
    """One column an image: as it is, and as each transformer shows it.

    images: [N, 3, H, W] normalised. thetas: name -> [N, 2, 3], which the images are read through
    (what a map's transformer does to the map, done to the image); grey is beyond the image. body:
    true boxes [N, 4] where they are known: drawn with the box in which a perfect detector would
    have put them.
    """
    images = images.cpu()
    size = (images.shape[2], images.shape[3])
    identity = torch.eye(2, 3).expand(len(images), 2, 3)
    rows = {"image": identity, **thetas}
    n, wide = len(images), 2.3 * size[1] / size[0] + 0.12
    figure, axes = plt.subplots(
        len(rows), n, figsize=(n * wide + 0.6, len(rows) * 2.4 + 0.4), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for line, (name, theta) in zip(axes, rows.items(), strict=True):
        theta = theta.cpu().float()
        moved = denormalise(sample(images, theta)).permute(0, 2, 3, 1).numpy()
        for axis, picture in zip(line, moved, strict=True):
            show(axis, picture)
        line[0].text(-0.1, 0.5, name, rotation=90, ha="right", va="center",
                     transform=line[0].transAxes)  # fmt: skip
        if body is not None:
            flat = collapsed(theta)  # shows no box
            there = invert(torch.where(flat[:, None, None], identity, theta))
            boxed = transform_points(there, corners(box_to_theta(body)))
            nominal = corners(box_to_theta(torch.tensor([NOMINAL])))[0]
            for axis, box, none in zip(line, boxed, flat, strict=True):
                _outline(axis, nominal, size, TARGET, "--")
                if not none:
                    _outline(axis, box, size, BODY, "-")
    if body is not None:
        lines = [
            Line2D([], [], color=BODY, lw=2, label="the body's true box"),
            Line2D([], [], color=TARGET, lw=2, ls="--", label="where a perfect detector puts it"),
        ]
        figure.legend(handles=lines, ncols=1, loc="outside lower center", frameon=False,
                      fontsize="small")  # fmt: skip
    return figure


def _outline(axis: Axes, box: Tensor, size: tuple[int, int], colour: str, style: str) -> None:
    """A polygon [5, 2] over a picture, whose limits stay."""
    limits = axis.get_xlim(), axis.get_ylim()
    x, y = pixels(box, size).T.numpy()
    axis.plot(x, y, style, color=colour, lw=1.8, scalex=False, scaley=False)
    axis.set(xlim=limits[0], ylim=limits[1])
