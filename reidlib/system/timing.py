"""Where a step's time goes: its parts by a stopwatch, its operations by the profiler."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile, record_function, schedule
from tqdm import tqdm

from reidlib.system.files import atomic_path


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


SKIPPED, WARMUP, STEPS, TOP = 5, 1, 4, 12  # the first steps compile and allocate


@contextmanager
def tracing(
    path: str | os.PathLike[str] | None, device: torch.device, steps: int
) -> Iterator[Callable[[], None]]:
    """Yields what to call at the end of each step; None traces nothing.

    Of the ``steps`` that follow, 6 pass and 4 are traced (fewer of a shorter run), written to
    ``path`` as Chrome's JSON (also ``.json.gz``), and their top operations are printed.
    Raises ReidError if ``path`` cannot be written.
    """
    if path is None:
        yield lambda: None
        return
    active = min(STEPS, steps)
    warmup = min(WARMUP, steps - active)
    skipped = min(SKIPPED, steps - active - warmup)

    def write(done: profile) -> None:
        with atomic_path(path) as part:
            done.export_chrome_trace(str(part))
        kind = "device" if device.type == "cuda" else "cpu"
        table = done.key_averages().table(f"self_{kind}_time_total", TOP, max_name_column_width=50)
        tqdm.write(f"{active} steps, traced in {path}:\n{table}")

    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    plan = schedule(skip_first=skipped, wait=0, warmup=warmup, active=active, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as running:
        yield running.step
