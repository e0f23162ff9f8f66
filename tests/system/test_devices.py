"""Which processor is used."""

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.system.devices import pick_device


@pytest.mark.parametrize(
    ("device", "message"), [("cud", 'unknown device "cud"'), ("cuda:99", "CUDA devices")]
)
def test_a_device_that_is_not_there(device, message):
    with pytest.raises(ReidError, match=message):
        pick_device(device)


def test_default_device_is_there():
    assert torch.zeros(1, device=pick_device()).item() == 0
