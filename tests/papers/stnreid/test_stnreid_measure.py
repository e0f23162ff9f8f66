"""True patches of pairs, and how well a transform finds them."""

import pytest
import torch

from reidlib import geometry, models
from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.evaluate.metrics import Metrics, score
from reidlib.papers.stnreid import measure
from reidlib.papers.stnreid.measure import Pairs

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 3, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL, distractors=3, junk=2)


class Oracle(torch.nn.Module):
    """A localization network that knows the answer."""

    def __init__(self, theta):
        super().__init__()
        self.theta = theta

    def forward(self, partial, holistic):
        return self.theta


def model_with(theta):
    model = models.build("stnreid", 2, backbone="tiny", size=SIZE)
    model.localization = Oracle(theta)
    return model


def test_in_the_same_image_the_patch_is_the_cut(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    assert len(pairs) == len(dataset.query)
    kept = geometry.box_area(pairs.true) / 4
    assert 0.4 <= kept.min() < kept.max() <= 0.8
    shown = geometry.sample(pairs.holistic, geometry.box_to_theta(pairs.true))
    difference = (shown - pairs.partial).abs().mean((1, 2, 3))
    apart = (pairs.holistic - pairs.partial).abs().mean((1, 2, 3))
    assert (difference < 0.5 * apart).all(), "the patch, enlarged, is the partial image"


def test_in_another_image_the_patch_lies_on_the_body_as_the_cut_does(dataset):
    pairs = measure.make_pairs(dataset, SIZE, "same person")
    again = measure.make_pairs(dataset, SIZE, "same image")
    assert torch.equal(pairs.partial, again.partial), "the same cuts"
    from reidlib.data.dataset import boxes

    body = boxes(dataset.query, "body")
    first = dataset.query.iloc[0]
    rows = dataset.gallery[(dataset.gallery.pid == first.pid) & (dataset.gallery.cam != first.cam)]
    there = torch.tensor(rows.iloc[0].body, dtype=torch.float32)
    for axis in (0, 1):  # left edge, top edge: as far into the body, in its widths or heights
        here = (again.true[0, axis] - body[0, axis]) / (body[0, axis + 2] - body[0, axis])
        found = (pairs.true[0, axis] - there[axis]) / (there[axis + 2] - there[axis])
        assert found.item() == pytest.approx(here.item(), abs=1e-4)
    other = measure.make_pairs(dataset, SIZE, "another person")
    assert not torch.equal(other.holistic, pairs.holistic)


def test_overlaps_of_the_truth_and_of_the_identity(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    truth = model_with(geometry.box_to_theta(pairs.true))
    torch.testing.assert_close(measure.overlaps(truth, pairs), torch.ones(len(pairs)))
    same = measure.overlaps(None, pairs)
    torch.testing.assert_close(same, geometry.box_area(pairs.true) / 4)
    table = measure.overlap_table({"Ep1": [truth, truth]}, {"same image": pairs})
    assert list(table["row"]) == ["identity", "side of the cut alone", "Ep1"]
    assert table["mean"][2] == pytest.approx(1)
    assert table["mean"][0] < table["mean"][1] < 1  # the side tells much of where to look
    assert table["low"][0] < table["mean"][0] < table["high"][0]
    both = measure.overlaps_by_seed([truth, None], pairs)
    torch.testing.assert_close(both, torch.stack([torch.ones(len(pairs)), same]))
    assert pairs.pid.tolist() == dataset.query["pid"].tolist()


def test_a_box_that_knows_the_side_keeps_the_mean_share():
    true = [[-1.0, -1.0, 1.0, 0.2], [-1.0, -0.4, 1.0, 1.0], [-0.6, -1.0, 1.0, 1.0]]
    pairs = Pairs(torch.zeros(3, 3, 4, 4), torch.zeros(3, 3, 4, 4), torch.tensor(true))
    # 0.8, 0.6 and 0.4 of 2 are missing below, above and at the left: the mean leaves 1.4
    expected = [1.2 / 1.4, 1.4 / 1.4, 1.4 / 1.6]
    assert measure.side_alone(pairs).tolist() == pytest.approx(expected)


def test_mismatched_pairs_keep_their_true_patch(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    other = measure.mismatched(pairs, "partial image")
    assert torch.equal(other.partial[1:], pairs.partial[:-1])
    assert torch.equal(other.holistic, pairs.holistic)
    noise = measure.mismatched(pairs, "holistic image")
    assert torch.equal(noise.partial, pairs.partial)
    assert noise.holistic.shape == pairs.holistic.shape
    assert not torch.equal(noise.holistic, pairs.holistic)
    assert torch.equal(noise.true, pairs.true)


class Looks(torch.nn.Module):
    """A localization network that knows where every partial image comes from."""

    def __init__(self, pairs):
        super().__init__()
        self.pairs = pairs

    def forward(self, partial, holistic):
        found = [(self.pairs.partial == x).all((1, 2, 3)).nonzero()[0, 0] for x in partial]
        return geometry.box_to_theta(self.pairs.true[torch.stack(found)])


def test_an_stn_at_rest_and_one_that_looks(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    one_box = geometry.box_to_theta(pairs.true[:1]).expand(len(pairs), 2, 3)
    models = {
        "looks": [model_with(None), model_with(None)],
        "identity": [model_with(geometry.identity(len(pairs)))] * 2,
        "one box": [model_with(one_box)] * 2,
    }
    for model in models["looks"]:
        model.localization = Looks(pairs)
    table = measure.moving_table(models, pairs)
    iou, other, spread = table.columns
    assert table.loc["looks", iou] == pytest.approx(1)
    assert table.loc["looks", other] < 0.9
    assert table.loc["looks", spread] > 0.05
    assert (table.loc[["identity", "one box"], spread] == 0).all()
    assert (table[iou] == table[other])[["identity", "one box"]].all()
    reasons = {name: measure.at_rest(own, pairs) for name, own in models.items()}
    assert [name for name, reason in reasons.items() if not reason] == ["looks"]
    assert "the same whatever" in reasons["identity"]


class Ramps(torch.nn.Module):
    """Features that say where an image of two ramps is read: mean and spread of each ramp."""

    def pooled(self, images):
        return torch.cat([images[:, :2].mean((2, 3)), images[:, :2].std((2, 3))], 1)


class Blind(torch.nn.Module):
    """Features that are the same wherever an image is read."""

    def pooled(self, images):
        return 0 * images.mean((2, 3))


def test_the_gradient_through_features_that_know_places_points_to_the_patch(monkeypatch):
    x = torch.linspace(-1, 1, 32).expand(64, 32)
    y = torch.linspace(-1, 1, 64).unsqueeze(1).expand(64, 32)
    image = torch.stack([x, y, 0 * x]).expand(4, 3, 64, 32)
    cut = [
        [-0.7, -0.8, 0.8, 0.2],
        [-0.8, -0.2, 0.7, 0.8],
        [-0.6, -0.8, 0.9, 0.8],
        [-0.9, -0.9, 0.2, 0.8],
    ]
    true = torch.tensor(cut)
    pairs = Pairs(geometry.sample(image, geometry.box_to_theta(true)), image, true)
    monkeypatch.setattr(measure, "TOGETHER", 3)
    for way in (0.5, 0.8):  # all of it inside: beyond the image there are zeros
        assert measure.pointing(Ramps(), pairs, way).min() > 0.8
        assert measure.pointing(Ramps(), pairs, way, 2.0).min() > 0.8
    beyond = measure.pointing(Ramps(), pairs, 1.5)
    assert beyond.max() < -0.8, "it points back"
    ends = (measure.descended(Ramps(), pairs), geometry.identity(4))
    after, before = (Ramps().pooled(geometry.sample(image, theta)) for theta in ends)
    wanted = Ramps().pooled(pairs.partial)
    assert ((after - wanted).square().sum(1) < (before - wanted).square().sum(1)).all()
    right, wrong = measure.leads([Ramps()], pairs), measure.leads([Blind()], pairs)
    assert right["cosine, half of the way"] > 0.8
    assert wrong["cosine, half of the way"] == 0
    assert wrong["IoU"] == pytest.approx(measure.overlaps(None, pairs).mean().item())
    both = measure.leads([Ramps(), Blind()], pairs)
    assert both == pytest.approx({name: (right[name] + wrong[name]) / 2 for name in right})


def test_real_people_have_no_true_patch_in_another_image(dataset):
    bare = dataset.but(**{k: t.drop(columns="body") for k, t in dataset.splits.items()})
    assert len(measure.make_pairs(bare, SIZE)) == len(bare.query)
    with pytest.raises(ReidError, match="true boxes exist for embedded people alone"):
        measure.make_pairs(bare, SIZE, "same person")
    alone = dataset.but(gallery=dataset.gallery[dataset.gallery.pid < 1])
    with pytest.raises(ReidError, match="no gallery image by another camera"):
        measure.make_pairs(alone, SIZE, "same person")


def test_the_people_of_figure_5(dataset):
    partial, holistic, true, names = measure.two_people(dataset, SIZE)
    assert true.shape == (3, 5, 4)
    assert (partial.shape, holistic.shape) == ((5, 3, *SIZE), (3, 3, *SIZE))
    assert names == ["A", "A'", "B"]
    assert len({image.numpy().tobytes() for image in holistic}) == 3


def test_the_images_of_figure_4(dataset):
    """One holistic image, four cuts of each of two images; what is cut away is known."""
    found = measure.four_partial(dataset, SIZE)
    assert list(found) == ["same camera", "another camera"]
    same, another = found.values()
    assert len(same) == len(another) == 4
    holistic = torch.cat([same.holistic, another.holistic])
    assert torch.equal(holistic, holistic[:1].expand_as(holistic)), "the same image"
    assert not torch.equal(same.partial, another.partial)
    for pairs in found.values():
        size = geometry.box_area(pairs.true)
        torch.testing.assert_close(size, size[:1].expand(4))  # each keeps as much of the body
        top, bottom, left, right = pairs.true
        assert top[1] > bottom[1]
        assert left[0] > right[0]
    bare = dataset.but(**{k: t.drop(columns="body") for k, t in dataset.splits.items()})
    assert measure.four_partial(bare, SIZE)["same camera"].true.isnan().all()


def test_joined_pairs(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    twice = measure.joined([pairs, measure.select(pairs, [1])])
    assert len(twice) == len(pairs) + 1
    assert torch.equal(twice.true[-1], pairs.true[1])
    assert torch.equal(twice.partial[-1], pairs.partial[1])


def test_the_improvement_of_each_query_and_seed():
    def scored(nearest: int) -> Metrics:
        distance = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
        distance[1, nearest] = 0
        return score(distance, [1, 2], [1, 2], [0, 0], [1, 1])

    found = measure.improvement([scored(0), scored(1)], [scored(1), scored(1)])
    assert found.tolist() == [[0, 100], [0, 0]]


def test_selected_pairs(dataset):
    pairs = measure.make_pairs(dataset, SIZE)
    some = measure.select(pairs, [2, 0])
    assert isinstance(some, Pairs)
    assert torch.equal(some.true, pairs.true[[2, 0]])


def test_where_the_gallery_holds_the_probes_own_image_its_true_patch_is_the_probe():
    """What is compared then is twice the same picture: pixels say whose it is."""
    from reidlib.data.partial import partial_set

    people = load("synthetic", **{**SMALL, "test_ids": 12}, distractors=0, junk=0)
    test = partial_set(people, "partial-reid", people=6, groups=2, probes=1, shown=1)
    own = test.query.drop(columns="box")
    model = models.build("stnreid", 2, backbone="tiny", size=SIZE)
    model.features = lambda images: images.flatten(1)
    right = measure.by_true_patches([model], test.but(gallery=own))
    assert right.tolist() == [[100.0] * 12]
    model.features = lambda images: images.mean((2, 3))
    assert measure.by_true_patches([model], test.but(gallery=own)).mean() == 100.0, (
        "colour does too"
    )
    other = own.assign(box=[(-1.0, -1.0, 1.0, 1.0)] * 12)
    whole = measure.by_true_patches([model] * 2, test.but(query=other, gallery=own.iloc[::-1]))
    assert whole.tolist() == [[100.0] * 12] * 2, "in any order"
