"""Many small runs: single-threaded processes beside one process that has all the threads.

    python benchmarks/sweep.py [--runs 12] [--steps 60] [--rounds 3]

The same recipes (``tiny``, 96x48, batches of 64 embedded people; seeds and margins differ) are
trained from nothing, in turn: in one process with all threads, in as many single-threaded processes
as there are cores. All are started anew; a
start (until torch is loaded) counts apart. Prints seconds, the ratio to one process, and in how
many runs the weights equal, bit for bit, those of one process with all threads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from safetensors.torch import load_file

from reidlib.papers.comparators import baseline
from reidlib.system.devices import cores
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run
from reidlib.train.sweep import fit_all, processes

SMALL = baseline.RECIPE.but(weights=None, dataset="synthetic", backbone="tiny", size=(96, 48))


def variants(number: int, steps: int) -> list[Recipe]:
    """Different recipes of equal cost."""
    margins = (0.2, 0.3, 0.5)
    return [SMALL.but(seed=i // 3, margin=margins[i % 3], steps=steps) for i in range(number)]


def equal(first: Sequence[Run], second: Sequence[Run]) -> str:
    """In how many runs all weights are equal."""
    same = 0
    for a, b in zip(first, second, strict=True):
        left, right = (load_file(run.path / "weights.safetensors") for run in (a, b))
        same += all(torch.equal(left[key], right[key]) for key in left)
    return f"{same} of {len(first)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    n = cores()
    recipes = variants(given.runs, given.steps)
    ways: dict[str, Callable[[], AbstractContextManager[Executor]]] = {
        f"1 process, {n} threads": lambda: processes(1, n),
        f"{n} processes, 1 thread": lambda: processes(n, 1),
    }
    starts: dict[str, list[float]] = {way: [] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    print(f"{given.runs} runs of {given.steps} steps, medians of {given.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        recipes[0].load_dataset()  # drawn before the first one is timed
        for i in range(given.rounds):
            results: list[list[Run]] = []
            for j, (way, start) in enumerate(ways.items()):
                began = time.perf_counter()
                with start() as executor:
                    for call in [executor.submit(cores) for _ in range(n)]:
                        call.result()  # their answer needs torch
                    ready = time.perf_counter()
                    store = Path(folder) / f"{i}-{j}"
                    options = {"device": "cpu", "store": store, "progress": False}
                    results.append(fit_all(recipes, executor=executor, **options))
                    seconds[way].append(time.perf_counter() - ready)
                starts[way].append(ready - began)
        base = statistics.median(next(iter(seconds.values())))
        for way, found in zip(ways, results, strict=True):
            middle = statistics.median(seconds[way])
            print(
                f"{way:<28} {middle:7.1f} s   speed {base / middle:5.2f}   "
                f"start {statistics.median(starts[way]):4.1f} s   "
                f"equal weights {equal(results[0], found)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
