"""Models by name, and what all of them share."""

import pytest
import torch
from torch import nn

from reidlib import models
from reidlib.errors import ReidError
from reidlib.models.base import ReIDModel, accuracy, count_parameters, init_classifier


def test_build_passes_what_it_is_given():
    model = models.build("baseline", 7, backbone="tiny", size=(64, 32), neck=False, margin=1)
    assert isinstance(model, models.model_class("baseline"))
    assert model.size == (64, 32)
    assert model.classifier.out_features == 7
    assert isinstance(model.neck, nn.Identity)
    assert model.margin == 1.0
    assert isinstance(model.margin, float)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("baselin", {}, 'unknown model "baselin", did you mean "baseline"'),
        ("zzz", {}, 'unknown model "zzz", choose from: .*baseline'),
        (
            "baseline",
            {"triplt": 1.0},
            'model baseline has no option "triplt", did you mean "triplet"',
        ),
        (
            "baseline",
            {"margin": "0.3"},
            r"model baseline: option margin is '0\.3' \(str\), not float",
        ),
        ("baseline", {"neck": 1}, "model baseline: option neck is 1"),
        ("baseline", {"pooling": "mean"}, 'option pooling: unknown "mean", choose from: avg, max'),
        ("baseline", {"backbone": "tinny"}, 'unknown backbone "tinny", did you mean "tiny"'),
        ("baseline", {"backbone": "tiny", "last_stride": 4}, "last_stride is 4"),
    ],
)
def test_what_is_not_known_is_one_sentence(name, options, message):
    with pytest.raises(ReidError, match=message):
        models.build(name, 3, **options)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_common_settings_are_no_options(name):
    names = models.option_names(name)
    assert not names & {"num_ids", "backbone", "weights", "size", "self"}
    assert models.check_options(name, {}) == {}
    with pytest.raises(ReidError, match='has no option "backbone"'):
        models.check_options(name, {"backbone": "tiny"})


def test_the_distance_is_one_minus_the_cosine():
    query, gallery = torch.randn(3, 8), torch.randn(5, 8) * 10
    gallery[0], gallery[1] = query[0] * 4, -query[0]
    found = ReIDModel().distance({"feature": query}, {"feature": gallery})
    assert found.shape == (3, 5)
    for i in range(3):
        for j in range(5):
            q, g = query[i].double(), gallery[j].double()
            assert float(found[i, j]) == pytest.approx(
                1 - float(q @ g / q.norm() / g.norm()), abs=1e-6
            )
    assert found[0, 0] == pytest.approx(0, abs=1e-6)
    assert found[0, 1] == pytest.approx(2, abs=1e-6)


def test_the_base_answers_nothing_itself():
    for call in (ReIDModel().encode, ReIDModel().loss):
        with pytest.raises(NotImplementedError):
            call(None)


def test_accuracy_counts_right_rows():
    logits = torch.tensor([[1.0, 2, 0], [3, 1, 0], [0, 0, 1], [0, 1, 0]])
    assert accuracy(logits, torch.tensor([1, 0, 0, 2])) == 0.5


def test_classifiers_start_small_and_parameters_are_counted():
    layer = init_classifier(nn.Linear(400, 300))
    assert layer.weight.std().item() == pytest.approx(1e-3, rel=0.02)
    assert not layer.bias.any()
    assert init_classifier(nn.Linear(4, 3, bias=False)).bias is None
    assert count_parameters(layer) == 400 * 300 + 300
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 400 * 300
