"""Metrics against a brute-force reference that sorts every row."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.errors import ReidError
from reidlib.evaluate import metrics
from reidlib.evaluate.metrics import Metrics, hardest_queries, score

FILTERED = {"market1501": True, "cuhk03": True, "partial": False}


def reference(distance, q_pid, g_pid, q_cam, g_cam, max_rank, protocol):
    """One query at a time, one gallery image at a time; nothing shared with the library."""
    rows, cmc, valid = [], np.zeros(max_rank), 0
    for q, row in enumerate(distance):
        ranking = []
        for g, d in enumerate(row):
            right = q_pid[q] == g_pid[g] and q_pid[q] > 0
            if g_pid[g] == -1 or (right and FILTERED[protocol] and q_cam[q] == g_cam[g]):
                continue
            ranking.append((float(d), bool(right)))
        ranking.sort()  # False before True: the wrong image comes first at the same distance
        total = sum(right for _, right in ranking)
        if not total:
            rows.append([math.nan] * 4 + [0])
            continue
        valid += 1
        ap = trapezoidal = old_recall = 0.0
        old_precision, hits, first_hit, last_hit = 1.0, 0, None, None
        for place, (_, right) in enumerate(ranking, start=1):
            hits += right
            if right:
                ap += hits / place / total
                first_hit, last_hit = first_hit or place, place
            recall, precision = hits / total, hits / place
            trapezoidal += (recall - old_recall) * (old_precision + precision) / 2
            old_recall, old_precision = recall, precision
        if first_hit <= max_rank:
            cmc[first_hit - 1 :] += 1
        rows.append([ap, trapezoidal, total / last_hit, first_hit, total])
    cmc = cmc / valid if valid else np.full(max_rank, math.nan)
    return cmc, np.array(rows, dtype=float).reshape(-1, 5)


NAMES = ["ap", "ap_trapezoidal", "inp", "first_hit", "num_matches"]


@st.composite
def cases(draw):
    num_q, num_g = draw(st.integers(1, 9)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    ids, cams = draw(st.sampled_from([1, 3, 8])), draw(st.sampled_from([1, 2, 6]))
    kind = draw(st.sampled_from(["ties", "normal", "equal", "infinite"]))
    distance = {
        "ties": rng.integers(0, 4, (num_q, num_g)).astype(float),
        "normal": rng.normal(size=(num_q, num_g)),
        "equal": np.zeros((num_q, num_g)),
        "infinite": np.where(rng.random((num_q, num_g)) < 0.3, np.inf, rng.random((num_q, num_g))),
    }[kind]
    if draw(st.booleans()):
        distance[rng.random(distance.shape) < 0.1] *= -1
    dtype = draw(st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]))
    pids = [rng.integers(-1, ids + 1, n) for n in (num_q, num_g)]
    cam = [rng.integers(0, cams, n) for n in (num_q, num_g)]
    protocol = draw(st.sampled_from(sorted(FILTERED)))
    return torch.tensor(distance).to(dtype), *pids, *cam, draw(st.integers(1, 45)), protocol


@settings(max_examples=400, deadline=None)
@given(cases(), st.integers(1, 60))
def test_equals_brute_force(case, block):
    *given_, max_rank, protocol = case
    saved, metrics.BLOCK = metrics.BLOCK, block
    try:
        result = score(*given_, max_rank, protocol=protocol)
    finally:
        metrics.BLOCK = saved
    cmc, rows = reference(*given_, max_rank, protocol)
    np.testing.assert_allclose(result.cmc, cmc, atol=1e-6)
    np.testing.assert_allclose(result.per_query[NAMES].to_numpy(float), rows, atol=1e-6)
    assert result.num_valid == (rows[:, 4] > 0).sum()
    np.testing.assert_allclose(result.mAP, np.nanmean(rows[:, 0]) if result.num_valid else np.nan)


def small():
    distance = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5]])
    return distance, [1, 2], [9, 1, 1, 2, 1], [0, 0], [1, 1, 0, 1, 1]


def test_by_hand():
    # query 0 ranks: wrong, right, (same camera: ignored), wrong, right
    result = score(*small())
    table = result.per_query
    np.testing.assert_allclose(table["ap"], [(1 / 2 + 2 / 4) / 2, 1 / 4])
    np.testing.assert_allclose(
        table["ap_trapezoidal"], [((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2, (0 + 1 / 4) / 2]
    )
    np.testing.assert_allclose(table["inp"], [2 / 4, 1 / 4])
    assert table["first_hit"].tolist() == [2, 4]
    assert [result.rank(k) for k in (1, 2, 3, 4)] == [0, 0.5, 0.5, 1]


def test_equal_distances_put_the_wrong_image_first():
    distance, q_pid, g_pid, q_cam, g_cam = small()
    result = score(torch.zeros_like(distance), q_pid, g_pid, q_cam, g_cam)
    assert result.per_query["first_hit"].tolist() == [3, 5]
    order = [4, 2, 0, 3, 1]
    shuffled = score(
        torch.zeros_like(distance), q_pid, np.array(g_pid)[order], q_cam, np.array(g_cam)[order]
    )
    pd.testing.assert_frame_equal(result.per_query, shuffled.per_query)


def test_blocks_are_the_whole():
    distance, *labels = small()
    whole = score(distance, *labels)
    parts = score((row[None] for row in distance), *labels)
    pd.testing.assert_frame_equal(whole.per_query, parts.per_query)


def test_queries_without_a_match_are_counted_but_in_no_mean():
    distance, _, g_pid, q_cam, g_cam = small()
    result = score(distance, [1, 7], g_pid, q_cam, g_cam)
    alone = score(distance[:1], [1], g_pid, q_cam[:1], g_cam)
    assert (result.num_valid, result.num_queries) == (1, 2)
    assert result.mAP == alone.mAP
    assert result.rank(2) == alone.rank(2) == 1
    none = score(distance, [7, 8], g_pid, q_cam, g_cam)
    assert none.num_valid == 0
    assert math.isnan(none.mAP)
    assert math.isnan(none.rank(1))


def test_nan_says_where():
    distance, *labels = small()
    distance[1, 3] = float("nan")
    with pytest.raises(ReidError, match="query row 1 and gallery column 3"):
        score(distance, *labels)
    with pytest.raises(ReidError, match="query row 1 and gallery column 3"):
        score(iter(distance.half().split(1)), *labels)


@settings(max_examples=60, deadline=None)
@given(cases(), st.data())
def test_nan_anywhere_is_found(case, data):
    distance, q_pid, g_pid, *rest, max_rank, protocol = case
    row = data.draw(st.integers(0, len(q_pid) - 1))
    column = data.draw(st.integers(0, len(g_pid) - 1))
    distance[row, column] = math.nan
    if g_pid[column] == -1:  # junk is not looked at
        score(distance, q_pid, g_pid, *rest, max_rank, protocol=protocol)
        return
    with pytest.raises(ReidError, match=f"query row {row} and gallery column {column} is NaN"):
        score(distance, q_pid, g_pid, *rest, max_rank, protocol=protocol)


def test_bad_input():
    distance, q_pid, g_pid, q_cam, g_cam = small()
    with pytest.raises(ReidError, match="2 queries and 5 gallery"):
        score(distance.T, q_pid, g_pid, q_cam, g_cam)
    with pytest.raises(ReidError, match="have 1 rows"):
        score([distance[:1]], q_pid, g_pid, q_cam, g_cam)
    with pytest.raises(ReidError, match="q_cam has 1"):
        score(distance, q_pid, g_pid, [0], g_cam)
    with pytest.raises(ReidError, match='mean "market1501"'):
        score(distance, q_pid, g_pid, q_cam, g_cam, protocol="market")
    with pytest.raises(ReidError, match="q_cam is missing"):
        score(distance, q_pid, g_pid)
    with pytest.raises(ReidError, match="g_pid must be"):
        score(distance, q_pid, [0.5] * 5, q_cam, g_cam)
    with pytest.raises(ReidError, match="max_rank"):
        score(distance, *small()[1:], max_rank=0)
    with pytest.raises(ReidError, match="rank 51"):
        score(*small()).rank(51)
    assert score(distance, q_pid, g_pid, protocol="partial").num_valid == 2


def test_save_and_load(tmp_path):
    result = score(torch.rand(5, 20), [1, 2, 3, 9, 1], [1, 2, 3, -1] * 5, [0] * 5, [1, 0] * 10)
    result.save(tmp_path / "eval")
    back = Metrics.load(tmp_path / "eval")
    np.testing.assert_array_equal(result.cmc, back.cmc)
    pd.testing.assert_frame_equal(result.per_query, back.per_query, check_exact=True)
    assert back.as_dict() == result.as_dict()
    with pytest.raises(ReidError, match="no readable metrics"):
        Metrics.load(tmp_path / "nothing")
    (tmp_path / "eval" / "metrics.json").write_text("{")
    with pytest.raises(ReidError, match="no readable metrics"):
        Metrics.load(tmp_path / "eval")


def test_arrays_are_taken_as_tensors_are():
    rng = np.random.default_rng(0)
    distance = rng.random((6, 9))
    labels = (rng.integers(1, 3, 6), rng.integers(1, 3, 9), [0] * 6, [1] * 9)
    whole = score(torch.tensor(distance), *labels)
    assert score(distance, *labels).as_dict() == whole.as_dict()
    assert score(iter(np.array_split(distance, 4)), *labels).as_dict() == whole.as_dict()
    with pytest.raises(ReidError, match=r"shape \(9, 6\), but there are 6 queries and 9 gallery"):
        score(distance.T, *labels)
    with pytest.raises(ReidError, match=r"distances are list: give a tensor or an array \[6,9\]"):
        score(distance.tolist(), *labels)


def test_hardest_queries():
    rng = np.random.default_rng(0)
    labels = (rng.integers(1, 8, 30), rng.integers(-1, 8, 120), [0] * 30, [1] * 120)
    metrics = score(rng.random((30, 120)), *labels)
    table = hardest_queries(metrics, 5)
    assert table["ap"].tolist() == metrics.per_query["ap"].sort_values().head(5).tolist()
    row = table.iloc[0]
    assert metrics.per_query.loc[int(row["query"]), "ap"] == row["ap"]
    first = hardest_queries(metrics, 5, by="first_hit")["first_hit"]
    assert first.tolist() == metrics.per_query["first_hit"].nlargest(5).tolist()
    with pytest.raises(ReidError, match='did you mean "ap"'):
        hardest_queries(metrics, by="aps")
