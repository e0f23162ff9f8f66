"""Partial test sets of drawn people: who is in them, what is kept, and how they are padded."""

import pytest
import torch

from reidlib import geometry, models
from reidlib.data import ImageBank, load, partial
from reidlib.data.bank import MEAN, padded_bank
from reidlib.data.dataset import boxes
from reidlib.data.partial import first_people, kept, make_partial, partial_set
from reidlib.errors import ReidError
from reidlib.evaluate import evaluate

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL, distractors=3, junk=2)


def test_the_first_people_alone(dataset):
    some = first_people(dataset, 2)
    assert sorted(set(some.query["pid"])) == sorted(set(dataset.query["pid"]))[:2]
    assert set(some.gallery["pid"]) == set(some.query["pid"]), "no distractors"
    whole = first_people(dataset, 2, distractors=True)
    assert len(whole.gallery) == len(dataset.gallery)
    assert first_people(dataset, None) is dataset
    once = first_people(dataset, None, once=True)
    assert len(once.query) == len(dataset.query)
    assert not once.gallery.duplicated(["pid", "cam"]).any()
    theirs = dataset.gallery[dataset.gallery["pid"] > 0]
    assert len(once.gallery) == len(theirs.drop_duplicates(["pid", "cam"]))


def test_both_sides_keep_their_share(dataset):
    cut = kept(dataset, 0.4, 0.6)
    for table, share in ((cut.query, 0.4), (cut.gallery, 0.6)):
        area = geometry.box_area(torch.tensor(table["box"].tolist())) / 4
        torch.testing.assert_close(area, torch.full_like(area, share))
    assert "box" not in kept(dataset, 0.4).gallery
    assert kept(dataset, 1.0) is dataset
    with pytest.raises(ReidError, match="gallery is 0"):
        kept(dataset, 0.4, 0.0)


def test_sets_in_the_manner_of_the_benchmarks(dataset):
    several = partial_set(dataset, "partial-reid")
    assert several.protocol == "partial"
    assert set(several.query.pid) == set(several.gallery.pid) == {3, 4, 5, 6}, "no distractors"
    assert several.query.groupby("pid").size().max() == 2
    single = partial_set(dataset, "partial-ilids")
    assert len(single.query) == len(single.gallery) == 4
    cut = torch.tensor(single.query.box.tolist())
    assert (cut[:, :3] == torch.tensor([-1.0, -1.0, 1.0])).all(), "cut from below"
    half = partial_set(dataset, "partial-reid", ratio=(0.5, 0.5))
    assert (geometry.box_area(torch.tensor(half.query.box.tolist())) == 2).all()
    with pytest.raises(ReidError, match='no partial test set "partial-lfw"'):
        partial_set(dataset, "partial-lfw")


def test_groups_are_ranked_apart_from_each_other(dataset, monkeypatch):
    """Two groups of two people: each query against its own group alone, all in one result."""
    monkeypatch.setitem(partial.IDS, "partial-reid", 2)
    both = partial_set(dataset, "partial-reid", probes=2, shown=1, groups=5)
    assert both.query["group"].tolist() == sorted(both.query["group"].tolist())
    assert both.gallery.groupby("pid").size().tolist() == [1] * 4
    one, two = both.test_sets
    assert set(one.query.pid) == set(one.gallery.pid) == {3, 4}
    assert set(two.query.pid) == set(two.gallery.pid) == {5, 6}
    torch.manual_seed(0)
    model = models.build("baseline", 2, backbone="tiny", size=SIZE)
    found, parts = evaluate(model, both), [evaluate(model, some) for some in (one, two)]
    assert found.per_query["pid"].tolist() == both.query["pid"].tolist()
    n = [part.num_valid for part in parts]
    mean = (n[0] * parts[0].rank(1) + n[1] * parts[1].rank(1)) / sum(n)
    assert found.rank(1) == pytest.approx(mean)
    assert found.rank(1) == pytest.approx((found.per_query["first_hit"] == 1).mean())
    assert found.rank(2) == 1, "there are two people in a gallery"
    assert len(partial_set(dataset, "partial-ilids", groups=3).test_sets) == 1, "no whole group"
    with pytest.raises(ReidError, match="not at least 1"):
        partial_set(dataset, "partial-reid", groups=0)


def test_padded_probes_keep_their_proportions(dataset):
    cut = make_partial(dataset, ratio=(0.5, 0.5), side="bottom").query
    bank, plain = padded_bank(cut, SIZE), ImageBank.from_split(cut, SIZE)
    shown, whole = bank.raw(slice(0, 4)).float(), plain.raw(slice(0, 4)).float()
    grey = torch.tensor(MEAN).reshape(1, 3, 1, 1) * 255
    assert (shown[:, :, :15] - grey).abs().max() < 1, "empty above"
    assert (shown[:, :, 49:] - grey).abs().max() < 1, "and below"
    assert (shown[:, :, 17:47] - grey).abs().mean() > 5
    small = whole.unflatten(2, (32, 2)).mean(3)
    assert (shown[:, :, 18:46] - small[:, :, 2:30]).abs().mean() < 8
    same = padded_bank(dataset.query, SIZE).raw(slice(0, 4))
    assert (same.int() - ImageBank.from_split(dataset.query, SIZE).raw(slice(0, 4))).abs().max() < 2


def test_boxes_follow_the_crop(dataset):
    """The lower half of the image, as large as the whole: what was at 0.5 is now in its middle."""
    half = dataset.query.assign(box=[(-1.0, 0.0, 1.0, 1.0)] * len(dataset.query))
    before, after = boxes(dataset.query, "body"), boxes(half, "body")
    assert torch.allclose(after[:, 1::2], 2 * before[:, 1::2] - 1, atol=1e-6)
    assert torch.allclose(after[:, ::2], before[:, ::2], atol=1e-6)
