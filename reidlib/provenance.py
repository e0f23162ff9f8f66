"""Where and with what a run was made."""

from __future__ import annotations

import platform
import subprocess

import torch

import reidlib
from reidlib.paths import root


def provenance(device: torch.device) -> dict[str, str | int | bool]:
    """Device, threads, commit and versions; whether float32 was rounded to TF32."""
    cuda = device.type == "cuda"
    try:
        command = ["git", "-C", str(root()), "describe", "--always", "--dirty"]
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.machine() + " CPU",
        "tf32": cuda
        and (torch.backends.cudnn.allow_tf32 or torch.get_float32_matmul_precision() != "highest"),
        "threads": torch.get_num_threads(),
        "commit": commit or "unknown",
        "reidlib": reidlib.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
