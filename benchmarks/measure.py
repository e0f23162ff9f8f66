"""Seconds, peak memory, generated features and the peer's process, for the scripts beside it."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent


def seconds(function: Callable[[], Any], repeats: int = 1) -> float:
    """The shortest of some runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def in_turns(parts: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Of each part the shortest of ``rounds``, taken in turns: all see the same machine."""
    best = dict.fromkeys(parts, float("inf"))
    for _ in range(rounds):
        for name, part in parts.items():
            best[name] = min(best[name], seconds(part))
    return best


def forward_options(description: str) -> argparse.Namespace:
    """backbone, size, batch and rounds of a benchmark of forward passes."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, nargs=2, default=(384, 128))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def memory(key: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (the peak) of this process in GiB. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 2**20


def peak_beyond(function: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds, and by how many GiB the peak exceeds the memory held before the call."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = memory("VmRSS")
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start, memory("VmHWM") - before


def features(
    number: int, dim: int, pid: np.ndarray, seed: int = 0, noise: float = 1.5
) -> torch.Tensor:
    """L2-normalised features around a centre for each identity; identity 0 has none."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(int(pid.max()) + 1, dim, generator=torch.Generator().manual_seed(99))
    centre[0] = 0
    x = noise * torch.randn(number, dim, generator=generator)
    x += centre[torch.from_numpy(pid)]
    return torch.nn.functional.normalize(x)


def market_labels(num_gallery: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Identities and cameras in Market-1501's proportions: 3,368 queries of 750 persons, 13,115
    gallery images of them (two thirds of any other number), the rest distractors."""
    rng = np.random.default_rng(seed)
    shown = min(13115, 2 * num_gallery // 3)
    g_pid = np.concatenate([rng.integers(1, 751, shown), np.zeros(num_gallery - shown, int)])
    return {
        "q_pid": rng.integers(1, 751, 3368),
        "g_pid": rng.permutation(g_pid),
        "q_cam": rng.integers(0, 6, 3368),
        "g_cam": rng.integers(0, 6, num_gallery),
    }


def peer_python() -> str:
    """The interpreter of torchreid's environment; exits if it is not there."""
    python = os.environ.get(
        "REIDLIB_PEERS", str(HERE.parent / "build" / "peers" / "bin" / "python")
    )
    if not Path(python).is_file():
        sys.exit(f"no {python}: make the environment that benchmarks/README.md describes")
    return python


def torchreid(task: str, arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], np.ndarray]:
    """Runs benchmarks/peer_torchreid.py on the same inputs: what it measured and its result."""
    python = peer_python()
    with tempfile.TemporaryDirectory() as folder:
        for name, array in arrays.items():
            np.save(f"{folder}/{name}.npy", array)
        command = [python, "-W", "ignore", str(HERE / "peer_torchreid.py"), task, folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1]), np.load(f"{folder}/result.npy")


def again(script: str, *arguments: str) -> dict[str, Any]:
    """Runs a part of ``script`` in a fresh process, so that peaks of memory do not mix."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def verdict(name: str, value: float, goal: str, met: bool) -> None:
    """One line of the result."""
    print(f"{name:<58}{value:>9.2f}   goal {goal:<12}{'met' if met else 'MISSED'}", flush=True)
