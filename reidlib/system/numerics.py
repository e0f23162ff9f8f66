"""How exactly a device computes: float32 without TF32, and the same bits every time. Set for a
while, then put back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from reidlib.errors import ReidError


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products and convolutions in float32, whatever is set elsewhere.

    TF32 keeps 10 of the 23 bits of a factor, and torch's convolutions use it unless they are told.
    Training in bf16 asks for less precision where it does no harm; what is left in float32 (losses,
    distances, the metrics) is there because it needs it.
    """
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """If ``wanted``, only algorithms that give the same bits every time on the same machine.

    On the CPU training is exact anyway. On CUDA cuDNN then chooses among fewer algorithms. Raises
    ReidError where an operation has no such algorithm on this device (the gradient of
    ``grid_sample`` on CUDA is one).
    """
    if not wanted:
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    flags, workspace = (cudnn.deterministic, cudnn.benchmark), "CUBLAS_WORKSPACE_CONFIG"
    kept = os.environ.get(workspace)
    if kept not in (":4096:8", ":16:8"):
        os.environ[workspace] = ":4096:8"  # cuBLAS: a workspace of its own for every stream
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        reason = str(error).split(".")[0]
        raise ReidError(f"{reason}: train this model without deterministic") from error
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        cudnn.deterministic, cudnn.benchmark = flags
        os.environ.pop(workspace)
        if kept is not None:
            os.environ[workspace] = kept
