"""The speed of a run beside its device's."""

import pytest
import torch

from reidlib.models import build
from reidlib.train import speed


def test_the_report_follows_the_definition(monkeypatch):
    monkeypatch.setattr(speed, "matrix_peak", lambda device, dtype: 0.5)
    report = speed.speed_report(build("baseline", 4, backbone="tiny", size=(32, 16)), 1000.0)
    assert report["tflops"] == pytest.approx(3 * 2 * report["gmacs"] * 1000 / 1e3)
    assert report["share_of_peak"] == pytest.approx(report["tflops"] / 0.5)


def test_the_peak_is_that_of_a_matrix_product():
    peak = speed.matrix_peak(torch.device("cpu"))
    assert 0.001 < peak < 100  # a single slow core to a large server
    assert speed.matrix_peak(torch.device("cpu")) == peak  # measured once
