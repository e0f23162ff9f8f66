"""A whole partial test: PPCL's matching by pairs beside a plain baseline on resized probes.

Both encode the probes and the gallery and compute all distances. PPCL also rectifies every image
and finds, for every pair, the corresponding region (the paper: 4.1 s, 4.8 s with GLRec, 29.4 s with
CRLoc, so 7.2 times). Every probe keeps 40 to 80 % of one side, every gallery image is whole: the
rectifier computes its answers, which are then replaced by the true ones. ``--sample N`` measures N
images and the pairs of N with 64, in seconds of one core, and scales both up: for a machine that
others use too.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from measure import in_turns, verdict
from torch import Tensor

from reidlib import models
from reidlib.data.augment import keep_boxes
from reidlib.models import Encoding, ReIDModel
from reidlib.models.base import evaluating
from reidlib.papers.ppcl.model import PPCL
from reidlib.papers.ppcl.pooling import frame
from reidlib.papers.ppcl.rectifier import GLRec

BATCH = 32
COMPARED = {"+R": "Resize", "+R+L": "Resize", "+R+L, bf16 products": "Resize",
            "+R+L, coarse 2": "Resize",
            "+R+L, last stride 2": "Resize, last stride 2"}  # fmt: skip


class Known(GLRec):
    """A rectifier that computes its answers and then gives the true ones, in the order asked."""

    box_of: dict[int, Tensor]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        super().forward(images)
        box = self.box_of[images.data_ptr()]
        t = torch.cat([box[:, 2:] - box[:, :2], box[:, 2:] + box[:, :2]], 1) / 2
        return t, (t[:, :2].prod(1) < 0.99).float() - 0.5


def encode(model: ReIDModel, images: Tensor) -> Encoding:
    parts = [model.encode(some) for some in images.split(BATCH)]
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}


def whole_test(model: ReIDModel, query: Tensor, gallery: Tensor) -> Tensor:
    return model.distance(encode(model, query), encode(model, gallery))


def ppcl(given: argparse.Namespace, truth: dict[int, Tensor], **options: object) -> PPCL:
    """A PPCL whose locator has left its start, with a rectifier that knows."""
    torch.manual_seed(0)
    model = models.build("ppcl", 10, backbone=given.backbone, size=tuple(given.size), **options)
    assert isinstance(model, PPCL)
    assert model.rectifier is not None
    model.rectifier.__class__ = Known
    model.rectifier.box_of = truth  # type: ignore[assignment]
    if model.locator is not None:
        model.locator.fc.weight.data.normal_(std=0.05)
    return model


def cpu_seconds(function: Callable[[], object], rounds: int) -> float:
    """The least seconds of this process, waiting for others left out, of some runs."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def scaled(model: ReIDModel, given: argparse.Namespace, query: Tensor) -> dict[str, float]:
    """Seconds of the whole test for its parts, from those of a sample: encoding an image, preparing
    a gallery image for all queries, a pair. What the maps hold does not matter to the time."""
    n = len(query)
    each = cpu_seconds(lambda: encode(model, query), given.rounds) / n
    some = encode(model, query)
    many = {key: torch.cat([value] * (64 // n)) for key, value in some.items()}
    more = {key: torch.cat([value] * 4) for key, value in some.items()}
    few, whole = (
        cpu_seconds(lambda q=q: model.distance(q, many), given.rounds) for q in (some, more)
    )
    size = len(many["feature"])
    pair = (whole - few) / (3 * n * size)
    gallery = max(0.0, few / size - n * pair)
    return {"encoding": each * (given.probes + given.gallery), "gallery": gallery * given.gallery,
            "pairs": pair * given.probes * given.gallery}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128))
    parser.add_argument("--probes", type=int, default=300)
    parser.add_argument("--gallery", type=int, default=300)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.sample:
        torch.set_num_threads(1)  # so that seconds of the process are seconds of a core
    numbers = (given.sample, 64) if given.sample else (given.probes, given.gallery)
    query, gallery = (torch.randn(n, 3, *given.size) for n in numbers)
    boxes = keep_boxes(len(query), np.random.default_rng(0), (0.4, 0.8), "any").float()
    truth = {
        image.data_ptr(): box
        for images, of in ((query, boxes), (gallery, frame(len(gallery), boxes.device)))
        for image, box in zip(images.split(BATCH), of.split(BATCH), strict=True)
    }
    same = {"backbone": given.backbone, "size": tuple(given.size)}
    rows: dict[str, ReIDModel] = {
        "Resize": models.build("baseline", 10, **same),
        "+R": ppcl(given, truth, locate=False),
        "+R+L": ppcl(given, truth),
        "+R+L, bf16 products": ppcl(given, truth, product="bf16"),
        "+R+L, coarse 2": ppcl(given, truth, coarse=2),
        "Resize, last stride 2": models.build("baseline", 10, last_stride=2, **same),
        "+R+L, last stride 2": ppcl(given, truth, last_stride=2),
    }
    with evaluating(torch.nn.ModuleList(rows.values())):
        if given.sample:
            both = {name: scaled(model, given, query) for name, model in rows.items()}
            for name, parts in both.items():
                print(name, *(f"{part} {seconds:.2f} s" for part, seconds in parts.items()))
            best = {name: sum(parts.values()) for name, parts in both.items()}
        else:
            calls = {n: lambda m=m: whole_test(m, query, gallery) for n, m in rows.items()}
            best = in_turns(calls, given.rounds)
    how = f"scaled up from {given.sample} images" if given.sample else "measured as a whole"
    print(f"{given.backbone}, {given.size[0]}x{given.size[1]}, {given.probes} x {given.gallery}, "
          f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, {how}")  # fmt: skip
    for name, took in best.items():
        print(f"{name:<24}{took:8.2f} s")
    for name, against in COMPARED.items():
        ratio = best[name] / best[against]
        verdict(f"{name} / {against}, the whole test", ratio, "at most 1.5", ratio <= 1.5)


if __name__ == "__main__":
    main()
