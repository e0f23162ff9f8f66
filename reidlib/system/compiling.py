"""``torch.compile`` as an option: the same mathematics in fewer, larger kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

import torch

from reidlib.errors import ReidError, nearest

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
