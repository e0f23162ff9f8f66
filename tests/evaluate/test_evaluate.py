"""Evaluating a model: banks, protocols, junk, tracklets, re-ranking."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from test_encode import Bank, Tiny
from torch.nn import functional

from reidlib.data.dataset import Dataset
from reidlib.errors import ReidError
from reidlib.evaluate.encode import distance_blocks, encode_split
from reidlib.evaluate.metrics import score
from reidlib.evaluate.retrieval import distances, evaluate
from reidlib.evaluate.single_shot import single_shot
from reidlib.evaluate.video import pool_tracklets
from reidlib.rerank import average_query_expansion, k_reciprocal


class Pairwise(Tiny):
    def distance(self, query, gallery):
        return torch.cdist(query["map"].flatten(1), gallery["map"].flatten(1))


def splits(num_query=6, num_gallery=20):
    rng = np.random.default_rng(0)

    def table(number, pids):
        columns = {"pid": rng.choice(pids, number), "cam": rng.integers(0, 3, number)}
        return pd.DataFrame({"path": [f"{i}.png" for i in range(number)]} | columns)

    query, gallery = table(num_query, [1, 2, 3]), table(num_gallery, [-1, 0, 1, 2, 3])
    return Dataset("made", query, query, gallery, "0"), Bank(num_query, 1), Bank(num_gallery, 2)


def test_evaluate_is_score_of_the_distances(monkeypatch):
    dataset, query_bank, gallery_bank = splits()
    model = Tiny()
    banks = {"query_bank": query_bank, "gallery_bank": gallery_bank}
    result = evaluate(model, dataset, **banks)
    junk = int((dataset.gallery.pid == -1).sum())
    assert junk
    assert model.calls == 26 - junk  # junk is not encoded
    assert model.training
    a, b = encode_split(model, query_bank), encode_split(model, gallery_bank)
    q, g = dataset.query, dataset.gallery
    labels = (q.pid, g.pid, q.cam, g.cam)
    cosine = 1 - functional.normalize(a["feature"]) @ functional.normalize(b["feature"]).T
    expected = score(cosine, *labels)
    pd.testing.assert_frame_equal(result.per_query, expected.per_query)
    monkeypatch.setattr("reidlib.evaluate.encode.BLOCK", 40)
    blocks = list(distance_blocks(model, a, b))
    assert len(blocks) == 3
    torch.testing.assert_close(torch.cat(blocks), cosine, rtol=0, atol=1e-6)
    assert len(list(distance_blocks(Pairwise(), a, b))) == 3
    assert evaluate(model, dataset, **banks).as_dict() == result.as_dict()
    partial = evaluate(model, dataset, protocol="partial", **banks)
    assert partial.as_dict() == score(cosine, *labels, protocol="partial").as_dict()
    kept = torch.tensor((g.pid != -1).to_numpy())
    old = evaluate(model, dataset, protocol="single-shot", **banks)
    expected = single_shot(cosine[:, kept], q.pid, g.pid[g.pid != -1], q.cam, g.cam[g.pid != -1])
    assert old.as_dict() == pytest.approx(expected.as_dict())
    swapped = evaluate(model, dataset.but(protocol="partial"), swap=True, **banks)
    assert swapped.num_queries == 20 - junk
    kept = g.pid != -1
    expected = score(
        cosine.T[torch.tensor(kept.to_numpy())], g.pid[kept], q.pid, protocol="partial"
    )
    assert swapped.as_dict() == pytest.approx(expected.as_dict())


def test_rerank_and_query_expansion():
    dataset, query_bank, gallery_bank = splits()
    model = Tiny()
    banks = {"query_bank": query_bank, "gallery_bank": gallery_bank}
    q, g = dataset.query, dataset.gallery[dataset.gallery.pid != -1]
    rows = torch.tensor(g.index.to_numpy())
    a = functional.normalize(encode_split(model, query_bank)["feature"])
    b = functional.normalize(encode_split(model, gallery_bank, rows=rows)["feature"])
    labels = (q.pid, g.pid, q.cam, g.cam)
    options = {"k1": 5, "k2": 2, "lambda_": 0.1}
    for given_, expected in (
        ({"rerank": True}, k_reciprocal(a, b)),
        ({"rerank": options}, k_reciprocal(a, b, **options)),
        ({"aqe": 3}, 1 - average_query_expansion(a, b, 3) @ b.T),
        ({"aqe": 3, "rerank": True}, k_reciprocal(average_query_expansion(a, b, 3), b)),
    ):
        result = evaluate(model, dataset, **banks, **given_)
        assert result.as_dict() == pytest.approx(score(expected, *labels).as_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k3": 1}, 'rerank has no option "k3", choose from: k1, k2'),
        ({"k1": 20.5}, "rerank: option k1 is 20.5"),
        ({"k1": True}, "rerank: option k1 is True"),
    ],
)
def test_options_of_re_ranking_are_strict(options, message):
    dataset, query_bank, gallery_bank = splits()
    banks = {"query_bank": query_bank, "gallery_bank": gallery_bank}
    with pytest.raises(ReidError, match=message):
        evaluate(Tiny(), dataset, rerank=options, **banks)


def test_an_empty_side_is_named():
    dataset, query_bank, gallery_bank = splits()
    with pytest.raises(ReidError, match=r"the query of .* has no images but junk"):
        evaluate(Tiny(), dataset.but(query=dataset.query[:0]))
    junk = dataset.gallery.assign(pid=-1)
    with pytest.raises(ReidError, match=r"the gallery of .* has no images but junk"):
        evaluate(Tiny(), dataset.but(gallery=junk), query_bank=query_bank,
                 gallery_bank=gallery_bank)  # fmt: skip


def test_rerank_does_not_replace_a_models_own_distance():
    dataset, query_bank, gallery_bank = splits()
    model = Pairwise()
    banks = {"query_bank": query_bank, "gallery_bank": gallery_bank}
    assert evaluate(model, dataset, **banks).num_valid
    with pytest.raises(ReidError, match="Pairwise compares images by a distance of its own"):
        evaluate(model, dataset, rerank=True, **banks)
    model.rerank_features = lambda encoding: encoding["map"].flatten(1)
    plain = evaluate(Tiny(), dataset, rerank=True, **banks)
    assert evaluate(model, dataset, rerank=True, **banks).as_dict() == plain.as_dict()


def test_tracklets_are_averaged():
    dataset, query_bank, gallery_bank = splits(6, 12)
    query = dataset.query.assign(pid=[1, 1, 2, 2, 3, 3], cam=0, tracklet=[5, 5, 3, 3, 9, 9])
    gallery = dataset.gallery.assign(
        pid=[1] * 4 + [2] * 4 + [0] * 2 + [-1] * 2, cam=1, tracklet=[0, 1] * 2 + [2] * 4 + [3] * 4
    )
    gallery.loc[10:, "tracklet"] = 4
    dataset = dataset.but(query=query, gallery=gallery, protocol="tracklet")
    model = Tiny()
    result = evaluate(model, dataset, query_bank=query_bank, gallery_bank=gallery_bank)
    assert result.per_query.pid.tolist() == [2, 1, 3]
    assert result.per_query.num_matches.tolist() == [1, 2, 0]
    pooled, table = pool_tracklets(encode_split(model, query_bank), query)
    assert table.tracklet.tolist() == [3, 5, 9]
    feature = encode_split(model, query_bank)["feature"]
    torch.testing.assert_close(pooled["feature"][1], feature[:2].mean(0))
    with pytest.raises(ReidError, match='no column "tracklet"'):
        pool_tracklets(pooled, dataset.train.drop(columns="tracklet", errors="ignore"))
    with pytest.raises(ReidError, match="tracklet 3 shows more than one"):
        pool_tracklets({"feature": feature}, query.assign(cam=range(6)))


def test_decodes_the_images_itself(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(8):
        colour = np.array([(60, 90, 200), (200, 60, 90)][i % 2], dtype=np.uint8)
        pixels = colour + rng.integers(0, 30, (12, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        rows.append((str(tmp_path / f"{i}.png"), 1 + i % 2, int(i >= 2)))
    rows.append((str(tmp_path / "missing.png"), -1, 0))  # junk is not even decoded
    table = pd.DataFrame(rows, columns=["path", "pid", "cam"])
    dataset = Dataset("files", table, table[:2], table[2:], "0")
    result = evaluate(Tiny(), dataset, device="cpu")
    assert (result.num_valid, result.num_queries, result.rank(1)) == (2, 2, 1)


def test_a_bank_must_fit():
    dataset, _, gallery_bank = splits()
    with pytest.raises(ReidError, match="bank holds 20 images"):
        evaluate(Tiny(), dataset, query_bank=gallery_bank, gallery_bank=gallery_bank)
    with pytest.raises(ReidError, match="model takes"):
        evaluate(Tiny(), dataset, query_bank=Bank(6, size=(9, 9)), gallery_bank=gallery_bank)
    with pytest.raises(ReidError, match='did you mean "tracklet"'):
        evaluate(Tiny(), dataset, protocol="tracklets")


def test_distances_are_blocks_unless_reranked():
    _, query_bank, gallery_bank = splits()
    model = Tiny()
    sides = [encode_split(model, bank) for bank in (query_bank, gallery_bank)]
    assert distances(model, *sides, rerank={}).shape == (6, 20)
    assert not isinstance(distances(model, *sides, rerank=False), torch.Tensor)


@pytest.mark.parametrize("swap", [False, True])
def test_a_gallery_is_streamed_where_a_model_has_its_own_distance(monkeypatch, swap):
    """Encodings that are compared in pairs are large: of the gallery four are held at once here."""
    dataset, query_bank, gallery_bank = splits(9)
    seen = []

    class Watched(Pairwise):
        def distance(self, query, gallery):
            seen.append((len(query["map"]), len(gallery["map"])))
            return super().distance(query, gallery)

    monkeypatch.setattr("reidlib.evaluate.retrieval.GALLERY", 4)
    banks = {"query_bank": query_bank, "gallery_bank": gallery_bank}
    found = evaluate(Watched(), dataset, swap=swap, protocol="partial", **banks)
    kept = int((dataset.gallery.pid != -1).sum())
    whole, streamed = (kept, 9) if swap else (9, kept)
    assert {q for q, _ in seen} == {whole}
    assert max(g for _, g in seen) == 4
    assert sum(g for _, g in seen) == streamed
    monkeypatch.setattr("reidlib.evaluate.retrieval.GALLERY", 100)
    again = evaluate(Watched(), dataset, swap=swap, protocol="partial", **banks)
    pd.testing.assert_frame_equal(found.per_query, again.per_query)


def test_only_what_is_compared_is_kept():
    _, bank, _ = splits()
    everything = encode_split(Tiny(), bank)
    assert set(everything) > {"feature"}
    kept = encode_split(Tiny(), bank, only=("feature",))
    assert set(kept) == {"feature"}
    assert torch.equal(kept["feature"], everything["feature"])
