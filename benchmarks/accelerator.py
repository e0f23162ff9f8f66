"""Everything that needs a GPU, in one call: does it compute what the CPU does, and how fast?

    python benchmarks/accelerator.py [--market ROOT] [--quick] > rows.csv

Needs the packages of the core alone. First the same float32 recipe on the CPU and on the device,
losses and evaluation. Then images/s at 256x128 with ResNet-50: the bare step, ``fit`` as it is,
deterministic and compiled, encoding in float32, bf16 and compiled. Then, for each paper at its own
size and batch, a training step and encoding in float32, beside what ``run --plan`` counts for them:
TFLOP/s (what ``CARD`` in ``workbook/plan.py`` assumes), and the most memory, as a share of what is
counted. ``--market``: 60 epochs of Market-1501, trained and evaluated (goal: under 4 minutes). A
row that fails says why and the others go on. ``--quick`` is a test of the script, on any machine.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from train import OPTIONS, bare, ours

from reidlib.data import ImageBank
from reidlib.data.batches import Batch
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.retrieval import evaluate
from reidlib.models import ReIDModel
from reidlib.models.base import evaluating
from reidlib.papers import ppcl, rmgl, scr, stnreid, vcn
from reidlib.papers.comparators import baseline
from reidlib.system.compute import full_precision
from reidlib.system.devices import auto_precision, pick_device
from reidlib.system.provenance import provenance
from reidlib.train import footprint
from reidlib.train.build import build_model, build_optimizer
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

PEOPLE = {"train_ids": 16, "test_ids": 16, "cameras": 2, "images": 4}  # few of them
ROWS: list[dict[str, Any]] = []


def row(what: str, unit: str, measure: Callable[[], float], limit: float | None = None) -> float:
    """Measures and keeps one row. limit: what the value is a share of."""
    began = time.perf_counter()
    found: dict[str, Any] = {"what": what, "value": "", "unit": unit, "share": "", "failed": ""}
    value = float("nan")
    try:
        value = measure()
        found |= {"value": f"{value:.6g}", "share": f"{value / limit:.3f}" if limit else ""}
    except Exception as error:  # the machine is lent for minutes: the other rows shall be measured
        found["failed"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    ROWS.append(found)
    spent = time.perf_counter() - began
    print(f"{what}: {found['value'] or found['failed']} {unit} ({spent:.0f} s)", file=sys.stderr)
    return value


def parity(device: torch.device, backbone: str, size: tuple[int, int]) -> None:
    """The same float32 recipe and the same weights on the CPU and on the device."""
    recipe = Recipe(
        data_options=PEOPLE, backbone=backbone, size=size, ids_per_batch=8, images_per_id=4,
        erasing=0.5, shifting=0.5, jitter=0.2, warmup=0.0, lr=1e-5, steps=6, precision="float32",
    )  # fmt: skip
    runs: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:

        def loss_difference() -> float:
            for place in ("cpu", device.type):
                store = Path(folder) / str(len(runs))
                runs[f"{place} {len(runs)}"] = fit(
                    recipe, device=place, store=store, progress=False
                )
            a, b = (run.history.loss for run in runs.values())
            return float(((a - b).abs() / a.abs()).max())

        row(f"largest difference of 6 losses to the CPU's, {backbone}", "relative", loss_difference)

        def evaluated(place: str, **options: Any) -> Any:
            run = next(iter(runs.values()))
            return evaluate(
                run.load_model(place), recipe.load_dataset(), flip=True, device=place, **options
            )

        for name, options in (("float32", {}), ("bf16", {"amp": True})):
            row(
                f"difference of mAP to the CPU's, {name}, {backbone}",
                "of 1",
                lambda o=options: abs(evaluated(device.type, **o).mAP - evaluated("cpu").mAP),
            )


def encoding_speed(model: ReIDModel, bank: ImageBank, number: int, **options: Any) -> float:
    """Images per second; the first time, which compiles, does not count."""
    rows = torch.arange(number) % len(bank)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        encode_split(model, bank, rows=rows, **options)["feature"].sum().item()
        seconds = time.perf_counter() - start
    return number / seconds


def speeds(recipe: Recipe, steps: int, number: int, modes: list[str]) -> None:
    """images/s of training and of encoding."""
    device, dataset = pick_device(), recipe.load_dataset()
    limit = row("bare step", "images/s", lambda: bare(recipe, dataset, steps))
    for name, options in OPTIONS.items():
        if options.get("compile") in (None, *modes):
            row(f"fit {name}", "images/s", lambda o=options: ours(recipe, steps, **o), limit)
    model = build_model(recipe, dataset.num_ids)
    model = model.to(device, memory_format=torch.channels_last)
    bank = ImageBank.from_split(dataset.gallery, recipe.size, device)
    plain = row("encode float32", "images/s", lambda: encoding_speed(model, bank, number))
    for mode in [None, *modes]:
        row(
            f"encode bf16{f', compiled ({mode})' if mode else ''}",
            "images/s",
            lambda m=mode: encoding_speed(model, bank, number, amp=True, compile=m),
            plain,
        )


def shortest(device: torch.device, rounds: int, run: Callable[[], object]) -> float:
    """Seconds of the shortest of some calls."""
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return best


def step_seconds(recipe: Recipe, device: torch.device, bf16: bool, rounds: int) -> float:
    """A training step of a paper's network, on one batch of noise."""
    model = build_model(recipe.but(weights=None), footprint.IDS).train()
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = build_optimizer(recipe, model)
    n = recipe.ids_per_batch * recipe.images_per_id
    label = torch.arange(n, device=device) // recipe.images_per_id
    batch = Batch(torch.randn(n, 3, *recipe.size, device=device), label)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = model.loss(batch)["loss"]
        loss.backward()
        optimizer.step()

    return shortest(device, rounds, step)


