"""Four ways to read a map (VCN Fig. 4), and learned vertical kernels, from a model's weights."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from reidlib.data.bank import denormalise
from reidlib.errors import ReidError
from reidlib.models.vcn import VCN
from reidlib.visualize.style import show


@dataclass(frozen=True)
class Reading:
    """What one output value reads of a map: its weights [channels, rows], summed over the columns,
    and in words what it sees and how many weights an output channel has."""

    name: str
    weights: Tensor
    sees: str
    number: str


def vertical(model: VCN) -> Tensor:
    """The kernels [C, K, H] of Eq. 7. Raises ReidError if the model has none of a channel's own."""
    head = model.spatial_head
    if head is None or head.kind != "vcn":
        raise ReidError("this model has no vertical convolution with kernels for each channel")
    kernels: Tensor = head.kernels.detach().float().cpu()
    return kernels


def readings(model: VCN, channel: int = 0, kernel: int = 0, stripes: int = 3) -> list[Reading]:
    """The four panels of Fig. 4 with the weights of this model.

    A regular convolution: the last 3x3 one of its backbone. The depthwise one is the same, with
    the output channel's own input alone. A stripe is a mean over its rows. Values are those of one
    output channel ``channel`` at the middle of the map.
    """
    kernels = vertical(model)
    height = kernels.shape[2]
    convolutions = [m for m in model.backbone.modules() if isinstance(m, nn.Conv2d)]
    last = [m for m in convolutions if m.kernel_size == (3, 3) and m.groups == 1][-1]
    own = last.weight.detach().float().cpu()  # [out, in, 3, 3]
    regular = torch.zeros(own.shape[1], height)
    rows = slice(height // 2 - 1, height // 2 + 2)
    regular[:, rows] = own[channel].sum(2)
    depthwise = torch.zeros_like(regular)
    depthwise[channel, rows] = own[channel, channel].sum(1)
    stripe, alone = torch.zeros(2, kernels.shape[0], height)
    first, end = stripes // 2 * height // stripes, (stripes // 2 + 1) * height // stripes
    stripe[channel, first:end] = 1 / (end - first)
    alone[channel] = kernels[channel, kernel]
    here, own_rows = f"3 rows of {height}", f"{end - first} rows of {height}"
    number = f"{kernels[0].numel()} weights a channel (K = {kernels.shape[1]})"
    return [
        Reading("(a) regular convolution", regular, f"{here}, all channels",
                f"{own[0].numel():,} weights a channel"),
        Reading("(b) depthwise convolution", depthwise, f"{here}, own channel",
                "9 weights a channel"),
        Reading("(c) stripe", stripe, f"{own_rows}, own channel", "nothing is learned"),
        Reading("(d) vertical convolution", alone, f"all {height} rows, own channel", number),
    ]  # fmt: skip


def convolutions(model: VCN, shown: int = 12, channel: int = 4) -> Figure:
    """For each kind the weights that make one value: rows of the map against ``shown`` channels."""
    found = readings(model, channel)
    figure, axes = plt.subplots(1, len(found), figsize=(13, 3.9), layout="constrained", sharey=True)
    for axis, reading in zip(axes, found, strict=True):
        weights = reading.weights[:shown].T.numpy()
        seen = np.ma.masked_equal(weights, 0)  # white: not read at all
        reach = float(np.abs(weights).max())
        axis.set_facecolor("#f4f4f4")
        axis.imshow(seen, cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto")
        axis.set_title(reading.name, loc="center")
        axis.set_xlabel(f"channel\n{reading.sees}\n{reading.number}")
        axis.set(xticks=range(0, weights.shape[1], 4), yticks=range(weights.shape[0]))
        axis.grid(visible=False)
        axis.set_xticks(np.arange(weights.shape[1]) + 0.5, minor=True)
        axis.set_yticks(np.arange(weights.shape[0]) + 0.5, minor=True)
        axis.grid(which="minor", color="white", lw=1)
        axis.tick_params(which="minor", length=0)
    axes[0].set_ylabel("row of the map")
    figure.supxlabel("red: positive, blue: negative weight; grey: not read", fontsize="small")
    return figure


def neighbours(kernels: Tensor) -> float:
    """Correlation of a kernel's weight with the next row's, over all kernels [C, K, H]: 0 where
    every row is drawn for itself, as at the start."""
    pair = torch.stack([kernels[..., :-1].flatten(), kernels[..., 1:].flatten()])
    return float(torch.corrcoef(pair)[0, 1])


def vertical_kernels(model: VCN, images: Tensor, shown: int = 8) -> Figure:
    """The learned kernels of ``shown`` channels, those with the largest weights: a picture each,
    K columns, its rows those of the map; at the left the mean of ``images`` [N, 3, H, W], so that
    rows can be read as parts of the body."""
    kernels = vertical(model)
    strongest = kernels.norm(dim=(1, 2)).argsort(descending=True)[:shown]
    height = kernels.shape[2]
    figure, axes = plt.subplots(
        1, 1 + len(strongest), figsize=(1.5 + 1.35 * len(strongest), 3.8), layout="constrained"
    )
    mean = denormalise(images.mean(0)).permute(1, 2, 0).cpu().numpy()
    show(axes[0], mean)
    for k in range(1, height):
        axes[0].axhline(k * mean.shape[0] / height - 0.5, color="white", lw=0.8)
    axes[0].set_title("mean image", loc="center", fontsize="small")
    reach = float(kernels[strongest].abs().max())
    for axis, c in zip(axes[1:], strongest.tolist(), strict=True):
        drawn = axis.imshow(
            kernels[c].T.numpy(), cmap="RdBu_r", vmin=-reach, vmax=reach, aspect="auto"
        )
        axis.set_title(f"channel {c}", loc="center", fontsize="small")
        axis.set(xticks=range(kernels.shape[1]), yticks=[])
        axis.set_xticklabels(range(1, kernels.shape[1] + 1), fontsize="x-small")
        axis.grid(visible=False)
    figure.colorbar(drawn, ax=axes[-1], shrink=0.8).ax.tick_params(labelsize="x-small")
    figure.supxlabel(
        f"kernel k; rows of the map from head to feet. Correlation of neighbouring rows over all "
        f"kernels: {round(neighbours(kernels), 2) + 0:.2f} (0 at the start)", fontsize="small",
    )  # fmt: skip
    return figure
