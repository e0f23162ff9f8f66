"""Which processor is used."""

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.system.devices import auto_precision, pick_device, why_no_cuda


@pytest.mark.parametrize(
    ("device", "message"), [("cud", 'unknown device "cud"'), ("cuda:99", "CUDA devices")]
)
def test_a_device_that_is_not_there(device, message):
    with pytest.raises(ReidError, match=message):
        pick_device(device)


def test_default_device_is_there():
    assert torch.zeros(1, device=pick_device()).item() == 0


def test_bf16_only_where_it_is_not_emulated(monkeypatch):
    """Turing emulates it: ``is_bf16_supported()`` is true there."""
    for native, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, own=native: own or including_emulation,
        )
        assert auto_precision(torch.device("cuda")) == expected
    assert auto_precision(torch.device("cpu")) == "float32"


def test_why_there_is_no_gpu_is_said_in_the_drivers_words(monkeypatch):
    def old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Ask")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", old)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert why_no_cuda() == (" (The NVIDIA driver on your system is too old (found version 11040))")
    with pytest.raises(ReidError, match=r"0 CUDA devices .*driver on your system is too old"):
        pick_device("cuda")
