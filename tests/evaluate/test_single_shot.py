"""Single-shot CMC against its definition: exact where nothing is random, in the mean elsewhere."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate.metrics import score
from reidlib.evaluate.single_shot import single_shot


def test_one_image_each_is_the_ordinary_cmc():
    rng = np.random.default_rng(0)
    distance = torch.tensor(rng.random((25, 25)))
    pid = np.arange(1, 26)
    labels = (pid, rng.permutation(pid), np.zeros(25, int), np.ones(25, int))
    result = single_shot(distance.numpy(), *labels, max_rank=20, repeats=3)
    ordinary = score(distance, *labels, max_rank=20)
    np.testing.assert_allclose(result.cmc, ordinary.cmc)
    assert len(result.per_query) == 3 * 25
    for start in (0, 25, 50):
        part = result.per_query[start : start + 25].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, ordinary.per_query)


def test_mean_is_the_expectation():
    """Few enough images to enumerate every gallery that can be drawn."""
    rng = np.random.default_rng(1)
    g_pid = np.array([1, 1, 1, 2, 2, 3, 0, 0, -1, 9])
    g_cam = np.array([1, 1, 0, 1, 0, 1, 1, 1, 1, 1])
    q_pid, q_cam = np.array([1, 2, 3, 7]), np.array([0, 0, 0, 0])
    distance = rng.integers(0, 6, (4, 10)).astype(np.float32)  # with ties
    expected = np.zeros(5)
    for q in range(3):
        hits = []
        choices = []
        for pid in (1, 2, 3, 9):
            mine = np.flatnonzero(g_pid == pid)
            if pid == q_pid[q]:
                mine = [g for g in mine if g_cam[g] != q_cam[q]]
            choices.append(mine)
        for drawn in itertools.product(*choices):
            gallery = [*drawn, 6, 7]  # both distractors
            own = next(g for g in gallery if g_pid[g] == q_pid[q])
            place = sum(distance[q, g] <= distance[q, own] for g in gallery if g != own)
            hits.append(np.arange(5) >= place)
        expected += np.mean(hits, axis=0) / 3
    labels = (q_pid, g_pid, q_cam, g_cam)
    for blocks in (torch.tensor(distance), torch.tensor(distance).split(1)):
        result = single_shot(blocks, *labels, max_rank=5, repeats=4000)
        np.testing.assert_allclose(result.cmc, expected, atol=0.03)


def test_seed():
    rng = np.random.default_rng(2)
    labels = [rng.integers(1, 5, 10), rng.integers(1, 5, 60), [0] * 10, [1] * 60]
    distance = torch.rand(10, 60)
    one, same, other = (single_shot(distance, *labels, seed=s, repeats=9) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one.per_query, same.per_query)
    assert (one.per_query["first_hit"] != other.per_query["first_hit"]).any()


def test_bad_input():
    with pytest.raises(ReidError, match="repeats is 0"):
        single_shot(torch.zeros(1, 1), [1], [1], [0], [1], repeats=0)
    with pytest.raises(ReidError, match="is NaN"):
        single_shot(torch.tensor([[torch.nan]]), [1], [1], [0], [1])
    assert np.isnan(single_shot(torch.zeros(1, 1), [1], [2], [0], [1]).cmc).all()
