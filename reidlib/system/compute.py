"""How a device computes: in float32 without TF32, with the same bits every time, compiled.

What is set is set for a while, then put back.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, get_args

import torch

from reidlib.errors import ReidError, nearest

_EXACT = threading.RLock()
_before: list[tuple[str, bool]] = []  # one entry for each block that is open now, in any thread


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products and convolutions in float32, whatever is set elsewhere.

    TF32 keeps 10 of the 23 bits of a factor, and torch's convolutions use it unless they are told.
    Training in bf16 asks for less precision where it does no harm; what is left in float32 (losses,
    distances, the metrics) is there because it needs it.

    The setting is the process's, not the thread's: what stood before the first of several blocks
    that overlap comes back when the last of them ends.
    """
    cudnn = torch.backends.cudnn
    with _EXACT:
        found = (torch.get_float32_matmul_precision(), cudnn.allow_tf32)
        _before.append(_before[0] if _before else found)
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = False
    try:
        yield
    finally:
        with _EXACT:
            matmul, convolution = _before.pop()
            if not _before:
                torch.set_float32_matmul_precision(matmul)
                cudnn.allow_tf32 = convolution


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """If ``wanted``, only algorithms that give the same bits every time on the same machine; else
    those that are the fastest.

    On the CPU training is exact anyway. On CUDA cuDNN then chooses among fewer algorithms; else it
    tries all of them at the first batch, which has the shape of every other one. Raises ReidError
    where an operation has no such algorithm on this device (the gradient of
    ``grid_sample`` on CUDA is one).
    """
    cudnn = torch.backends.cudnn
    if not wanted:
        found, cudnn.benchmark = cudnn.benchmark, True
        try:
            yield
        finally:
            cudnn.benchmark = found
        return
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


T = TypeVar("T")
Mode = Literal["default", "reduce-overhead", "max-autotune"]


def check_mode(mode: str | None) -> None:
    """Raises ReidError for a mode that torch.compile does not have."""
    if mode is not None and mode not in get_args(Mode):
        raise ReidError(f'compile has no mode "{mode}"{nearest(mode, get_args(Mode))}')


def forget() -> None:
    """Drops what was compiled for other models: torch keeps eight variants of a function, and then
    compiles no more."""
    torch.compiler.reset()


def compiled(function: Callable[..., T], mode: str | None) -> Callable[..., T]:
    """``function`` compiled for the shapes it meets; itself if ``mode`` is None.

    mode: "default"; "reduce-overhead" replays a step as one CUDA graph where shapes are static, so
    what it returns is overwritten by the next call; "max-autotune" also measures kernels. The first
    call takes up to some minutes. Rounding differs in the last bits, and so do draws (dropout).
    Raises ReidError when it is called, if the compiler fails (none is installed, say).
    """
    if mode is None:
        return function
    check_mode(mode)
    fast = torch.compile(function, mode=mode, dynamic=False)

    def call(*arguments: Any) -> T:
        torch.compiler.cudagraph_mark_step_begin()
        try:
            return fast(*arguments)
        except Exception as error:
            if not type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
                raise
            reason = " ".join(str(error).split())[:200]
            raise ReidError(
                f"torch.compile failed ({type(error).__name__}: {reason}): it needs a C++ compiler "
                "and operations that it knows; leave out compile"
            ) from error

    return call
