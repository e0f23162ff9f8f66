"""Tracklets: sampled frames, temporal (partition) pooling, their evaluation."""

import inspect
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_encode import Bank, Tiny
from torch.nn import functional

from reidlib.data import load
from reidlib.data.dataset import Dataset
from reidlib.data.drawn import synthetic
from reidlib.data.sampler import IdentitySampler
from reidlib.errors import ReidError
from reidlib.evaluate import video
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.metrics import score
from reidlib.evaluate.retrieval import Encoded, evaluate
from reidlib.evaluate.video import Pooling, plan, pool_tracklets, sample_frames
from reidlib.models.base import ReIDModel
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.workbook.report import Report

LENGTHS = (1, 2, 4, 7, 15, 16, 31)
DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(synthetic.load).parameters.items()
    if name != "root"
}
WALKS = {"train_ids": 4, "test_ids": 3, "cameras": 2, "images": 2, "size": (64, 32),
         "tracklets": True, "frames": 5, "distractors": 1, "junk": 1}  # fmt: skip


def walks(lengths=LENGTHS, seed=0):
    """A table of tracklets of these lengths, its rows shuffled."""
    rows = [(10 * t, 1 + t % 3, t % 2, f) for t, n in enumerate(lengths) for f in range(n)]
    table = pd.DataFrame(rows, columns=["tracklet", "pid", "cam", "frame"])
    table["path"] = [f"{t}_{f}.png" for t, _, _, f in rows]
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def naive(feature, table, pooling):
    """The encoding of every tracklet, one after the other."""
    out = []
    for name in sorted(table.tracklet.unique()):
        own = table[table.tracklet == name].sort_values("frame")
        n = pooling.frames or max(len(own), pooling.groups)
        if pooling.short == "last" and len(own) < n:
            chosen = [*range(len(own)), *[len(own) - 1] * (n - len(own))]
        elif pooling.sampling == "even":
            chosen = [int((k + 0.5) * len(own) / n) for k in range(n)]
        elif pooling.sampling == "starts":
            chosen = [math.floor(k * len(own) / n) for k in range(n)]
        else:
            rng = video.generator(pooling.seed, 40, int(name))
            chosen = sample_frames(len(own), n, "random", rng=rng)
        frames = feature[torch.tensor(own.index.to_numpy()[list(chosen)])]
        if pooling.frame_norm:
            frames = frames / frames.norm(dim=1, keepdim=True)
        cuts = [
            [k for k in range(n) if k * pooling.groups // n == g] for g in range(pooling.groups)
        ]
        out.append(torch.cat([frames[cut].mean(0) for cut in cuts]))
    return torch.stack(out)


@pytest.mark.parametrize("chunk", [1, 20, 4096])
@pytest.mark.parametrize(
    "pooling",
    [
        Pooling(),
        Pooling(groups=3),
        Pooling(15),
        Pooling(15, "even", 3, frame_norm=True),
        Pooling(15, "random", 3, seed=4),
        Pooling(4, "random", 3),
        Pooling(15, "starts", 3, frame_norm=True, short="last"),
        Pooling(4, "random", short="last"),
    ],
)
def test_pooling_equals_a_loop_over_tracklets(monkeypatch, chunk, pooling):
    monkeypatch.setattr(video, "CHUNK", chunk)
    table = walks()
    feature = torch.randn(len(table), 6)
    pooled, names = pool_tracklets({"feature": feature}, table, pooling)
    assert names.tracklet.tolist() == [10 * t for t in range(len(LENGTHS))]
    torch.testing.assert_close(pooled["feature"], naive(feature, table, pooling))


@pytest.mark.parametrize(
    ("length", "number", "middles", "starts"),
    [
        (15, 5, [1, 4, 7, 10, 13], [0, 3, 6, 9, 12]),
        (30, 15, list(range(1, 30, 2)), list(range(0, 30, 2))),
        (15, 15, list(range(15)), list(range(15))),
        (4, 3, [0, 2, 3], [0, 1, 2]),
        (1, 3, [0, 0, 0], [0, 0, 0]),
        (2, 5, [0, 0, 1, 1, 1], [0, 0, 0, 1, 1]),
        (100, 1, [50], [0]),
    ],
)
def test_even_sampling_by_hand(length, number, middles, starts):
    assert sample_frames(length, number).tolist() == middles
    assert sample_frames(length, number, "starts").tolist() == starts


@pytest.mark.parametrize("sampling", ["even", "starts", "random"])
def test_a_short_tracklet_shows_its_last_frame_again(sampling):
    rng = np.random.default_rng(0)
    assert sample_frames(2, 5, sampling, "last", rng).tolist() == [0, 1, 1, 1, 1]
    assert sample_frames(5, 5, sampling, "last", rng).tolist() == [0, 1, 2, 3, 4]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(0, 5))
