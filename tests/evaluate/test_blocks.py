"""Features scored block by block: the same as from all distances at once, whatever the blocks."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from reidlib.errors import ReidError
from reidlib.evaluate import blocks
from reidlib.evaluate.blocks import score_features
from reidlib.evaluate.metrics import score


def made(num_query=23, num_gallery=301, dim=16, seed=0):
    """Features in which some images are exact copies of others, with junk and distractors."""
    rng = np.random.default_rng(seed)
    labels = {
        "q_pid": rng.integers(1, 9, num_query),
        "g_pid": rng.integers(-1, 12, num_gallery),
        "q_cam": rng.integers(0, 3, num_query),
        "g_cam": rng.integers(0, 3, num_gallery),
    }
    centre = rng.normal(size=(12, dim))
    query = centre[labels["q_pid"]] + rng.normal(size=(num_query, dim))
    gallery = centre[np.maximum(labels["g_pid"], 0)] + rng.normal(size=(num_gallery, dim))
    gallery[100:140] = gallery[60:100]
    return query.astype(np.float32), gallery.astype(np.float32), labels


@pytest.mark.parametrize("columns", [64, 128, 32640])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("protocol", ["market1501", "partial"])
def test_as_score_of_all_distances(monkeypatch, columns, distance, protocol):
    monkeypatch.setattr(blocks, "COLUMNS", columns)
    monkeypatch.setattr(blocks, "ROWS", 10)
    query, gallery, labels = made()
    a, b = torch.from_numpy(query).double(), torch.from_numpy(gallery).double()
    if distance == "cosine":
        expected = 1 - functional.normalize(a) @ functional.normalize(b).T
    else:
        expected = torch.cdist(a, b)
    found = score_features(query, gallery, **labels, protocol=protocol, distance=distance)
    assert found.num_valid > 10
    wanted = score(expected.float(), **labels, protocol=protocol)
    pd.testing.assert_frame_equal(found.per_query, wanted.per_query)
    np.testing.assert_array_equal(found.cmc, wanted.cmc)


def test_equal_features_score_as_badly_as_they_are(monkeypatch):
    monkeypatch.setattr(blocks, "COLUMNS", 64)
    _, _, labels = made()
    rng = np.random.default_rng(3)
    one = rng.normal(size=(1, 48)).astype(np.float32)
    query, gallery = np.repeat(one, 23, 0), np.repeat(one, 301, 0)
    found = score_features(torch.from_numpy(query), gallery, **labels)
    expected = score(torch.zeros(23, 301), **labels)
    pd.testing.assert_frame_equal(found.per_query, expected.per_query)
    assert found.rank(1) == 0


def test_no_match_and_no_query():
    query, gallery, labels = made()
    labels["g_pid"] = np.full(301, 99)
    assert score_features(query, gallery, **labels).num_valid == 0
    labels["g_pid"] = np.full(301, -1)
    assert np.isnan(score_features(query, gallery, **labels).mAP)


def test_shared_among_workers_is_the_same():
    from concurrent.futures import ThreadPoolExecutor

    query, gallery, labels = made()
    with ThreadPoolExecutor(2) as pool:
        found = score_features(query, gallery, **labels, executor=pool, shares=2)
    expected = score_features(query, gallery, **labels)
    pd.testing.assert_frame_equal(found.per_query, expected.per_query)


def test_one_sentence_for_what_does_not_fit():
    query, gallery, labels = made()
    with pytest.raises(ReidError, match=r"query features has shape \(368,\): features are"):
        score_features(query.ravel(), gallery, **labels)
    with pytest.raises(ReidError, match="there are 22 query features and 23 query labels"):
        score_features(query[1:], gallery, **labels)
    with pytest.raises(ReidError, match="query features have 16 values, gallery's 15"):
        score_features(query, gallery[:, 1:], **labels)
    with pytest.raises(ReidError, match='unknown distance "cosin", did you mean "cosine"'):
        score_features(query, gallery, **labels, distance="cosin")
    with pytest.raises(ReidError, match="gallery features holds int64"):
        score_features(query, gallery.astype(int), **labels)
    gallery[7, 3] = np.nan
    with pytest.raises(ReidError, match="row 7 of gallery features in the array holds a value"):
        score_features(query, gallery, **labels)
