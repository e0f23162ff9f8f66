"""Counting multiply-accumulates."""

import pytest
import torch
from torch import Tensor, nn

from reidlib.evaluate import throughput
from reidlib.models import ReIDModel, build


class Known(ReIDModel):
    """A 3x3 convolution from 3 to 8 channels and a linear layer from 8 to 5."""

    def __init__(self) -> None:
        super().__init__()
        self.size = (16, 10)
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"feature": self.fc(self.conv(images).mean((2, 3)))}


def test_gmacs_of_a_known_model():
    model = Known().train()
    macs = 16 * 10 * 8 * 3 * 9 + 8 * 5
    assert throughput.gmacs(model) == pytest.approx(macs / 1e9)
    assert model.training


def test_gmacs_of_resnet50_at_384x128():
    """VCN's Table 4 prints 6.12 G for its ResNet-50 (O) and calls it FLOPS: they are MACs, 0.7 %
    more of them than the convolutions have."""
    with torch.device("meta"):
        model = build("baseline", 751, backbone="resnet50", size=(384, 128))
    assert throughput.gmacs(model) == pytest.approx(6.12, rel=0.01)
    assert throughput.gmacs(model) == pytest.approx(6.0799, abs=1e-4)
