"""The processors of this machine: how many cores and GPUs there are, and which one is used."""

from __future__ import annotations

import os

import torch

from reidlib.errors import ReidError


def cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def gpus() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if not torch.cuda.is_available():
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(torch.cuda.device_count())]


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device that is asked for; by default CUDA if there is one, else the CPU.

    Raises ReidError if it is not there.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ReidError(f'unknown device "{device}": use "cpu", "cuda" or "cuda:1"') from None
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise ReidError(
            f'device "{device}" is asked for and torch finds {torch.cuda.device_count()} CUDA '
            'devices: use another, or "cpu"'
        )
    return found
