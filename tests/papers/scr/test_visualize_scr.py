"""SCR's figures show what the model does: their content is checked."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Polygon

from reidlib import visualize
from reidlib.data import ImageBank, load
from reidlib.errors import ReidError
from reidlib.evaluate.compare import compare
from reidlib.evaluate.retrieval import evaluate
from reidlib.models import build
from reidlib.papers.scr import figures
from reidlib.papers.scr.figures import part_cam
from reidlib.papers.scr.model import SCR
from reidlib.visualize.ranking import nearest_allowed, query_distances

OPTIONS = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2, "distractors": 0, "junk": 0}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def images():
    query = load("synthetic", size=(64, 32), **OPTIONS).query
    return ImageBank.from_split(query, (96, 32)).images(slice(0, 3))


def scr(**options) -> SCR:
    torch.manual_seed(0)
    model = build("scr", 4, backbone="tiny", size=(96, 32), **options)
    assert isinstance(model, SCR)
    return model


@pytest.mark.parametrize("pairs", [True, False], ids=["similarity", "logit"])
def test_a_map_is_zero_beyond_its_parts_rows(images, pairs):
    model = scr()
    others = images.flip(0) if pairs else None
    # six rows centred at 0, 16, ..., 80: p2 is cut at the end of the third, p3 of second and fourth
    for name, (top, bottom) in {"p2.s1": (0, 40), "p2.s2": (40, 96), "p3.s2": (24, 56)}.items():
        maps = part_cam(model, images, name, others)
        assert maps.shape == (3, 96, 32)
        assert maps.min() >= 0
        assert maps.max() <= 1
        assert not maps[:, :top].any()
        assert not maps[:, bottom:].any()
        assert maps[:, top:bottom].any()
    whole = part_cam(model, images, "p2", others)
    assert (whole[:, :48] > 0).any()
    assert (whole[:, 48:] > 0).any()
    assert model.training
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_other_channels_do_not_matter_to_a_groups_map(images):
    model = scr()
    last = model.branch("p2")
    found = {}
    for changed in ((0, 0), (512, 1024), (0, 512)):
        hook = last.register_forward_hook(lambda _, __, x, c=changed: _noisy(x, c))
        found[changed] = part_cam(model, images, "p2.c1")
        hook.remove()
    assert np.array_equal(found[0, 0], found[512, 1024])
    assert not np.array_equal(found[0, 0], found[0, 512])


def test_gradients_of_a_group_stay_in_its_channels(images):
    model = scr().eval()
    maps = {}
    hook = model.branch("p3").register_forward_hook(lambda _, __, x: maps.update(x=x))
    feature = model.part_features(images)["p3.c2"]
    hook.remove()
    (grad,) = torch.autograd.grad(feature.square().sum(), maps["x"])
    moved = grad.abs().amax((0, 2, 3)) > 0
    assert not moved[:342].any()
    assert not moved[683:].any()
    assert moved[342:683].any()


def _noisy(x, channels):
    x = x.clone()
    part = x[:, slice(*channels)]
    part += torch.rand(part.shape, generator=torch.Generator().manual_seed(1))
    return x


def test_a_map_follows_the_layers_mean_gradient(images):
    """Grad-CAM by hand, at the size of the map."""
    model = scr(branches="p1").eval()
    maps = {}
    hook = model.branch("p1").register_forward_hook(lambda _, __, x: maps.update(x=x))
    logits = model.part_logits(images)["p1"]
    hook.remove()
    (grad,) = torch.autograd.grad(logits.amax(1).sum(), maps["x"])
    heat = (grad.mean((2, 3), keepdim=True) * maps["x"]).sum(1).relu()
    found = part_cam(model, images, "p1")
    for one, drawn in zip(heat.detach(), found, strict=True):
        y, x = divmod(int(one.argmax()), one.shape[1])
        assert drawn[16 * y, 16 * x] == drawn.max() == pytest.approx(1, abs=1e-3)


def test_part_cams_has_a_column_a_part(images):
    partition, plain, se = scr(), scr(branches="p1"), scr(branches="p1", attention="se")
    columns = {"(a)": (plain, "p1"), "(c)": (partition, "p2.s2"), "(f)": (se, "p1")}
    figure = figures.part_cams(columns, images[:2], images[1:], captions=["x", "y"])
    axes = np.array(figure.axes).reshape(2, 5)
    assert [axis.get_title() for axis in axes[0]] == ["image", "partner", "(a)", "(c)", "(f)"]
    assert [len(axis.lines) for axis in axes[1]] == [0, 0, 0, 1, 0]
    assert axes[0, 3].lines[0].get_ydata()[0] == 40
    shown = [axis.images[0].get_array() for axis in axes[0]]
    assert np.array_equal(shown[1], axes[1, 0].images[0].get_array())  # images[1] is the partner
    assert not np.array_equal(shown[2], shown[4])
    with pytest.raises(ReidError, match=r'no part "p1\.s1"'):
        figures.part_cams({"a": (plain, "p1.s1")}, images)


def test_numbers_of_maps_are_those_of_the_maps(images):
    model = scr()
    columns = {"up": (model, "p2.s1"), "down": (model, "p2.s2"), "whole": (model, "p2")}
    body = torch.tensor([[-1.0, -1.0, 1.0, -1 / 6]]).repeat(3, 1)  # the upper 40 of 96 rows
    found = figures.cam_numbers(columns, images, images.flip(0), body)
    assert found.loc["up", "on the person"] == pytest.approx(100)
    assert found.loc["down", "on the person"] == 0
    assert found.loc["down", "overlap"] == 0
    assert (found["box of the person"].round(3) == 41.667).all()
    maps = part_cam(model, images, "p2", images.flip(0))
    seen = maps.any((1, 2))
    whole, maps = found.loc["whole"], maps[seen]
    assert whole["nothing"] == pytest.approx(100 * (1 - seen.mean()))
    assert whole["above half"] == pytest.approx(100 * (maps > 0.5).mean(), rel=1e-5)
    shares = maps[:, :40].sum((1, 2)) / maps.sum((1, 2))
    assert whole["on the person"] == pytest.approx(100 * shares.mean(), rel=1e-5)


def test_partitioned_draws_what_the_model_cuts():
    figure = figures.partitioned(scr())
    axes = np.array(figure.axes).reshape(2, 3)
    blocks = [[sum(isinstance(p, Polygon) for p in a.patches) // 3 for a in row] for row in axes]
    assert blocks == [[1, 2, 2], [1, 3, 3]]
    labels = [text.get_text() for text in axes[1, 2].texts]
    assert sorted(labels) == ["p3.c1\n342×6×2", "p3.c2\n341×6×2", "p3.c3\n341×6×2"]
    assert axes[0, 1].texts[0].get_text() == "p2.s2\n1024×3×2"
    alone = figures.partitioned(scr(branches="p1"))
    assert [len(axis.patches) for axis in alone.axes] == [3, 0, 0]


def test_architecture_shows_branches_and_their_parts():
    figure = figures.architecture(scr())
    texts = [text.get_text() for text in figure.axes[0].texts]
    for name in ("p3 conv5", "1 head", "5 heads", "7 heads"):
        assert texts.count(name) == 1
    said = "1×1 conv, BN: 7 × 256\nlosses: 7 identity, 1 triplet"
    assert sum(text.startswith(said) for text in texts) == 1
    deep = scr()
    deep.branches[0].conv4 = torch.nn.Sequential(*(torch.nn.Identity() for _ in range(5)))
    named = [text.get_text() for text in figures.architecture(deep).axes[0].texts]
    assert {"conv4_1", "p1 conv4_2 to _6"} <= set(named)  # as in a ResNet-50
    assert "1024\ns3: 3 × 1024\nc3: 342 + 341 + 341" in texts
    assert texts.count("max pooling") == 3


def test_lists_of_queries_that_only_the_second_model_gets_right():
    """Fig. 4: what is drawn is what was counted, with the mirror images too."""
    dataset = load("synthetic", size=(64, 32), **{**OPTIONS, "test_ids": 12})
    torch.manual_seed(0)
    models = {"PCB": build("pcb", 4, backbone="tiny", size=(96, 32)), "SCR": scr()}
    scores = [evaluate(model, dataset, flip=True) for model in models.values()]
    changes = compare(*scores, "rank1").changes
    queries = changes["query"][changes["difference"] == 1].tolist()[:3]
    assert queries
    for model, right in zip(models.values(), (False, True), strict=True):
        distance = query_distances(model, dataset, queries, flip=True)
        nearest = nearest_allowed(distance, dataset, queries).tolist()
        found = dataset.gallery.pid.iloc[nearest].to_numpy() == dataset.query.pid.iloc[queries]
        assert (found == right).all()
    figure = visualize.paired_lists(models, dataset, queries, top=3, flip=True)
    assert [text.get_text() for text in figure.axes[0].texts] == ["PCB", "SCR"]
