"""TPR at FPR against a loop over all thresholds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reidlib.errors import ReidError
from reidlib.evaluate.verification import roc_curve, tpr_at_fpr


def reference(same, different, rate):
    """The best TPR of any threshold (accept what is at most so far) that keeps the FPR."""
    best = 0.0
    for threshold in [*np.unique(np.concatenate([same, different])), np.inf]:
        if (different < threshold).sum() <= rate * len(different) + 1e-9:
            best = max(best, (same < threshold).mean())
    return best


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(2, 40), st.sampled_from([3, 50]))
def test_equals_the_definition(seed, num_query, num_gallery, levels):
    rng = np.random.default_rng(seed)
    q_pid, g_pid = rng.integers(-1, 4, num_query), rng.integers(-1, 4, num_gallery)
    q_pid[0], g_pid[:2] = 1, (1, 2)
    distance = rng.integers(0, levels, (num_query, num_gallery)) / levels
    distance = distance.astype(np.float32)
    counted = (q_pid[:, None] != -1) & (g_pid != -1)
    right = counted & (q_pid[:, None] == g_pid) & (q_pid[:, None] > 0)
    same, different = distance[right], distance[counted & ~right]
    rates = [0, 0.01, 0.1, 0.25, 0.5, 1]
    blocks = torch.tensor(distance).split(int(rng.integers(1, num_query + 1)))
    table = tpr_at_fpr(blocks, q_pid, g_pid, fpr=rates)
    assert table["num_same"][0] == len(same)
    assert table["num_different"][0] == len(different)
    for rate, tpr, threshold in table[["fpr", "tpr", "threshold"]].to_numpy():
        assert tpr == pytest.approx(reference(same, different, rate), abs=1e-9)
        assert (same <= threshold).mean() == pytest.approx(tpr)
        assert (different <= threshold).mean() <= rate + 1e-9


def test_a_roc_curve_is_what_a_loop_over_all_thresholds_finds():
    rng = np.random.default_rng(3)
    q_pid, g_pid = rng.integers(1, 5, 9), rng.integers(1, 5, 14)
    right = q_pid[:, None] == g_pid
    distance = (rng.random(right.shape) - 0.3 * right).round(2).astype(np.float32)
    same, different = distance[right], distance[~right]
    curve = roc_curve(torch.tensor(distance).split(4), q_pid, g_pid, lowest=1e-3, points=40)
    assert len(curve) == 40
    assert (curve.fpr.iloc[0], curve.fpr.iloc[-1]) == (pytest.approx(1e-3), 1.0)
    for rate, tpr in zip(curve.fpr, curve.tpr, strict=True):
        assert tpr == pytest.approx(reference(same, different, rate), abs=1e-9)
    assert curve.tpr.is_monotonic_increasing
    assert curve.tpr.iloc[-1] == 1
    assert 0 < curve.tpr.iloc[0] < 1
    ratios = curve.fpr.to_numpy()[1:] / curve.fpr.to_numpy()[:-1]
    assert ratios == pytest.approx(np.full(39, ratios[0]))


def test_camera_filter_and_infinity():
    distance = torch.tensor([[0.1, 0.2, torch.inf, 0.4]])
    g_pid, g_cam = [1, 1, 2, 2], [0, 1, 1, 1]
    table = tpr_at_fpr(distance, [1], g_pid, [0], g_cam, [0.0, 1.0], protocol="market1501")
    assert table["num_same"].tolist() == [1, 1]
    assert table["tpr"].tolist() == [1, 1]
    collapsed = tpr_at_fpr(torch.zeros(1, 4), [1], g_pid, fpr=[0.5])
    assert collapsed["tpr"].tolist() == [0]


def test_bad_input():
    with pytest.raises(ReidError, match=r"lowest is 0 and points 161: they must be in \(0, 1\)"):
        roc_curve(torch.zeros(1, 2), [1], [1, 2], lowest=0)
    with pytest.raises(ReidError, match=r"rates in \[0, 1\]"):
        tpr_at_fpr(torch.zeros(1, 2), [1], [1, 2], fpr=[1.5])
    with pytest.raises(ReidError, match="0 pairs of one person"):
        tpr_at_fpr(torch.zeros(1, 2), [1], [2, 2])
    with pytest.raises(ReidError, match="gallery column 1 is NaN"):
        tpr_at_fpr(torch.tensor([[0, torch.nan]]), [1], [1, 2])
