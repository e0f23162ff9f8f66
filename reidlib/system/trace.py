"""A profiler's trace of a few training steps, for chrome://tracing or ui.perfetto.dev."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule
from tqdm import tqdm

from reidlib.system.io import atomic_path

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
        tqdm.write(f"{active} steps, traced in {path}:\n{table(done.key_averages(), device)}")

    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    plan = schedule(skip_first=skipped, wait=0, warmup=warmup, active=active, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as running:
        yield running.step


def table(events: Any, device: torch.device, top: int = TOP) -> str:
    """The operations that take most time themselves (without what they call): ms, share, calls."""
    kind = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    micro = {event.key: getattr(event, kind) for event in events}
    calls = {event.key: event.count for event in events}
    total = sum(micro.values()) or 1
    lines = [f"{'ms':>10} {'share':>6} {'calls':>7}  operation"]
    for key in sorted(micro, key=lambda key: -micro[key])[:top]:
        lines.append(
            f"{micro[key] / 1e3:>10.2f} {micro[key] / total:>6.1%} {calls[key]:>7}  {key[:70]}"
        )
    return "\n".join(lines)
