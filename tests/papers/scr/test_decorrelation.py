"""Correlation between channels: constructed responses with known answers, then a network."""

import numpy as np
import pytest
import torch

from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.models import build
from reidlib.papers.scr.decorrelation import (
    branch_responses,
    correlations,
    decorrelation_table,
    group_correlation,
)

OPTIONS = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}


def test_copies_are_perfectly_correlated_whatever_their_scale_and_sign():
    one = torch.randn(50, 1)
    found = group_correlation(one * torch.tensor([1.0, -2.0, 0.5, 3.0]) + 7, 2)
    assert (found.within, found.across) == (pytest.approx(1), pytest.approx(1))
    assert (found.channels, found.images) == (4, 50)


def test_independent_channels_are_near_chance():
    found = group_correlation(torch.randn(400, 64), 2)
    assert found.chance == pytest.approx((2 / np.pi / 399) ** 0.5, rel=0.01)
    assert found.within == pytest.approx(found.chance, rel=0.1)
    assert found.across == pytest.approx(found.chance, rel=0.1)


def test_groups_that_agree_within_alone():
    a, b = torch.randn(2, 500, 1)
    responses = torch.cat([a.expand(-1, 3), b.expand(-1, 2)], 1)  # 3 and 2: as SCR cuts five
    found = group_correlation(responses, 2)
    assert found.within == pytest.approx(1)
    assert found.across < 0.1


def test_a_channel_that_never_changes_does_not_count():
    one = torch.randn(20, 1)
    responses = torch.cat([one, one, torch.full((20, 1), 3.3), one, one, torch.zeros(20, 1)], 1)
    found = group_correlation(responses, 2)
    assert (found.channels, found.within) == (4, pytest.approx(1))
    assert correlations(responses)[2].isnan().all()


def test_pearson_as_numpy_has_it():
    responses = torch.randn(30, 7)
    expected = np.corrcoef(responses.numpy().T)
    np.testing.assert_allclose(correlations(responses).numpy(), expected, atol=1e-6)


def test_a_table_of_networks():
    split = load("synthetic", **OPTIONS).query
    models = {
        "p2(c2)": (build("scr", 4, backbone="tiny", size=(64, 32), branches="p2(c2)"), "p2"),
        "p1": (build("scr", 4, backbone="tiny", size=(64, 32), branches="p1"), "p1"),
    }
    table = decorrelation_table(models, split, groups=2)
    assert list(table.index) == ["p2(c2)", "p1"]
    model, branch = models["p1"]
    responses = branch_responses(model, split, branch, batch_size=3)
    assert responses.shape == (len(split), 1024)
    found = group_correlation(responses, 2)
    row = table.loc["p1"]
    assert (row.within, row.across) == (pytest.approx(found.within), pytest.approx(found.across))
    assert row.ratio == pytest.approx(found.across / found.within)
    assert model.training


def test_what_cannot_be_compared():
    with pytest.raises(ReidError, match="over 2 images mean nothing"):
        group_correlation(torch.randn(2, 4), 2)
    with pytest.raises(ReidError, match="groups is 1, not from 2 to the 4"):
        group_correlation(torch.randn(9, 4), 1)
    with pytest.raises(ReidError, match="0 of 4 channels vary"):
        group_correlation(torch.ones(9, 4), 2)