def encode_seconds(recipe: Recipe, device: torch.device, images: int, rounds: int) -> float:
    """Encoding a batch of noise in float32, as in a test."""
    model = build_model(recipe.but(weights=None), footprint.IDS)
    model = model.to(device, memory_format=torch.channels_last)
    batch = torch.randn(images, 3, *recipe.size, device=device)
    with evaluating(model), full_precision():
        return shortest(device, rounds, lambda: model.encode(batch))


def papers(device: torch.device, small: bool) -> None:
    """A step and encoding of every paper's network: seconds, speed and memory beside what is
    counted."""
    recipes = {"stnreid": stnreid.recipe.EP5, "ppcl": ppcl.recipe.RECIPE, "vcn": vcn.recipe.RECIPE,
               "scr": scr.recipe.RECIPE, "rmgl": rmgl.recipe.RECIPE}  # fmt: skip
    bf16 = auto_precision(device) == "bf16"
    rounds, images = (2, 8) if small else (10, footprint.BATCH)
    for name, recipe in recipes.items():
        if small:
            recipe = recipe.but(backbone="tiny", size=(192, 64), ids_per_batch=4, images_per_id=2)
        counted, encoded = footprint.step(recipe, bf16=bf16), footprint.encoding(recipe)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        took = row(f"{name}: a step", "s", lambda r=recipe: step_seconds(r, device, bf16, rounds))
        row(f"{name}: training", "TFLOP/s", lambda t=took, c=counted: c.flops / t / 1e12)
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device)
            row(f"{name}: memory", "GiB", lambda p=peak: p / 2**30, counted.bytes / 2**30)
        flops = encoded.flops * images
        row(
            f"{name}: encoding",
            "TFLOP/s",
            lambda r=recipe, f=flops: f / encode_seconds(r, device, images, rounds) / 1e12,
        )


def market(backbone: str, size: tuple[int, int]) -> None:
    """60 epochs of Market-1501 with the baseline, and its evaluation."""
    recipe = baseline.RECIPE.but(weights=None, backbone=backbone, size=size, epochs=60.0)
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()

        def spent() -> float:
            run = fit(recipe, store=Path(store), progress=False)
            metrics = run.evaluate(amp=True)
            seconds = time.perf_counter() - began
            for name in ("images_per_s", "tflops", "share_of_peak", "gmacs", "seconds"):
                row(f"Market-1501: {name}", "", lambda n=name: float(run.info[n]))
            row("Market-1501: rank-1", "of 1", lambda: float(metrics.rank(1)))
            row("Market-1501: mAP", "of 1", lambda: float(metrics.mAP))
            return seconds

        row("Market-1501, 60 epochs and evaluation", "s", spent, 240.0)


def main() -> None:
    device = pick_device()
    cuda = device.type == "cuda"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 128), metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=1000, help="the history has 100 rows of them")
    parser.add_argument("--images", type=int, default=20_000, help="encoded for a speed")
    parser.add_argument("--market", metavar="ROOT", help="folder that holds Market-1501")
    parser.add_argument(
        "--modes", nargs="*", default=["default", "reduce-overhead"] if cuda else [],
        help="of torch.compile",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small, short and few")
    given = parser.parse_args()
    recipe = baseline.RECIPE.but(weights=None, dataset="synthetic", erasing=0.5)
    if not (cuda or given.quick):
        parser.exit(0, "no GPU is here to be measured (--quick tries the script itself)\n")
    if given.quick:
        given.backbone, given.size, given.modes = "tiny", (64, 32), []
        given.steps, given.images = 4, 64
        recipe = recipe.but(data_options=PEOPLE)
    size = tuple(given.size)
    for backbone in dict.fromkeys(("tiny", given.backbone)):
        parity(device, backbone, (64, 32) if backbone == "tiny" else size)
    recipe = recipe.but(backbone=given.backbone, size=size)
    speeds(recipe, given.steps, given.images, given.modes)
    papers(device, given.quick)
    if given.market:
        os.environ["REIDLIB_DATA"] = given.market
        market(given.backbone, size)
    made = {k: v for k, v in provenance(device).items() if k in ("device", "torch", "commit")}
    writer = csv.DictWriter(sys.stdout, [*ROWS[0], *made])
    writer.writeheader()
    writer.writerows(found | made for found in ROWS)


if __name__ == "__main__":
    main()
