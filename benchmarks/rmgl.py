"""What RMGL's two paths cost beside two separate forward passes, and beside MGN.

    python benchmarks/rmgl.py [--backbone tiny] [--size 192 64] [--batch 16]

The same weights, images and threads; the three are timed in turns and the shortest counts. "Two
separate passes" is a model with the original path alone and one with the receptive path alone.
"""

from __future__ import annotations

from functools import partial

import measure
import torch

from reidlib import models
from reidlib.evaluate.cost import gmacs
from reidlib.models import ReIDModel


def main() -> None:
    options = measure.forward_options(__doc__)
    size = tuple(options.size)

    def build(name: str, **changes: object) -> ReIDModel:
        torch.manual_seed(0)
        model = models.build(name, 751, backbone=options.backbone, size=size, **changes)
        return model.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    found = {
        "both paths": build("rmgl"),
        "original path": build("rmgl", rp=False),
        "receptive path": build("rmgl", op=False),
        "MGN": build("mgn"),
        "MGN of four branches": build("mgn", stripes=(1, 2, 3, 4)),
    }
    images = torch.randn(options.batch, 3, *size).to(memory_format=torch.channels_last)
    parts = {name: partial(model.encode, images) for name, model in found.items()}
    with torch.inference_mode():  # all are in evaluation mode
        best = measure.in_turns(parts, options.rounds)
    print(f"{options.backbone} at {size[0]}x{size[1]}, {options.batch} images, forward")
    for name, took in best.items():
        print(f"{name:22} {1000 * took:8.1f} ms  {gmacs(found[name]):7.3f} GMACs an image")
    apart = best["original path"] + best["receptive path"]
    ratio = best["both paths"] / apart
    measure.verdict("both paths / two separate passes", ratio, "<= 1.05", ratio <= 1.05)


if __name__ == "__main__":
    main()
