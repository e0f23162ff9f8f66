"""Losses against loops over pairs and triplets."""

import math

import pytest
import torch

from reidlib.losses import (
    adaptive_weighted_triplet,
    batch_hard_triplet,
    pairwise_euclidean,
    ranked_list,
)


@pytest.fixture
def batch():
    """12 features of 4 identities in no order, and an identity with a single image."""
    feature = torch.randn(13, 6, dtype=torch.float64)
    label = torch.tensor([2, 0, 1, 3, 0, 1, 2, 3, 3, 2, 1, 0, 9])
    return feature, label


def brute_force(feature, label, soft: bool, margin: float = 0.0) -> float:
    """Hermans et al. 2017, Eq. 5: hardest positive and hardest negative of every anchor."""
    terms = []
    for a in range(len(feature)):
        distance = [
            math.dist(feature[a].tolist(), feature[i].tolist()) for i in range(len(feature))
        ]
        positive = max(d for d, y in zip(distance, label, strict=True) if y == label[a])
        negative = min(d for d, y in zip(distance, label, strict=True) if y != label[a])
        gap = positive - negative
        terms.append(math.log1p(math.exp(gap)) if soft else max(0.0, margin + gap))
    return sum(terms) / len(terms)


def test_distances_equal_those_of_pairs():
    a, b = torch.randn(5, 7), torch.randn(9, 7)
    expected = [[math.dist(x, y) for y in b.tolist()] for x in a.tolist()]
    torch.testing.assert_close(pairwise_euclidean(a, b), torch.tensor(expected))


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.5])
def test_batch_hard_equals_brute_force(batch, margin):
    found = batch_hard_triplet(*batch, margin=margin)
    assert found.shape == ()
    assert float(found) == pytest.approx(brute_force(*batch, soft=False, margin=margin))


def test_the_soft_margin_equals_brute_force(batch):
    assert float(batch_hard_triplet(*batch, margin=None)) == pytest.approx(
        brute_force(*batch, soft=True)
    )


def test_all_anchors_count_also_those_without_loss():
    feature = torch.tensor([[0.0], [0.0], [10.0], [10.4], [10.1]])
    label = torch.tensor([0, 0, 1, 1, 2])
    # anchors 0 and 1: none; 2: .4 - .1; 3: .4 - .3; 4: itself at 0, - .1
    expected = (0 + 0 + 0.6 + 0.4 + 0.2) / 5
    assert float(batch_hard_triplet(feature, label, 0.3)) == pytest.approx(expected, abs=1e-4)


def test_features_are_not_normalised(batch):
    feature, label = batch
    assert batch_hard_triplet(10 * feature, label, 3.0) == pytest.approx(
        10 * batch_hard_triplet(feature, label, 0.3)
    )


def test_the_gradient_is_that_of_finite_differences(batch):
    feature, label = batch
    for margin in (None, 0.3):
        loss = lambda f, m=margin: batch_hard_triplet(f, label, m)  # noqa: E731
        assert torch.autograd.gradcheck(loss, feature.clone().requires_grad_(True))


@pytest.mark.parametrize("margin", [None, 0.3])
def test_identical_features_have_a_finite_gradient(margin):
    feature = torch.ones(6, 5).requires_grad_(True)
    loss = batch_hard_triplet(feature, torch.tensor([0, 0, 1, 1, 2, 2]), margin)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) if margin is None else 0.3)
    assert torch.isfinite(feature.grad).all()


@pytest.mark.parametrize("margin", [None, 0.3])
def test_a_batch_of_one_identity_has_no_loss_and_no_nan(margin):
    feature = torch.randn(4, 5, requires_grad=True)
    loss = batch_hard_triplet(feature, torch.zeros(4, dtype=torch.int64), margin)
    loss.backward()
    assert loss.item() == 0
    assert not feature.grad.any()


def test_autocast_does_not_reach_the_distances():
    """As training in bfloat16 calls it: squares of 700 and differences of 18."""
    feature = torch.rand(16, 2048)
    exact = torch.cdist(feature.double(), feature.double())
    with torch.autocast("cpu", torch.bfloat16):
        distance = pairwise_euclidean(feature, feature)
        half = pairwise_euclidean(feature.bfloat16(), feature.bfloat16())
    assert distance.dtype == half.dtype == torch.float32
    assert (distance - exact).abs().max() < 0.05
    assert half.diag().max() < 0.05
    assert (half - exact).abs().max() < 0.2  # bfloat16 features, exact distances


def test_ranked_list_loss_equals_a_loop_over_anchors():
    feature, label = torch.randn(12, 5), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4])
    unit = feature / feature.norm(dim=1, keepdim=True)
    losses = []
    for a in range(12):
        pull, push, weights = [], [], []
        for i in range(12):
            d = (unit[a] - unit[i]).norm().item()
            if i != a and label[i] == label[a] and d > 0.8:
                pull.append(d - 0.8)
            if label[i] != label[a] and d < 1.2:
                push.append(1.2 - d)
                weights.append(math.exp(10 * (1.2 - d)))
        positive = sum(pull) / max(len(pull), 1)
        weighted = sum(w * p for w, p in zip(weights, push, strict=True))
        losses.append((positive + weighted / max(sum(weights), 1e-12)) / 2)
    expected = torch.tensor(sum(losses) / 12)
    torch.testing.assert_close(ranked_list(feature, label), expected, rtol=1e-4, atol=1e-5)


def test_ranked_list_loss_is_zero_for_separated_clusters():
    feature = torch.eye(4).repeat_interleave(2, 0).requires_grad_()
    loss = ranked_list(feature, torch.arange(4).repeat_interleave(2))
    assert loss == 0
    loss.backward()
    assert feature.grad is not None
    assert feature.grad.isfinite().all()


def test_adaptive_weights_are_softmax_and_softmin_of_the_distances():
    """Written out for every anchor (Ristani & Tomasi 2018, Eq. 5)."""
    feature = torch.randn(9, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    label = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 3])
    expected = []
    for a in range(9):
        d = (feature - feature[a]).norm(dim=1)
        positive = d[[i for i in range(9) if i != a and label[i] == label[a]]]
        negative = d[label != label[a]]
        far = (positive.softmax(0) * positive).sum()
        near = ((-negative).softmax(0) * negative).sum()
        expected.append((0.3 + far - near).clamp(min=0))
    found = adaptive_weighted_triplet(feature, label, 0.3)
    torch.testing.assert_close(found, torch.stack(expected).mean())


def test_adaptive_weights_stay_between_the_mean_and_the_hardest():
    """With well separated groups the loss is 0; with one identity alone too."""
    far = torch.tensor([[0.0], [0.1], [9.0], [9.1]])
    label = torch.tensor([0, 0, 1, 1])
    assert adaptive_weighted_triplet(far, label, 0.3) == 0
    assert adaptive_weighted_triplet(far, torch.zeros(4, dtype=torch.int64), 0.3) == 0
    near = torch.zeros(4, 1)
    assert adaptive_weighted_triplet(near, label, 0.3) == pytest.approx(0.3)


def test_adaptive_weights_have_finite_gradients_everywhere():
    feature = torch.zeros(4, 3, requires_grad=True)
    adaptive_weighted_triplet(feature, torch.tensor([0, 0, 1, 2]), 0.3).backward()
    assert feature.grad is not None
    assert feature.grad.isfinite().all()
