"""How fast a run was against what its device can do.

Multiply-accumulates (MACs) are counted; a floating-point operation is half of one. The papers print
MACs and call them FLOPs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating


def gmacs(model: ReIDModel) -> float:
    """Multiply-accumulates, in billions, of encoding one image (convolutions and matrix products).

    Counted by torch on one image; the model's mode and weights stay as they are.
    """
    image = torch.zeros(1, 3, *model.size, device=device_of(model))
    with evaluating(model):
        return gmacs_of(lambda: model.encode(image))


def gmacs_of(call: Callable[[], object]) -> float:
    """The same of whatever ``call`` computes."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


@cache
def matrix_peak(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """TFLOP/s of a large matrix product on this device, the best of some: the practical limit.

    Takes about half a second on two CPU cores; measured once a process.
    """
    cuda = device.type == "cuda"
    n = 8192 if cuda else 2048
    a = torch.randn(n, n, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        if cuda:
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        a @ a
        if cuda:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e12


def report(
    model: ReIDModel, images_per_s: float, dtype: torch.dtype = torch.float32, devices: int = 1
) -> dict[str, float]:
    """images_per_s, gmacs (forward, one image), tflops achieved in training, the device's measured
    matrix peak (times ``devices`` that train together), and the share of it.

    A training step counts as three forward passes: backward computes two products for each one.
    """
    forward = gmacs(model)
    achieved = 3 * 2 * forward * images_per_s / 1e3
    peak = matrix_peak(device_of(model), dtype) * devices
    return {
        "images_per_s": images_per_s,
        "gmacs": forward,
        "tflops": achieved,
        "peak_tflops": peak,
        "share_of_peak": achieved / peak,
    }