def test_sampled_positions(length, number, seed):
    even = sample_frames(length, number)
    starts = sample_frames(length, number, "starts")
    drawn = sample_frames(length, number, "random", rng=np.random.default_rng(seed))
    for chosen in (even, starts, drawn):
        assert len(chosen) == number
        assert (np.diff(chosen) >= 0).all()
        assert 0 <= chosen[0] <= chosen[-1] < length
        counts = np.bincount(chosen, minlength=length)
        assert counts.max() - counts.min() <= 1  # repeated only as often as it must be
    assert (even + even[::-1]).max() <= length  # no end is preferred
    if number % 3 == 0:  # each third of the sample lies in its third of the time
        for k, third in enumerate(np.split(even, 3)):
            assert ((third >= np.floor(k * length / 3)) & (third < (k + 1) * length / 3)).all()


def test_random_sampling_is_a_function_of_its_seed_and_the_tracklet():
    table = walks((40, 41, 42))
    one, same, other = (plan(table, Pooling(15, "random", seed=s)) for s in (1, 1, 2))
    assert (one.rows == same.rows).all()
    assert (one.rows != other.rows).any()
    alone = plan(table[table.tracklet == 20].reset_index(drop=True), Pooling(15, "random", seed=1))
    there = table.frame.to_numpy()[one.rows[one.first[2] :]]
    mine = table[table.tracklet == 20].frame.to_numpy()[alone.rows]
    assert there.tolist() == mine.tolist()  # whatever else is in the table


class Read(ReIDModel):
    """Its feature is what the image says."""

    size = (8, 4)

    def encode(self, images):
        return {"feature": images[:, :2, 0, 0]}


def turning():
    """Somebody seen from the front first, then from behind, against somebody who came the other
    way: the same mean, another order."""
    front, back = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    slight = torch.tensor([0.9, 0.3])  # of the right person's other camera
    query = torch.stack([front] * 3 + [back] * 3)
    right = torch.stack([slight] * 3 + [back] * 3)
    wrong = torch.stack([back] * 3 + [front] * 3)

    def table(pids, cam):
        return pd.DataFrame(
            {"pid": np.repeat(pids, 6), "cam": cam, "tracklet": np.repeat(np.arange(len(pids)), 6),
             "frame": np.tile(np.arange(6), len(pids)), "path": "x.png"}
        )  # fmt: skip

    banks = {"query_bank": Bank(6), "gallery_bank": Bank(12)}
    for bank, rows in zip(banks.values(), (query, torch.cat([right, wrong])), strict=True):
        bank.data[:, :2] = rows[:, :, None, None]
    return Dataset("turning", table([1], 0), table([1], 0), table([1, 2], 1), "0"), banks


def test_a_partition_tells_apart_what_the_mean_does_not():
    dataset, banks = turning()
    for groups, right in ((1, 0.0), (2, 1.0)):
        found = evaluate(Read(), dataset, protocol="tracklet", groups=groups, **banks)
        assert found.rank(1) == right


def test_evaluation_equals_the_loop_and_encodes_what_it_samples():
    query, gallery = walks((3, 9, 20), 1), walks((20, 1, 9, 30, 30, 6), 2)
    query["cam"] = 5
    gallery.loc[gallery.tracklet == 50, "pid"] = -1  # junk
    dataset = Dataset("made", query, query, gallery, "0", protocol="tracklet")
    banks = {"query_bank": Bank(len(query), 1), "gallery_bank": Bank(len(gallery), 2)}
    model, options = Tiny(), {"frames": 6, "sampling": "random", "groups": 3, "frame_seed": 7}
    for flip, norm in ((False, False), (True, True)):
        model.calls = 0
        found = evaluate(model, dataset, flip=flip, frame_norm=norm, batch_size=4,
                         **options, **banks)  # fmt: skip
        assert model.calls == (1 + flip) * (3 + 6 + 6 + 6 + 1 + 6 + 6 + 6)
        pooling, sides = Pooling(6, "random", 3, norm, 7), []
        for table, bank in zip((query, gallery), banks.values(), strict=True):
            feature = encode_split(model, bank, flip=flip)["feature"]
            kept = table[table.pid != -1]
            sides.append(functional.normalize(naive(feature, kept, pooling)))
        names = [t[t.pid != -1].drop_duplicates("tracklet").sort_values("tracklet")
                 for t in (query, gallery)]  # fmt: skip
        expected = score(
            1 - sides[0] @ sides[1].T, *(t.pid for t in names), *(t.cam for t in names)
        )
        assert found.as_dict() == pytest.approx(expected.as_dict())


