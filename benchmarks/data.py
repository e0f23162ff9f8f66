"""Batches from the image bank beside a torchvision DataLoader with the same augmentations.

    python benchmarks/data.py [--market ROOT] [--workers 2] [--batches 60]

Mirror, pad-and-crop, random erasing and random shifting (RMGL) at 256x128, batches of 64, on the
same files. Prints images/s of both, their ratio (goal: at least 8 on two cores), and the share that
data takes of a training step of ``tiny`` at 96x48 (goal: at most 10 %).
"""

from __future__ import annotations

import argparse
import random
import time
import warnings
from typing import Any

import torch
import torchvision.transforms as T
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from reidlib.data import ImageBank, load
from reidlib.data.batches import Batches
from reidlib.data.sampler import IdentitySampler
from reidlib.papers.comparators import baseline
from reidlib.train.build import build_batches, build_model, build_optimizer

SIZE = (256, 128)


class Shift:
    """Random shifting as a PIL transform."""

    def __call__(self, image: Image.Image) -> Image.Image:
        height, width = SIZE
        rows = round(height * random.uniform(0.7, 1)) if random.random() < 0.5 else height
        top = random.randint(0, height - rows)
        h = min(height, round(rows * random.uniform(0.5, height / rows)))
        w = round(width * random.uniform(0.5, 1))
        patch = image.crop((0, top, width, top + rows)).resize((w, h), Image.Resampling.BILINEAR)
        frame = Image.new("RGB", (width, height), (127, 127, 127))
        frame.paste(patch, (random.randint(0, width - w), random.randint(0, height - h)))
        return frame


class Files(Dataset):
    """Files decoded and augmented one by one, as most public code does."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        self.transform = T.Compose(
            [
                T.Resize(SIZE),
                T.RandomHorizontalFlip(),
                T.Pad(10),
                T.RandomCrop(SIZE),
                Shift(),
                T.ToTensor(),
                T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
                T.RandomErasing(0.5, (0.02, 0.4)),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> Any:
        with Image.open(self.paths[i]) as image:
            return self.transform(image.convert("RGB"))


def ours(batches: Batches, number: int) -> float:
    """Images per second of our batches."""
    batches(0)  # compiles the reader
    start = time.perf_counter()
    for step in range(number):
        batches(step)
    return number * 64 / (time.perf_counter() - start)


def theirs(paths: list[str], number: int, workers: int) -> float:
    """Images per second of the DataLoader, its workers' start not counted."""
    loader = DataLoader(Files(paths), 64, shuffle=True, num_workers=workers, drop_last=True)
    iterator = iter(loader)
    next(iterator)
    start = time.perf_counter()
    count = 0
    while count < number:
        try:
            next(iterator)
            count += 1
        except StopIteration:
            break
    return count * 64 / (time.perf_counter() - start)


def share_of_step(dataset: Any, steps: int = 20) -> float:
    """Share of data in a training step of ``tiny`` at 96x48, all four augmentations on."""
    recipe = baseline.RECIPE.but(
        weights=None, backbone="tiny", size=(96, 48), erasing=0.5, shifting=1.0
    )
    bank = ImageBank.from_split(dataset.train, recipe.size)
    batches = build_batches(recipe, bank)
    model = build_model(recipe, dataset.num_ids).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(recipe, model)
    data = whole = 0.0
    for step in range(steps + 3):
        start = time.perf_counter()
        batch = batches(step)
        middle = time.perf_counter()
        optimizer.zero_grad()
        model.loss(batch)["loss"].backward()
        optimizer.step()
        if step >= 3:
            data += middle - start
            whole += time.perf_counter() - start
    return data / whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--market", help="folder that holds Market-1501; default: embedded people")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    dataset = load("market1501", given.market) if given.market else load("synthetic")
    bank = ImageBank.from_split(dataset.train, SIZE)
    batches = Batches(
        bank, IdentitySampler(bank.pid, 16, 4), pad_crop=10 / 256, erasing=0.5, shifting=1.0
    )
    rounds = []
    for _ in range(3):  # in turns, so that both meet the same machine
        a = ours(batches, given.batches)
        rounds.append((a, theirs(list(dataset.train.path), given.batches, given.workers)))
    a, b = (sorted(column)[1] for column in zip(*rounds, strict=True))
    print(f"{dataset.name}, {SIZE[0]}x{SIZE[1]}, batches of 64, medians of 3 rounds")
    print(f"ours                    {a:8.0f} images/s")
    print(f"DataLoader, {given.workers} workers   {b:8.0f} images/s")
    print(f"ratio                   {a / b:8.1f} (goal: at least 8)")
    print(f"share of a tiny step    {100 * share_of_step(dataset):8.1f} % (goal: at most 10 %)")


if __name__ == "__main__":
    main()
