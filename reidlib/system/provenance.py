"""Where and with what a run was made."""

from __future__ import annotations

import platform
import subprocess

import torch

import reidlib
from reidlib.system.files import root


def provenance(device: torch.device) -> dict[str, str | int | bool]:
    """Device, threads, commit and versions; whether float32 was rounded to TF32."""
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else platform.machine() + " CPU",
        "tf32": cuda
        and (torch.backends.cudnn.allow_tf32 or torch.get_float32_matmul_precision() != "highest"),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "reidlib": reidlib.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit of the library, with "-dirty" if its files differ from it; tables and figures,
    which runs write, do not count. "unknown" without git. In full: in a CSV a short one like
    995e352 reads as a number."""
    head = _git("rev-parse", "HEAD")
    return head + ("-dirty" if _git("status", "--porcelain", "--", "reidlib") else "") or "unknown"


def _git(*command: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root()), *command], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