@pytest.mark.parametrize("block", [1, 2**24])
def test_the_authors_distance_is_a_sum_over_pairs_of_groups(monkeypatch, block):
    """Against a loop: every frame normalised, the means of three groups, nine distances."""
    monkeypatch.setattr(video, "BLOCK", block)
    query, gallery = walks((3, 9, 20), 1), walks((20, 1, 9, 30, 31, 6), 2)
    query["cam"] = 5
    dataset = Dataset("made", query, query, gallery, "0", protocol="tracklet")
    banks = {"query_bank": Bank(len(query), 1), "gallery_bank": Bank(len(gallery), 2)}
    model = Tiny()
    sides = []
    for table, bank in zip((query, gallery), banks.values(), strict=True):
        feature = encode_split(model, bank)["feature"]
        of_each = []
        for name in sorted(table.tracklet.unique()):
            own = table[table.tracklet == name].sort_values("frame").index.to_list()
            chosen = [own[min(k, len(own) - 1)] for k in range(15)]
            if len(own) >= 15:
                chosen = [own[k * len(own) // 15] for k in range(15)]
            each = [feature[k] / feature[k].norm() for k in chosen]
            of_each.append([sum(each[5 * g : 5 * g + 5]) / 5 for g in range(3)])
        sides.append(of_each)
    expected = torch.tensor(
        [[sum(float((a - b).norm()) for a in q for b in g) for g in sides[1]] for q in sides[0]]
    )
    pooled = [torch.stack([torch.cat(groups) for groups in side]) for side in sides]
    found = torch.cat([*video.pair_distances(*pooled, 3)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    names = [t.drop_duplicates("tracklet").sort_values("tracklet") for t in (query, gallery)]
    scored = score(expected, *(t.pid for t in names), *(t.cam for t in names))
    options = {"frames": 15, "sampling": "starts", "groups": 3, **video.AUTHORS}
    assert evaluate(model, dataset, **options, **banks).as_dict() == pytest.approx(scored.as_dict())


def test_encodings_stand_for_the_images():
    query, gallery = walks((3, 9, 20), 1), walks((20, 1, 9), 2)
    query["cam"] = 5
    gallery.loc[gallery.tracklet == 10, "pid"] = -1
    dataset = Dataset("made", query, query, gallery, "0", protocol="tracklet")
    model, options = Tiny(), {"frames": 6, "groups": 3}
    images = {"query_bank": Bank(len(query), 1), "gallery_bank": Bank(len(gallery), 2)}
    made = {k: Encoded(encode_split(model, bank), model.size) for k, bank in images.items()}
    expected = evaluate(model, dataset, **options, **images)
    model.calls = 0
    assert evaluate(model, dataset, **options, **made).as_dict() == expected.as_dict()
    assert model.calls == 0
    with pytest.raises(ReidError, match="the bank holds"):
        evaluate(model, dataset, query_bank=made["gallery_bank"])


def test_one_group_is_temporal_pooling():
    table = walks()
    feature = torch.randn(len(table), 6)
    one, _ = pool_tracklets({"feature": feature}, table, Pooling(15))
    three, _ = pool_tracklets({"feature": feature}, table, Pooling(15, groups=3))
    mean = three["feature"].reshape(len(LENGTHS), 3, 6).mean(1)  # five frames in each
    torch.testing.assert_close(one["feature"], mean)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 2, "groups": 3}, "groups is 3 and frames is 2"),
        ({"groups": 0}, "groups is 0"),
        ({"frames": 0}, "groups is 1 and frames is 0"),
        ({"frames": 2.5}, "frames is 2.5"),
        ({"frames": 3, "sampling": "evenly"}, 'did you mean "even"'),
        ({"sampling": "random"}, "needs a number of frames"),
        ({"frame_seed": -1}, "frame_seed is -1"),
        ({"short": "first"}, 'unknown short "first"'),
        ({"compare": "pair"}, 'did you mean "pairs"'),
        ({"compare": "pairs"}, "goes with no other distance"),
        ({"groups": 2}, 'also compares "map"'),
        ({"protocol": "market1501", "frames": 15}, 'for protocol="tracklet", not "market1501"'),
    ],
)
def test_options_are_strict(options, message):
    table = walks((3, 3))
    dataset = Dataset("made", table, table, table, "0")
    banks = {"query_bank": Bank(6), "gallery_bank": Bank(6)}
    with pytest.raises(ReidError, match=message):
        evaluate(Mapped(), dataset, **{"protocol": "tracklet", **banks, **options})
    with pytest.raises(ReidError, match="cannot sample 3 frames from 0"):
        sample_frames(0, 3)
    with pytest.raises(ReidError, match="need a generator"):
        sample_frames(4, 3, "random")


