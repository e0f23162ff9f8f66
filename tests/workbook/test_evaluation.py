"""``python -m reidlib evaluate``, as it is typed: own features, own images, own network."""

import json
from pathlib import Path

import distributed
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn import functional

from reidlib.evaluate.blocks import score_features
from reidlib.evaluate.compare import compare
from reidlib.evaluate.metrics import Metrics, score
from reidlib.rerank import k_reciprocal
from reidlib.workbook import cli, evaluation


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """``mine.npy`` and ``mine.csv`` in the working folder: what a stranger would bring."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"pid": rng.integers(-1, 6, 90), "cam": rng.integers(0, 3, 90)})
    table["split"] = np.where(rng.random(90) < 0.3, "query", "gallery")
    table["tracklet"] = table.groupby(["pid", "cam", "split"]).ngroup()
    features = rng.normal(size=(7, 8))[table.pid] + rng.normal(size=(90, 8))
    np.save("mine.npy", features.astype(np.float32))
    np.save("other.npy", rng.normal(size=(90, 8)).astype(np.float16))
    table.to_csv("mine.csv", index=False)
    return features.astype(np.float32), table


def sides(features, table):
    x = functional.normalize(torch.from_numpy(features))
    q, g = ((table.split == side).to_numpy() for side in ("query", "gallery"))
    labels = (table.pid[q], table.pid[g], table.cam[q], table.cam[g])
    return x[torch.from_numpy(q)], x[torch.from_numpy(g)], labels


def test_the_first_number_from_own_features(mine, capsys):
    """What docs/your-data.md tells a newcomer to type."""
    assert cli.main(["evaluate", "mine.npy", "--out", "result"]) == 0
    a, b, labels = sides(*mine)
    expected = score(1 - a @ b.T, *labels)
    out = capsys.readouterr().out
    assert f"mAP    {100 * expected.mAP:>7.2f} %   95 % [" in out
    assert "hardest queries" in out
    found = Metrics.load("result")
    pd.testing.assert_frame_equal(found.per_query, expected.per_query)
    means = json.loads(Path("result/metrics.json").read_text())
    assert means["interval"]["mAP"][0] < means["mAP"] < means["interval"]["mAP"][1]
    hardest = pd.read_csv("result/hardest.csv")
    assert len(hardest) == expected.num_valid
    first = mine[1].iloc[hardest.row[0]]
    assert (first.split, first.pid) == ("query", hardest.pid[0])
    assert hardest.ap[0] == expected.per_query.ap.min()


def test_options_change_what_they_name(mine, capsys):
    features, table = mine
    a, b, labels = sides(features, table)

    def typed(*options):
        assert cli.main(["evaluate", "mine.npy", *options, "--out", "out"]) == 0
        return Metrics.load("out")

    assert typed("--rerank").mAP == pytest.approx(score(k_reciprocal(a, b), *labels).mAP)
    partial = score(1 - a @ b.T, *labels[:2], protocol="partial")
    table.drop(columns="cam").to_csv("nocam.csv", index=False)
    assert typed("--labels", "nocam.csv", "--protocol", "partial").mAP == pytest.approx(partial.mAP)
    tracks = typed("--protocol", "tracklet")
    kept = table[(table.split == "query") & (table.pid != -1)]
    assert tracks.num_queries == kept.tracklet.nunique()
    x = torch.from_numpy(features)
    q, g = ((table.split == side).to_numpy() for side in ("query", "gallery"))
    assert typed("--distance", "euclidean").mAP == pytest.approx(
        score(torch.cdist(x[torch.from_numpy(q)], x[torch.from_numpy(g)]), *labels).mAP
    )


def test_a_scheduler_shares_the_queries(mine, monkeypatch):
    cli.main(["evaluate", "mine.npy", "--out", "alone"])
    seen = {}
    monkeypatch.setattr(
        evaluation, "score_features", lambda *a, **k: seen.update(k) or score_features(*a, **k)
    )
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster:
        monkeypatch.setenv("REIDLIB_SCHEDULER", cluster.scheduler_address)
        assert cli.main(["evaluate", "mine.npy", "--out", "shared"]) == 0
    assert seen["shares"] == 2
    assert seen["executor"] is not None
    a, b = (Metrics.load(name).per_query for name in ("alone", "shared"))
    pd.testing.assert_frame_equal(a, b)


def test_compared_in_pairs(mine, capsys):
    command = ["evaluate", "mine.npy", "--labels", "mine.csv", "--compare", "other.npy"]
    assert cli.main([*command, "--out", "both"]) == 0
    assert "compared with other.npy" in capsys.readouterr().out
    cli.main(["evaluate", "other.npy", "--labels", "mine.csv", "--out", "other"])
    rows = pd.read_csv("both/compared.csv").set_index("metric")
    expected = compare(Metrics.load("other"), Metrics.load("both"))
    assert rows.difference["mAP"] == pytest.approx(expected.difference)
    assert (rows.low["mAP"], rows.high["mAP"]) == pytest.approx((expected.low, expected.high))


def test_a_network_on_own_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (32, 16, 3), dtype=np.uint8)).save(f"{i}.png")
        rows.append((f"{i}.png", 1 + i % 3, i // 3, "query" if i < 3 else "gallery"))
    pd.DataFrame(rows, columns=["path", "pid", "cam", "split"]).to_csv("mine.csv", index=False)
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    torch.jit.script(net).save("net.pt")
    command = ["evaluate", "--model", "net.pt", "--data", "mine.csv", "--size", "32", "16"]
    assert cli.main([*command, "--out", "out"]) == 0
    assert "net.pt on folder (protocol market1501)" in capsys.readouterr().out
    found = Metrics.load("out")
    assert found.num_valid == 3
    hardest = pd.read_csv("out/hardest.csv")
    assert [Path(image).name for image in hardest.image] == [f"{i - 1}.png" for i in hardest.pid]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "name a file or folder of features, or --model and --data"),
        (["mine.npy", "--model", "x"], "name a file or folder of features, or --model"),
        (
            ["mine.npy", "--labels", "onecam.csv"],
            "on an image of another camera: correct the label",
        ),
        (["none.npy"], "there is no file none.npy"),
        (["other.npy"], "there is no other.csv for other.npy"),
        (["mine.npy", "--labels", "nocam.csv"], 'have no column "cam", which protocol market1501'),
        (["mine.npy", "--protocol", "markt1501"], 'unknown protocol "markt1501", did you mean'),
        (["--model", "net.pt", "--data", "market1501", "--root", "none"], "root is none"),
        (["--model", "none.pt", "--data", "people.csv"], "there is no file none.pt"),
        (["--model", "beef", "--data", "people.csv"], 'no run matches "beef"'),
        (["--model", "net.pt", "--data", "people.csv"], "there is no file people.csv"),
        (["mine.npy", "--device", "cuda:99"], 'device "cuda:99" is asked for'),
    ],
)
def test_errors_are_one_sentence(mine, capsys, typed, said):
    mine[1].drop(columns="cam").to_csv("nocam.csv", index=False)
    mine[1].assign(cam=0).to_csv("onecam.csv", index=False)
    torch.jit.script(torch.nn.Flatten()).save("net.pt")
    assert cli.main(["evaluate", *typed]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
