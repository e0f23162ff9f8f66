"""How fast a run was against what its device can do.

A multiply-accumulate (MAC) is two floating-point operations.
"""

from __future__ import annotations

import time
from functools import cache

import torch

from reidlib.evaluate.cost import gmacs
from reidlib.models.base import ReIDModel, device_of


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


def speed_report(
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