class Mapped(Tiny):
    def distance(self, query, gallery):
        return torch.cdist(query["map"].flatten(1), gallery["map"].flatten(1))


def test_people_who_walk_are_trained_on_and_found(tmp_path):
    recipe = Recipe(data_options=WALKS, backbone="tiny", size=(64, 32), ids_per_batch=2,
                    images_per_id=2, steps=2)  # fmt: skip
    run = fit(recipe, device="cpu", store=tmp_path, progress=False)
    options = {"protocol": "tracklet", "frames": 3, "groups": 3}
    found = run.evaluate(**options)
    tracks = recipe.load_dataset().query.tracklet.nunique()
    assert found.num_queries == tracks
    assert run.evaluated(**options, sampling="even")
    assert not run.evaluated(**options, sampling="random")
    assert not run.evaluated(protocol="tracklet")
    assert run.evaluate(protocol="tracklet").num_queries == tracks
    assert run.metrics.num_queries == 5 * tracks  # without the protocol, images


def test_images_of_an_identity_come_from_different_tracklets_by_camera():
    train = load("synthetic", **WALKS).train
    sampler = IdentitySampler(train.pid.to_numpy(), 2, 2, cam=train.cam.to_numpy())
    for step in range(4):
        batch = train.iloc[sampler(step)]
        shared = batch.groupby("pid").cam.nunique()
        have = train[train.pid.isin(batch.pid)].groupby("pid").cam.nunique()
        assert (shared == have.clip(upper=2)).all()
        assert (batch.groupby("pid").tracklet.nunique() >= shared).all()


@pytest.mark.parametrize("profile", ["smoke", "demo", "study"])
def test_profiles_have_a_stand_in_for_mars(profile, monkeypatch):
    drawn = []
    monkeypatch.setattr("reidlib.workbook.report.load", lambda name, **o: drawn.append((name, o)))
    Report("40_scr", profile).domain_dataset("mars")
    ((name, options),) = drawn
    assert name == "synthetic"
    entries = synthetic._plan({**DEFAULTS, **options})
    assert set(Counter(entry.tracklet for entry in entries).values()) == {options["frames"]}
    assert options["frames"] > 15 or profile == "smoke"  # else even and random are the same
    assert len(entries) <= {"smoke": 300, "demo": 2500, "study": 8500}[profile]  # seconds to draw


@pytest.mark.real_data
@pytest.mark.filterwarnings("ignore:MARS")
def test_the_fixture_of_edge_drawings(mars_root):
    dataset = load("mars", mars_root)
    model = Tiny()
    model.encode = lambda images: {"feature": images.flatten(1)}
    tracks = dataset.query.tracklet.nunique()
    scores = {}
    for name, options in {
        "all": {},
        "TP(R)": {"frames": 15, "sampling": "random"},
        "TP(E)": {"frames": 15},
        "TPP(E)": {"frames": 15, "groups": 3},
        "TPP(E), the code's": {"frames": 15, "sampling": "starts", "groups": 3, **video.AUTHORS},
    }.items():
        found = evaluate(model, dataset, protocol="tracklet", **options)
        assert (found.num_queries, found.num_valid) == (tracks, tracks)
        scores[name] = found.mAP
    assert len(set(scores.values())) == len(scores)
