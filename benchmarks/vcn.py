"""What the vertical convolution and SC-STN cost of a forward pass.

    python benchmarks/vcn.py [--backbone tiny] [--size 192 64] [--batch 16]

The same images and threads; all are timed in turns and the shortest counts. The vertical
convolution is Eqs. 6 and 7 on the backbone's map of these images; beside it, Eq. 7 as a loop.
"""

from __future__ import annotations

import measure
import torch
from torch import Tensor

from reidlib import models
from reidlib.models.base import evaluating
from reidlib.papers.vcn.model import MeanMax


def loop(maps: Tensor, kernels: Tensor) -> Tensor:
    """The spatial feature, one channel after the other."""
    rows = MeanMax(3)(maps)
    return torch.cat([rows[:, c] @ kernels[c].T for c in range(rows.shape[1])], 1)


def main() -> None:
    options = measure.forward_options(__doc__)
    size = tuple(options.size)
    torch.manual_seed(0)
    model = models.build("vcn", 751, backbone=options.backbone, size=size)
    model = model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    images = torch.randn(options.batch, 3, *size).to(memory_format=torch.channels_last)
    with evaluating(model):
        maps = model.backbone(images)
        kernels = model.spatial_head.kernels
        parts = {
            "forward pass": lambda: model.encode(images),
            "vertical convolution": lambda: model.spatial_head(maps),
            "the same as a loop": lambda: loop(maps, kernels),
            "SC-STN": lambda: model.transformer(maps),
        }
        best = measure.in_turns(parts, options.rounds)
        difference = float((model.spatial_head(maps) - loop(maps, kernels)).abs().max())
    print(f"{options.backbone} at {size[0]}x{size[1]}, {options.batch} images, forward")
    for name, took in best.items():
        print(f"{name:22} {1000 * took:8.2f} ms")
    share = 100 * best["vertical convolution"] / best["forward pass"]
    measure.verdict("vertical convolution, % of a forward pass", share, "<= 3", share <= 3)
    ratio = best["the same as a loop"] / best["vertical convolution"]
    print(f"loop / one contraction: {ratio:.1f}; largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
