"""The bootstrap over people and seeds: exact differences, honest intervals."""

import numpy as np
import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate.compare import bootstrap, compare, interval, summary
from reidlib.evaluate.metrics import score


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
    assert result.people == a.per_query.dropna()["pid"].nunique()
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
    result = compare(a, b, unit="query")
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
    by_query, by_pid = compare(a, b, unit="query"), compare(a, b)
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
    with pytest.raises(ReidError, match=r"shape \(2, 3\) \(seeds, observations\) and 4 people"):
        bootstrap(np.ones((2, 3)), [1, 2, 3, 4])
    with pytest.raises(ReidError, match="must be finite"):
        bootstrap([1.0, np.nan])


def test_seeds_are_averaged_and_drawn():
    a, b = runs(0.5)
    both = compare(a, [a, b])
    assert both.difference == pytest.approx((b.mAP - a.mAP) / 2)
    assert both.seeds == 1, "the fewer of the two sides"
    single = compare(a, b)
    # of the two seeds one is 0 and one the difference: 0 and all of it are drawn as often as
    # their mean, and the deviations stretched by the square root of 2
    middle, reach = both.difference, both.difference * 2**0.5
    assert both.low == pytest.approx(middle - reach, abs=single.high - single.low)
    assert both.low < middle - 0.8 * reach
    assert both.high > middle + 0.8 * reach
    swapped = compare([a, b], [b, a])
    assert (swapped.difference, swapped.seeds) == (pytest.approx(0), 2)
    again = compare([a, b], [a, b])
    assert (again.low, again.high) == (0, 0), "seeds are paired"
    other = runs(0.5, seed=1)[0]
    with pytest.raises(ReidError, match="the seeds were not evaluated on the same queries"):
        compare(a, [a, other])


def test_interval_of_a_mean_covers_it_as_often_as_it_says():
    metrics, _ = runs(0.5)
    low, high = interval(metrics, unit="query")
    assert low < metrics.mAP < high
    # the normal approximation of the mean of so many queries is close
    ap = metrics.per_query["ap"].dropna()
    half = 1.96 * ap.std() / len(ap) ** 0.5
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)
    assert interval(metrics, "rank1", unit="pid")[1] > interval(metrics, "rank1", level=0.5)[1]


def test_no_valid_query_has_no_interval():
    none = score(torch.zeros(1, 1), [1], [2], [0], [1])
    assert np.isnan(interval(none)).all()


def simulated(trial, seeds, people_sd, seed_sd, people=40, images=3):
    """Values [S, N] around 0 and whose each is: what varies by person, by seed and by neither."""
    rng = np.random.default_rng(trial)
    who = np.repeat(np.arange(people), images)
    shape = (seeds, len(who))
    values = people_sd * rng.normal(size=people)[who] + seed_sd * rng.normal(size=(seeds, 1))
    return values + rng.normal(size=shape), who


@pytest.mark.parametrize(
    ("seeds", "people_sd", "seed_sd", "least", "most"),
    [
        (1, 2.0, 0.0, 0.89, 0.99),  # people are what varies
        (3, 2.0, 0.0, 0.89, 0.99),
        (5, 1.0, 0.36, 0.86, 0.98),  # seeds add as much: 0.36 / 5 ** 0.5 = 1 / 40 ** 0.5
        (10, 0.0, 1.0, 0.83, 0.97),  # seeds are all that varies
        (2, 0.0, 1.0, 0.5, 0.75),  # and two say little of them
        (1, 0.0, 1.0, 0.0, 0.4),  # one says nothing
    ],
)
def test_coverage(seeds, people_sd, seed_sd, least, most):
    """How often an interval of 95 % holds the true value, 0, in 200 simulated experiments."""
    hits = 0
    for trial in range(200):
        values, who = simulated(trial, seeds, people_sd, seed_sd)
        found = bootstrap(values, who, repeats=400, seed=trial)
        hits += found.low <= 0 <= found.high
    assert least <= hits / 200 <= most


def test_people_who_are_not_drawn_together_would_seem_more():
    values, who = simulated(0, 3, 2.0, 0.0)
    together, alone = bootstrap(values, who), bootstrap(values)
    assert (together.people, alone.people, together.n, together.seeds) == (40, 120, 120, 3)
    assert together.high - together.low > 1.3 * (alone.high - alone.low)
    assert together.value == pytest.approx(values.mean())


def test_another_statistic_and_another_side():
    values, who = simulated(1, 2, 1.0, 0.5)
    squares = np.stack([values, values**2], 2)

    def variance(sums):
        return sums[..., 1] / sums[..., 2] - (sums[..., 0] / sums[..., 2]) ** 2

    found = bootstrap(squares, who, statistic=variance)
    assert found.value == pytest.approx(values.var(1).mean())
    assert found.low < found.value < found.high
    shifted = bootstrap(torch.tensor(values) + 3, who, minus=values)
    assert shifted[:3] == pytest.approx((3, 3, 3))


def test_summary():
    values, who = simulated(2, 3, 1.0, 0.5)
    found = summary(torch.tensor(values), who)
    assert found["sd"] == pytest.approx(values.mean(1).std(ddof=1))
    assert (found["mean"], found["n"]) == (pytest.approx(values.mean()), 3)
    assert found["low"] < found["mean"] < found["high"]
    assert np.isnan(summary(values[:1])["sd"])
