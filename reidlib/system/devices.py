"""The processors of this machine: how many cores and GPUs there are, and which one is used."""

from __future__ import annotations

import os
from typing import Literal

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
            f'devices{why_no_cuda()}: use another, or "cpu"'
        )
    return found


def why_no_cuda() -> str:
    """Why torch finds no GPU, in brackets and in its own words (the driver is too old, say); empty
    if it finds one."""
    if torch.cuda.is_available():
        return ""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return f" ({str(error).split('. ')[0].split(chr(10))[0].rstrip('.')})"
    return ""


def auto_precision(device: torch.device) -> Literal["bf16", "float32"]:
    """bf16 on a GPU that computes in it (Ampere and newer; Turing would emulate it, slowly)."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if native else "float32"
