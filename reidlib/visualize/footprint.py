"""Which rows of the image each stripe sees, calculated and measured (RMGL Figs. 1 and 3a)."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from torch import Tensor

from reidlib.data.bank import denormalise
from reidlib.models.rmgl import RMGL
from reidlib.receptive import PARTITIONS, extent, regions
from reidlib.visualize.style import show


def footprints(
    model: RMGL, found: Mapping[str, Tensor], image: Tensor, share: float = 0.95
) -> Figure:
    """One panel a partition beside the image: for each stripe the gradient over the image's rows.

    found: of ``receptive.profiles``. image: [3, H, W] normalised. A curve is scaled to its largest
    value. The light bar is the region of Eq. 6, the dark one in it the rows that hold ``share`` of
    the gradient.
    """
    height = image.shape[1]
    figure, axes = plt.subplots(
        1, 1 + len(found), figsize=(1.6 * (1 + len(found)), 4.4), layout="constrained", sharey=True
    )
    show(axes[0], denormalise(image).permute(1, 2, 0).cpu().numpy())
    axes[0].set_title("image", loc="center")
    palette = sns.color_palette("deep")
    for axis, (name, profile) in zip(axes[1:], found.items(), strict=True):
        n = len(profile)
        expected = regions(model, PARTITIONS[name], n, height)
        for k in range(n):
            values, colour, x = (
                (profile[k] / profile[k].max()).cpu(),
                palette[k % 10],
                1.2 + 0.2 * k,
            )
            axis.fill_betweenx(range(height), values, color=colour, alpha=0.25, lw=0)
            axis.plot(values, range(height), color=colour, lw=1.2)
            for (first, last), alpha in ((expected[k], 0.35), (extent(profile[k], share), 1.0)):
                axis.bar(x, last - first + 1, 0.12, first - 0.5, color=colour, alpha=alpha, lw=0)
            if k:
                axis.axhline(k * height / n - 0.5, color="#999999", lw=0.8, ls="--")
        axis.set(xlim=(0, 1.2 + 0.2 * n), ylim=(height - 0.5, -0.5), xticks=[0, 1])
        axis.set_title(name, loc="center")
        axis.grid(visible=False)
    axes[1].set_ylabel("row of the image (pixels)")
    axes[1].tick_params(labelleft=True)
    figure.supxlabel(
        "mean absolute gradient of a stripe with respect to a row (largest = 1)", fontsize="small"
    )
    bars = [
        Patch(color="#777777", alpha=0.35, lw=0, label="can be seen (Eq. 6)"),
        Patch(color="#777777", lw=0, label=f"{100 * share:g} % of the gradient"),
        Line2D([], [], color="#999999", lw=0.8, ls="--", label="equal stripes"),
    ]
    figure.legend(handles=bars, ncols=3, loc="outside upper center", frameon=False)
    return figure
