"""Where a step's time goes, measured without making an accelerator wait at every step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import record_function


class Stopwatch:
    """``with watch("forward"): ...`` adds to that part.

    On the CPU every step counts. On an accelerator work is only queued, so the second step and one
    in ``every`` are timed, with the device brought to rest before and after each part. The first
    step, which also compiles and allocates, counts only while there is no other. A profiler's
    trace shows the parts by name.
    """

    def __init__(self, device: torch.device, every: int = 50) -> None:
        self.device, self.every = device, every
        self.seconds: dict[str, float] = {}
        self._calls: dict[str, int] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        calls = self._calls[part] = self._calls.get(part, 0) + 1
        cuda = self.device.type == "cuda"
        if cuda and calls > 2 and calls % self.every != 0:
            with record_function(part):
                yield
            return
        if cuda:
            torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        with record_function(part):
            yield
        if cuda:
            torch.cuda.synchronize(self.device)
        before = self.seconds.get(part, 0.0) if calls != 2 else 0.0
        self.seconds[part] = before + time.perf_counter() - start

    def shares(self) -> dict[str, float]:
        """Share of each part in the measured time; they sum to 1 (empty if nothing was timed)."""
        total = sum(self.seconds.values())
        return {part: value / total for part, value in self.seconds.items()} if total else {}
