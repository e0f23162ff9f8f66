"""Analysis tables against plain loops over the sorted rows; every plot draws its table."""

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate import analysis
from reidlib.evaluate.metrics import score


def case(num_query=30, num_gallery=120, seed=0):
    rng = np.random.default_rng(seed)
    q_pid, g_pid = rng.integers(1, 8, num_query), rng.integers(-1, 8, num_gallery)
    q_cam, g_cam = rng.integers(0, 3, num_query), rng.integers(0, 3, num_gallery)
    distance = rng.random((num_query, num_gallery)) + 0.3 * (q_pid[:, None] != g_pid)
    return torch.tensor(distance, dtype=torch.float32), q_pid, g_pid, q_cam, g_cam


def test_hardest_queries():
    metrics = score(*case())
    table = analysis.hardest_queries(metrics, 5)
    assert table["ap"].tolist() == metrics.per_query["ap"].sort_values().head(5).tolist()
    row = table.iloc[0]
    assert metrics.per_query.loc[int(row["query"]), "ap"] == row["ap"]
    first = analysis.hardest_queries(metrics, 5, by="first_hit")["first_hit"]
    assert first.tolist() == metrics.per_query["first_hit"].nlargest(5).tolist()
    with pytest.raises(ReidError, match='did you mean "ap"'):
        analysis.hardest_queries(metrics, by="aps")


def test_by_number_of_matches():
    metrics = score(*case())
    table = analysis.by_number_of_matches(metrics, (1, 9, 11))
    assert table["matches"].tolist() == ["1-8", "9-10", "11 or more"]
    assert table["num_queries"].sum() == metrics.num_valid
    some = metrics.per_query.query("9 <= num_matches <= 10")
    row = table.iloc[1]
    assert row["num_queries"] == len(some)
    assert row["mAP"] == pytest.approx(some["ap"].mean())
    assert row["rank1"] == pytest.approx((some["first_hit"] == 1).mean())
    with pytest.raises(ReidError, match="ascend from 1"):
        analysis.by_number_of_matches(metrics, (2, 3))


@pytest.mark.parametrize("blocks", [30, 7])
def test_camera_pairs(blocks):
    distance, q_pid, g_pid, q_cam, g_cam = case()
    table = analysis.camera_pairs(iter(distance.split(blocks)), q_pid, g_pid, q_cam, g_cam)
    assert len(table) == 9
    pair = table.set_index(["q_cam", "g_cam"])
    rows, columns = q_cam == 0, g_cam == 2
    alone = score(
        distance[rows][:, columns], q_pid[rows], g_pid[columns], q_cam[rows], g_cam[columns]
    )
    assert pair.loc[(0, 2), "mAP"] == pytest.approx(alone.mAP)
    assert pair.loc[(0, 2), "rank1"] == pytest.approx(alone.rank(1))
    assert pair.loc[(0, 2), "num_valid"] == alone.num_valid
    assert pair.loc[(1, 1), "num_valid"] == 0
    assert np.isnan(pair.loc[(1, 1), "mAP"])
    whole = score(distance[rows], q_pid[rows], g_pid, q_cam[rows], g_cam)
    assert pair.loc[0, "false_first"].sum() == pytest.approx(1 - whole.rank(1))
    wrong = []
    for q in np.flatnonzero(rows):
        kept = (g_pid != -1) & ~((g_pid == q_pid[q]) & (g_cam == q_cam[q]))
        first = np.where(kept, distance[q].numpy(), np.inf).argmin()
        wrong.append(g_pid[first] != q_pid[q] and g_cam[first] == 2)
    assert pair.loc[(0, 2), "false_first"] == pytest.approx(np.mean(wrong))


def test_camera_pairs_at_equal_distance():
    _, q_pid, g_pid, q_cam, g_cam = case()
    distance = torch.zeros(30, 120)
    table = analysis.camera_pairs(distance, q_pid, g_pid, q_cam, g_cam)
    assert table.groupby("q_cam")["false_first"].sum().tolist() == pytest.approx([1, 1, 1])


def test_distance_distributions():
    distance, q_pid, g_pid, q_cam, g_cam = case()
    table = analysis.distance_distributions(
        distance.split(11), q_pid, g_pid, q_cam, g_cam, bins=13, limits=(0.1, 1.2)
    )
    same = (q_pid[:, None] == g_pid) & (q_cam[:, None] != g_cam)
    different = (q_pid[:, None] != g_pid) & (g_pid != -1)
    for name, mask in (("same", same), ("different", different)):
        values = distance.numpy()[mask].clip(0.1, 1.2)
        expected, edges = np.histogram(values, bins=13, range=(0.1, 1.2))
        assert table[name].tolist() == expected.tolist()
        np.testing.assert_allclose(table["distance"], (edges[1:] + edges[:-1]) / 2)
    with pytest.raises(ReidError, match="limits"):
        analysis.distance_distributions(distance, q_pid, g_pid, q_cam, g_cam, limits=(1, 1))


def test_plots():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    given_ = case()
    metrics = score(*given_)
    hardest = analysis.hardest_queries(metrics, 4)
    ax = analysis.plot_hardest_queries(hardest)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], 100 * hardest["ap"])
    groups = analysis.by_number_of_matches(metrics)
    ax = analysis.plot_by_number_of_matches(groups)
    assert len(ax.patches) == 2 * len(groups)
    pairs = analysis.camera_pairs(*given_)
    _, ax = plt.subplots()
    assert analysis.plot_camera_pairs(pairs, "rank1", ax) is ax
    assert ax.images[0].get_array().shape == (3, 3)
    with pytest.raises(ReidError, match='cannot draw "rank"'):
        analysis.plot_camera_pairs(pairs, "rank")
    ax = analysis.plot_distance_distributions(analysis.distance_distributions(*given_))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "different person",
        "same person",
    ]
    plt.close("all")
    assert isinstance(pairs, pd.DataFrame)
