"""Table 4 of VCN: counted without weights, equal to what a real model has."""

import pytest
import torch
from torch import nn

from reidlib import models
from reidlib.evaluate import complexity
from reidlib.evaluate.throughput import gmacs
from reidlib.models.base import count_parameters
from reidlib.papers.vcn import recipe as vcn

SMALL = vcn.RECIPE.but(backbone="tiny", size=(96, 32))


def test_an_outline_counts_what_the_model_has():
    outline = complexity.outline(SMALL, num_ids=7)
    model = models.build("vcn", 7, backbone="tiny", size=(96, 32))
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert count_parameters(outline) == count_parameters(model)
    found = complexity.cost(outline)
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

    found = complexity.cost(Two())
    assert found["GMACs"] == pytest.approx(3 * 5 * 8 / 1e9)
    assert found["+ batch norm"] - found["GMACs"] == pytest.approx(2 * 40 / 1e9)
    assert found["+ ReLU"] - found["+ batch norm"] == pytest.approx(2 * 40 / 1e9)


def test_table_4_states_the_mismatch_of_m():
    dilated = {"backbone": "resnet50_m"}
    groups = {
        "(M)": {
            "ResNet-50 (M)": complexity.outline(vcn.RECIPE, use_spatial=False, **dilated),
            "Ours (M)": complexity.outline(vcn.RECIPE, **dilated),
            "Ours (M), K = 3": complexity.outline(vcn.RECIPE, kernels=3, **dilated),
        }
    }
    table = complexity.table(groups, "vcn_table4")
    added = table["parameters (M) added"].round(2)
    assert added.tolist() == [0, 0.71, 0.41]
    assert table.loc["Ours (M)", "parameters (M) added, printed"] == 0.42
    assert table.loc["ResNet-50 (M)", "parameters (M)"] == pytest.approx(23.51, abs=0.005)
    assert table.loc["Ours (M)", "GMACs"] == pytest.approx(18.74, rel=0.01)
    assert table.loc["Ours (M)", "GMACs added"] > 5e-4  # not the printed 1e-4
    assert torch.isnan(torch.tensor(table.loc["Ours (M), K = 3", "GMACs printed"]))


def test_batched_classifiers_are_left_out_too() -> None:
    model = complexity.outline(SMALL.but(model="mgn", options={}), num_ids=7)
    ends = sum(h.classifier.numel() + h.bias.numel() for h in model.heads)
    assert complexity.in_classifiers(model) == ends == 7 * 257 * 8
