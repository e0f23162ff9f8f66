"""The paired bootstrap: exact differences, honest intervals."""

import numpy as np
import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate.retrieval import compare, interval, score


def runs(effect, seed=0, num_query=200, num_gallery=300):
    rng = np.random.default_rng(seed)
    q_pid, g_pid = rng.integers(1, 40, num_query), rng.integers(1, 30, num_gallery)
    labels = (q_pid, g_pid, np.zeros(num_query, int), np.ones(num_gallery, int))
    same = q_pid[:, None] == g_pid
    noise = rng.normal(size=(2, num_query, num_gallery))
    return [
        score(torch.tensor(x - gain * same), *labels)
        for x, gain in zip(noise, (1, 1 + effect), strict=True)
    ]


def test_difference_and_changes():
    a, b = runs(0.5)
    result = compare(a, b)
    assert result.num_queries == a.num_valid < a.num_queries
    assert (result.a, result.b) == (pytest.approx(a.mAP), pytest.approx(b.mAP))
    assert result.difference == pytest.approx(b.mAP - a.mAP)
    assert result.low < result.difference < result.high
    assert result.significant
    assert "more than chance" in repr(result)
    changes = result.changes
    assert changes["difference"].abs().is_monotonic_decreasing
    query = int(changes["query"][0])
    assert changes["b"][0] == b.per_query["ap"][query]
    back = compare(b, a)
    assert (back.low, back.high) == (pytest.approx(-result.high), pytest.approx(-result.low))


@pytest.mark.parametrize("metric", ["mAP", "mAP_trapezoidal", "mINP", "rank1", "rank10"])
def test_metrics(metric):
    a, b = runs(0.5)
    result = compare(a, b, metric, repeats=200)
    assert result.a == pytest.approx(a.as_dict()[metric])
    assert result.b == pytest.approx(b.as_dict()[metric])


def test_the_interval_is_that_of_the_mean():
    a, b = runs(0.2)
    result = compare(a, b)
    difference = result.changes["difference"]
    error = difference.std() / np.sqrt(len(difference))
    assert result.high - result.low == pytest.approx(2 * 1.96 * error, rel=0.05)


def test_no_effect_is_rarely_significant():
    found = sum(compare(*runs(0, seed), repeats=500).significant for seed in range(20))
    assert found <= 4


def test_same_run_and_same_seed():
    a, b = runs(0.1)
    result = compare(a, a)
    assert (result.difference, result.low, result.high, result.significant) == (0, 0, 0, False)
    assert compare(a, b, seed=3).low == compare(a, b, seed=3).low


def test_persons_as_units_widen_the_interval():
    # every person's queries agree, so there are only as many observations as persons
    rng = np.random.default_rng(0)
    a, b = runs(0)
    shift = rng.normal(size=40)
    for metrics, sign in ((a, 0), (b, 1)):
        metrics.per_query["ap"] = sign * shift[metrics.per_query["pid"]]
        metrics.per_query.loc[metrics.per_query["num_matches"] == 0, "ap"] = np.nan
    by_query, by_pid = compare(a, b), compare(a, b, unit="pid")
    assert by_pid.high - by_pid.low > 1.5 * (by_query.high - by_query.low)


def test_bad_input():
    a, b = runs(0.1)
    other = runs(0.1, seed=1)[0]
    with pytest.raises(ReidError, match="same queries"):
        compare(a, other)
    with pytest.raises(ReidError, match='did you mean "mAP"'):
        compare(a, b, "map")
    with pytest.raises(ReidError, match="choose from: mAP"):
        compare(a, b, "loss")
    with pytest.raises(ReidError, match="repeats is 0"):
        compare(a, b, repeats=0)
    with pytest.raises(ReidError, match="level 95"):
        interval(a, level=95)
    with pytest.raises(ReidError, match="give at least one"):
        interval([])
    with pytest.raises(ReidError, match="unknown unit"):
        compare(a, b, unit="image")
    none = score(torch.zeros(1, 1), [1], [2], [0], [1])
    with pytest.raises(ReidError, match="no query"):
        compare(none, none)


def test_of_several_seeds_each_querys_mean_counts():
    a, b = runs(0.5)
    both = compare(a, [a, b])
    assert both.difference == pytest.approx((b.mAP - a.mAP) / 2)
    single = compare(a, b)
    assert both.high - both.low == pytest.approx((single.high - single.low) / 2)
    assert compare([a, b], [b, a]).difference == pytest.approx(0)
    other = runs(0.5, seed=1)[0]
    with pytest.raises(ReidError, match="the seeds were not evaluated on the same queries"):
        compare(a, [a, other])


def test_interval_of_a_mean_covers_it_as_often_as_it_says():
    metrics, _ = runs(0.5)
    low, high = interval(metrics)
    assert low < metrics.mAP < high
    # the normal approximation of the mean of so many queries is close
    ap = metrics.per_query["ap"].dropna()
    half = 1.96 * ap.std() / len(ap) ** 0.5
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert interval(metrics, "rank1", unit="pid")[1] > interval(metrics, "rank1", level=0.5)[1]


def test_no_valid_query_has_no_interval():
    none = score(torch.zeros(1, 1), [1], [2], [0], [1])
    assert np.isnan(interval(none)).all()
