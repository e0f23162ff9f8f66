"""Re-ranking against a dense reference, written from the paper with sets and full matrices."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib import rerank
from reidlib.errors import ReidError
from reidlib.rerank import average_query_expansion, k_reciprocal
from reidlib.system import sparse


def dense(query, gallery, k1, k2, lambda_):
    """Zhong et al. 2017 with (Q + G) x (Q + G) matrices in double precision."""
    x = np.concatenate([query, gallery]).astype(np.float64)
    n, num_query = len(x), len(query)
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    distance = distance / distance.max(axis=1, keepdims=True)
    ranking = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(i, k):
        return {j for j in ranking[i, : k + 1] if i in ranking[j, : k + 1]}

    encoding = np.zeros((n, n))
    for i in range(n):
        own = reciprocal(i, k1)
        members = set(own)
        for j in own:
            theirs = reciprocal(j, round(k1 / 2))
            if len(theirs & own) > 2 / 3 * len(theirs):
                members |= theirs
        for j in members:
            encoding[i, j] = math.exp(-distance[i, j])
        encoding[i] /= encoding[i].sum()
    encoding = np.stack([encoding[ranking[i, :k2]].mean(0) for i in range(n)])
    result = np.zeros((num_query, n - num_query))
    for i in range(num_query):
        for j in range(num_query, n):
            least = np.minimum(encoding[i], encoding[j]).sum()
            most = np.maximum(encoding[i], encoding[j]).sum()
            jaccard = 1 - least / most
            result[i, j - num_query] = (1 - lambda_) * jaccard + lambda_ * distance[i, j]
    return result


def features(seed, num_query, num_gallery, dim=16, ids=8, spread=0.5):
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=(ids, dim))
    x = centre[rng.integers(0, ids, num_query + num_gallery)]
    x = (x + spread * rng.normal(size=x.shape)).astype(np.float32)
    return torch.tensor(x[:num_query]), torch.tensor(x[num_query:])


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**31),
    st.integers(1, 15),
    st.integers(1, 45),
    st.integers(1, 24),
    st.integers(1, 8),
    st.sampled_from([0, 0.3, 1]),
    st.sampled_from([1, 4, 16]),
    st.floats(0.2, 2),
)
def test_equals_the_dense_form(seed, num_query, num_gallery, k1, k2, lambda_, ids, spread):
    query, gallery = features(seed, num_query, num_gallery, ids=ids, spread=spread)
    result = k_reciprocal(query, gallery, k1, k2, lambda_)
    expected = dense(query.numpy(), gallery.numpy(), k1, k2, lambda_)
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_blocks_do_not_matter(monkeypatch):
    query, gallery = features(0, 20, 70)
    whole = k_reciprocal(query, gallery)
    np.testing.assert_allclose(whole, dense(query.numpy(), gallery.numpy(), 20, 6, 0.3), atol=1e-6)
    monkeypatch.setattr(rerank, "BLOCK", 200)
    monkeypatch.setattr(rerank, "SIDE", 3)
    monkeypatch.setattr(rerank, "COLUMNS", 15)
    monkeypatch.setattr(rerank, "ROWS", 7)
    monkeypatch.setattr(rerank, "PAIRS", 5)
    monkeypatch.setattr(sparse, "CELLS", 100)
    np.testing.assert_allclose(k_reciprocal(query, gallery), whole, atol=1e-6)
    parts = list(rerank.k_reciprocal_blocks(query, gallery))
    assert [len(part) for part in parts] == [2] * 10
    np.testing.assert_allclose(torch.cat(parts), whole, atol=1e-6)


def test_improves_a_noisy_ranking():
    rng = np.random.default_rng(1)
    centre, pid = rng.normal(size=(30, 12)), np.repeat(np.arange(30), 12)
    x = torch.tensor(centre[pid] + 0.8 * rng.normal(size=(360, 12))).float()
    query, gallery = x[::12], x[np.arange(360) % 12 != 0]
    right = torch.tensor(pid[::12, None] == pid[np.arange(360) % 12 != 0])

    def precision(distance):
        near = distance.argsort(1)[:, :11]
        return right.gather(1, near).float().mean()

    before = precision(torch.cdist(query, gallery))
    assert precision(k_reciprocal(query, gallery)) > before + 0.02
    expanded = average_query_expansion(query, gallery)
    assert precision(1 - expanded @ torch.nn.functional.normalize(gallery).T) > before + 0.02


def test_scale_shift_and_order_do_not_matter():
    query, gallery = features(3, 10, 40)
    result = k_reciprocal(query, gallery)
    np.testing.assert_allclose(k_reciprocal(7 * query + 50, 7 * gallery + 50), result, atol=1e-5)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(k_reciprocal(query, gallery[order]), result[:, order], atol=1e-6)


def test_collapsed_features_are_finite():
    result = k_reciprocal(torch.ones(3, 4), torch.ones(50, 4))
    assert torch.isfinite(result).all()


def test_the_input_is_not_changed():
    query, gallery = features(0, 5, 30)
    saved = query.clone(), gallery.clone()
    k_reciprocal(query.requires_grad_(), gallery)
    average_query_expansion(query, gallery)
    assert torch.equal(query, saved[0])
    assert torch.equal(gallery, saved[1])


def test_average_query_expansion_by_hand():
    query = torch.tensor([[2.0, 0.0]])
    gallery = torch.tensor([[0.0, 5.0], [3.0, 3.0]])
    result = average_query_expansion(query, gallery, k=1)
    angle = math.pi / 8  # half way between 0 and 45 degrees
    np.testing.assert_allclose(result, [[math.cos(angle), math.sin(angle)]], atol=1e-6)


def test_bad_input():
    query, gallery = features(0, 5, 30)
    with pytest.raises(ReidError, match=r"\[Q,D\]"):
        k_reciprocal(query, gallery[:, :3])
    with pytest.raises(ReidError, match="0 queries"):
        k_reciprocal(query[:0], gallery)
    with pytest.raises(ReidError, match="k1 0"):
        k_reciprocal(query, gallery, k1=0)
    with pytest.raises(ReidError, match="lambda_ 2"):
        k_reciprocal(query, gallery, lambda_=2)
    with pytest.raises(ReidError, match="k is 31"):
        average_query_expansion(query, gallery, k=31)
    gallery[4, 2] = math.nan
    with pytest.raises(ReidError, match="gallery image 4 is not finite"):
        k_reciprocal(query, gallery)


def test_arrays_are_taken_as_tensors_are():
    query, gallery = torch.randn(4, 6), torch.randn(9, 6)
    for function in (k_reciprocal, average_query_expansion):
        found = function(query.numpy(), gallery.numpy())
        assert torch.equal(found, function(query, gallery))
    with pytest.raises(ReidError, match=r"features must be \[Q,D\] and \[G,D\], not \(6,\)"):
        k_reciprocal(query.numpy()[0], gallery.numpy())
