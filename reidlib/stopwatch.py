"""Where a step's time goes, measured without making an accelerator wait at every step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stopwatch:
    """``with watch("forward"): ...`` adds to that part.

    On the CPU every step counts. On an accelerator work is only queued, so one step in ``every`` is
    timed with the device brought to rest before and after each part.
    """

    def __init__(self, device: torch.device, every: int = 50) -> None:
        self.device, self.every = device, every
        self.seconds: dict[str, float] = {}
        self._calls: dict[str, int] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        calls = self._calls[part] = self._calls.get(part, 0) + 1
        cuda = self.device.type == "cuda"
        if cuda and calls % self.every != 0:
            yield
            return
        if cuda:
            torch.cuda.synchronize(self.device)
        start = time.perf_counter()
        yield
        if cuda:
            torch.cuda.synchronize(self.device)
        self.seconds[part] = self.seconds.get(part, 0.0) + time.perf_counter() - start

    def shares(self) -> dict[str, float]:
        """Share of each part in the measured time; they sum to 1 (empty if nothing was timed)."""
        total = sum(self.seconds.values())
        return {part: value / total for part, value in self.seconds.items()} if total else {}
