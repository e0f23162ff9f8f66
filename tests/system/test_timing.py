"""Shares of a step's time: every step on the CPU, some on an accelerator."""

import time

import pytest
import torch

from reidlib.system.timing import Stopwatch


def timed(watch: Stopwatch, seconds: list[float], monkeypatch) -> dict[str, float]:
    """What the watch holds after steps that take ``seconds`` by a clock of our own."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    for step in seconds:
        with watch("part"):
            clock[0] += step
    return watch.seconds


def test_the_first_step_counts_only_alone(monkeypatch):
    cpu = torch.device("cpu")
    assert timed(Stopwatch(cpu), [9], monkeypatch) == {"part": 9}
    assert timed(Stopwatch(cpu), [9, 1, 2, 3], monkeypatch) == {"part": 6}


def test_an_accelerator_rests_for_few_steps_only(monkeypatch):
    rests = []
    monkeypatch.setattr(torch.cuda, "synchronize", rests.append)
    watch = Stopwatch(torch.device("cuda"), every=5)
    assert timed(watch, [100, 1, 10, 10, 2, 10, 10, 10, 10, 4, 10], monkeypatch) == {"part": 7}
    assert len(rests) == 2 * 4  # steps 1, 2, 5 and 10
    assert timed(Stopwatch(torch.device("cuda")), [7], monkeypatch) == {"part": 7}


def test_shares_add_up_to_one():
    watch = Stopwatch(torch.device("cpu"))
    assert watch.shares() == {}
    watch.seconds = {"data": 1.0, "forward": 3.0}
    assert watch.shares() == pytest.approx({"data": 0.25, "forward": 0.75})
