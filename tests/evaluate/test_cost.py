"""Table 4 of VCN: counted without weights, equal to what a real model has."""

import pytest
import torch
from torch import Tensor, nn

from reidlib import models
from reidlib.evaluate.cost import beside_printed, cost, gmacs, in_classifiers
from reidlib.models import ReIDModel
from reidlib.models.base import count_parameters
from reidlib.papers.vcn import recipe as vcn
from reidlib.train.recipe import outline
from reidlib.workbook import published


class Known(ReIDModel):
    """A 3x3 convolution from 3 to 8 channels and a linear layer from 8 to 5."""

    def __init__(self) -> None:
        super().__init__()
        self.size = (16, 10)
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"feature": self.fc(self.conv(images).mean((2, 3)))}


SMALL = vcn.RECIPE.but(backbone="tiny", size=(96, 32))


def test_an_outline_counts_what_the_model_has():
    shapes = outline(SMALL, num_ids=7)
    model = models.build("vcn", 7, backbone="tiny", size=(96, 32))
    assert {p.device.type for p in shapes.parameters()} == {"meta"}
    assert count_parameters(shapes) == count_parameters(model)
    found = cost(shapes)
    assert found["GMACs"] == pytest.approx(gmacs(model))
    classifiers = 7 * (1024 + 6 * 1024) + 2 * 7
    assert found["parameters (M)"] == pytest.approx((count_parameters(model) - classifiers) / 1e6)


def test_what_counters_add():
    class Two(nn.Module):
        size = (4, 2)

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1, bias=False)
            self.norm, self.relu = nn.BatchNorm2d(5), nn.ReLU()

        def encode(self, images):
            return {"feature": self.relu(self.relu(self.norm(self.conv(images))))}

    found = cost(Two())
    assert found["GMACs"] == pytest.approx(3 * 5 * 8 / 1e9)
    assert found["+ batch norm"] - found["GMACs"] == pytest.approx(2 * 40 / 1e9)
    assert found["+ ReLU"] - found["+ batch norm"] == pytest.approx(2 * 40 / 1e9)


def test_table_4_states_the_mismatch_of_m():
    dilated = {"backbone": "resnet50_m"}
    groups = {
        "(M)": {
            "ResNet-50 (M)": outline(vcn.RECIPE, use_spatial=False, **dilated),
            "Ours (M)": outline(vcn.RECIPE, **dilated),
            "SONA (ICCV 19)": None,
            "Ours (M), K = 3": outline(vcn.RECIPE, kernels=3, **dilated),
        }
    }
    table = beside_printed(groups, published.values("vcn_table4"))
    added = table["parameters (M) added"].round(2)
    assert added.dropna().tolist() == [0, 0.71, 0.41]
    quoted = table.loc["SONA (ICCV 19)"]
    assert quoted.dropna().tolist() == [32.44, 8.93, 18.75, 0.01], "printed values alone"
    assert table.loc["Ours (M)", "parameters (M) added, printed"] == 0.42
    assert table.loc["ResNet-50 (M)", "parameters (M)"] == pytest.approx(23.51, abs=0.005)
    assert table.loc["Ours (M)", "GMACs"] == pytest.approx(18.74, rel=0.01)
    assert table.loc["Ours (M)", "GMACs added"] > 5e-4  # not the printed 1e-4
    assert torch.isnan(torch.tensor(table.loc["Ours (M), K = 3", "GMACs printed"]))


def test_batched_classifiers_are_left_out_too() -> None:
    model = outline(SMALL.but(model="mgn", options={}), num_ids=7)
    ends = sum(h.classifier.numel() + h.bias.numel() for h in model.heads)
    assert in_classifiers(model) == ends == 7 * 257 * 8


def test_gmacs_of_a_known_model():
    model = Known().train()
    macs = 16 * 10 * 8 * 3 * 9 + 8 * 5
    assert gmacs(model) == pytest.approx(macs / 1e9)
    assert model.training


def test_gmacs_of_resnet50_at_384x128():
    """VCN's Table 4 prints 6.12 G for its ResNet-50 (O) and calls it FLOPS: they are MACs, 0.7 %
    more of them than the convolutions have."""
    with torch.device("meta"):
        model = models.build("baseline", 751, backbone="resnet50", size=(384, 128))
    assert gmacs(model) == pytest.approx(6.12, rel=0.01)
    assert gmacs(model) == pytest.approx(6.0799, abs=1e-4)
