"""Training beside its limit and torchreid's engine: same model, batch size and augmentations.

    python benchmarks/train.py [--market ROOT] [--backbone tiny] [--size 128 64] [--steps 60]
    python benchmarks/train.py --precision bf16   # ours in bf16, on a CPU that computes in it
    python benchmarks/train.py --options          # what determinism and compilation cost or bring

(a) forward, backward and step on one fixed batch: the limit; (b) our ``fit``; (c) torchreid's
triplet engine with its data manager, in its own environment (see README.md beside this file). All
three in turns in one run. Goals: b at least 95 % of a; b at least 1.5 times c on two CPU cores,
2.0 times in bf16.
``--options`` needs no torchreid: ``fit`` as it is, deterministic and compiled, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from measure import HERE, peer_python, verdict
from PIL import Image

from reidlib.data import Dataset, ImageBank, load
from reidlib.papers.comparators import baseline
from reidlib.system.devices import pick_device
from reidlib.train.build import build_batches, build_model, build_optimizer
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe


def bare(recipe: Recipe, dataset: Dataset, steps: int) -> float:
    """Images per second of a loop that does nothing but train on one batch."""
    device = pick_device()
    bank = ImageBank.from_split(dataset.train, recipe.size, device)
    batch = build_batches(recipe, bank)(0)
    model = build_model(recipe, dataset.num_ids)
    model = model.to(device, memory_format=torch.channels_last).train()
    optimizer = build_optimizer(recipe, model)
    bf16 = device.type == "cuda" or recipe.precision == "bf16"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = model.loss(batch)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    for _ in range(5):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return steps * len(batch.label) / (time.perf_counter() - start)


def ours(recipe: Recipe, steps: int, **options: Any) -> float:
    """Images per second of ``fit`` after its first tenth, in which it compiles."""
    with tempfile.TemporaryDirectory() as store:
        run = fit(recipe.but(steps=steps), store=Path(store), progress=False, **options)
        history = run.history
    start = history.iloc[len(history) // 10]
    end = history.iloc[-1]
    images = (end.step - start.step) * recipe.ids_per_batch * recipe.images_per_id
    return float(images / (end.seconds - start.seconds))


def market_like(dataset: Dataset, root: Path) -> None:
    """The dataset as torchreid expects Market-1501: links to JPEGs, or JPEGs made of PNGs."""
    parts = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
    for split, part in parts.items():
        folder = root / "market1501" / "Market-1501-v15.09.15" / part
        folder.mkdir(parents=True)
        for path in map(Path, dataset.splits[split].path):
            target = folder / f"{path.name.split('.')[0]}.jpg"
            if path.suffix == ".jpg":
                target.symlink_to(path)
            else:
                Image.open(path).save(target, quality=95)


def theirs(recipe: Recipe, root: Path, steps: int) -> float:
    """Images per second of torchreid's engine, in its own process."""
    height, width = recipe.size
    command = [peer_python(), "-W", "ignore", str(HERE / "peer_train.py"), str(root)]
    command += [recipe.backbone, str(height), str(width), str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        sys.exit("torchreid's engine did not run: see the error above")
    return float(json.loads(done.stdout.splitlines()[-1])["images_per_s"])


OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "deterministic": {"deterministic": True},
    "compiled (default)": {"compile": "default"},
    "compiled (reduce-overhead)": {"compile": "reduce-overhead"},
}


def compare_options(recipe: Recipe, steps: int) -> None:
    """``fit`` with each option, in turns, beside ``fit`` as it is."""
    known = {k: v for k, v in OPTIONS.items() if "reduce" not in k or torch.cuda.is_available()}
    rounds = [[ours(recipe, steps, **options) for options in known.values()] for _ in range(3)]
    medians = [sorted(column)[1] for column in zip(*rounds, strict=True)]
    for name, speed in zip(known, medians, strict=True):
        print(f"fit {name:<30}{speed:>9.0f} images/s{speed / medians[0]:>9.2f} of fit as it is")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", help="folder that holds Market-1501; default: embedded people")
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 64))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--precision", choices=("auto", "bf16"), default="auto", help="of ours")
    parser.add_argument("--options", action="store_true", help="determinism, compilation")
    given = parser.parse_args()
    if given.market:
        os.environ["REIDLIB_DATA"] = given.market
    recipe = baseline.RECIPE.but(
        weights=None,
        dataset="market1501" if given.market else "synthetic",
        backbone=given.backbone,
        size=tuple(given.size),
        erasing=0.5,
        precision=given.precision,
    )
    dataset = load(recipe.dataset)
    if given.options:
        compare_options(recipe, given.steps)
        return
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        market_like(dataset, Path(folder))
        for _ in range(3):  # in turns, so that all meet the same machine
            rounds.append(
                (
                    bare(recipe, dataset, given.steps),
                    ours(recipe, given.steps),
                    theirs(recipe, Path(folder), given.steps),
                )
            )
    a, b, c = (sorted(column)[1] for column in zip(*rounds, strict=True))
    print(f"{dataset.name}, {recipe.backbone}, {given.size[0]}x{given.size[1]}, batches of 64:")
    print(f"images/s, medians of 3: bare {a:.0f}, fit {b:.0f}, torchreid {c:.0f}")
    verdict("fit / bare step", b / a, ">= 0.95", b / a >= 0.95)
    goal = 4.0 if torch.cuda.is_available() else 2.0 if given.precision == "bf16" else 1.5
    verdict("fit / torchreid's engine", b / c, f">= {goal}", b / c >= goal)


if __name__ == "__main__":
    main()
