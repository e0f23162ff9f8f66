"""VCN's figures show what the model does: their content is checked."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from reidlib import visualize
from reidlib.data import ImageBank, load
from reidlib.data.bank import denormalise
from reidlib.data.drawn.synthetic import NOMINAL
from reidlib.errors import ReidError
from reidlib.geometry import box_iou, identity, sample
from reidlib.models import build
from reidlib.papers.vcn import figures, measure
from reidlib.papers.vcn.figures import corners, readings
from reidlib.visualize.architecture import LANE
from reidlib.visualize.images import pixels
from reidlib.visualize.ranking import RIGHT, WRONG, allowed_distance, query_distances, rgb

OPTIONS = {"train_ids": 4, "test_ids": 6, "cameras": 2, "images": 2, "distractors": 3, "junk": 2}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", size=(64, 32), **OPTIONS)


@pytest.fixture(scope="module")
def images(dataset):
    return ImageBank.from_split(dataset.query, (96, 32)).images(slice(0, 3))


def vcn(**options):
    torch.manual_seed(0)
    return build("vcn", 4, backbone="tiny", size=(96, 32), **options).eval()


def test_a_transformers_picture_is_what_it_reads(dataset, images):
    theta = identity(3)
    theta[:, 0, 2] = 0.5  # reads from the right
    body = measure.boxes(dataset.query[:3], "body")
    figure = figures.aligned(images, {"moved": theta}, body)
    axes = np.array(figure.axes).reshape(2, 3)
    seen = denormalise(sample(images, theta)).permute(0, 2, 3, 1).numpy()
    assert np.allclose(axes[1, 2].images[0].get_array(), seen[2])
    before, after = (axes[k, 0].patches[1].get_xy()[:, 0] for k in (0, 1))
    assert before - after == pytest.approx(0.25 * 32, abs=1e-3)  # the body moves to the left
    dashed = axes[1, 0].patches[0].get_xy()[:, 0]
    assert [min(dashed), max(dashed)] == pytest.approx([0.1 * 32 - 0.5, 0.9 * 32 - 0.5])
    assert axes[0, 0].get_xlim() == (-0.5, 31.5)
    assert len(figures.aligned(images, {"moved": theta}).legends) == 0
    overlap = [float(axis.get_title().split()[1]) for axis in axes[0]]
    assert overlap == pytest.approx(box_iou(body, torch.tensor([NOMINAL])).tolist(), abs=0.006)


def test_corners_in_pixels():
    theta = torch.tensor([[[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]])  # the right half
    found = pixels(corners(theta)[0], (10, 20))
    assert found[0].tolist() == [9.5, -0.5]
    assert found[2].tolist() == [19.5, 9.5]


def test_transformer_steps_show_the_factors(images):
    models = {"SC-STN": vcn(), "STN": vcn(stn="six")}
    figure = figures.transformer_steps(models, images[1:])
    axes = np.array(figure.axes).reshape(4, 5)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["SC-STN", "STN"] * 2
    axes = axes[2:]  # the second image
    with torch.no_grad():
        found = models["SC-STN"].encode(images[2:])
        mean = models["SC-STN"].backbone(images[2:]).mean(1)[0]
    assert np.allclose(axes[0, 0].images[0].get_array(), mean, atol=1e-5)
    widths = [bar.get_width() for bar in axes[0, 1].patches[:4]]
    expected = measure.factors(found["theta"])[0] - torch.tensor(measure.UNMOVED)
    assert widths == pytest.approx(expected.tolist(), abs=1e-5)
    assert f"{found['eps'][0]:.2f}" in axes[0, 1].get_legend().texts[0].get_text()
    assert len(axes[1, 1].patches) == 6  # with rotation
    assert axes[1, 1].get_legend() is None
    with pytest.raises(ReidError, match="no spatial transformer"):
        figures.transformer_steps({"none": vcn(stn="none")}, images)


def test_four_ways_to_read_a_map_have_the_models_weights():
    model = vcn()
    regular, depthwise, stripe, vertical = readings(model, channel=2, kernel=1)
    conv = model.backbone.conv5[-1].conv2.weight
    assert regular.weights.shape == (256, 6)
    torch.testing.assert_close(regular.weights[:, 2:5], conv[2].detach().sum(2))
    assert not regular.weights[:, [0, 1, 5]].any()
    assert torch.nonzero(depthwise.weights.sum(1)).flatten().tolist() == [2]
    torch.testing.assert_close(depthwise.weights[2, 2:5], conv[2, 2].detach().sum(1))
    assert stripe.weights[2].tolist() == [0, 0, 0.5, 0.5, 0, 0]
    assert torch.equal(vertical.weights[2], model.spatial_head.kernels[2, 1].detach())
    assert regular.number == f"{256 * 9:,} weights a channel"
    figure = figures.convolutions(model, shown=8, channel=2)
    assert figure.axes[3].images[0].get_array().shape == (6, 8)
    first = torch.rand_like(model.spatial_head.kernels)
    learned = readings(model, channel=2, kernel=1, began=first)[3]
    torch.testing.assert_close(learned.weights[2] + first[2, 1], vertical.weights[2])
    with pytest.raises(ReidError, match="no vertical convolution"):
        readings(vcn(spatial="shared"))


def test_paired_lists_frame_what_each_model_finds(dataset):
    models = {"one": vcn(), "two": vcn(use_global=False)}
    queries = [4, 1, 2]
    figure = visualize.paired_lists(models, dataset, queries, top=2, captions=["x", "y", "z"])
    assert [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes[:3]] == [
        "x", "y", "z",
    ]  # fmt: skip
    assert [text.get_text() for text in figure.axes[0].texts] == ["one", "two"]
    picture = figure.axes[1].images[0].get_array()
    for row, model in enumerate(models.values()):
        distance = query_distances(model, dataset, queries)
        allowed = allowed_distance(distance, dataset, queries)[1]
        nearest = allowed.argsort(stable=True)[:2].tolist()
        y = row * picture.shape[0] // 2 + 20
        for column, i in enumerate(nearest):
            right = dataset.gallery.pid[i] == dataset.query.pid[1]
            x = (column + 1) * (picture.shape[1] + 6) // 3 + 1
            assert tuple(picture[y, x]) == rgb(RIGHT if right else WRONG)


def test_correction_draws_found_against_true(dataset):
    images = measure.corrections(vcn(), dataset)
    still = measure.corrections(vcn(stn="four", stn_start="identity"), dataset)
    other = images.assign(t_h=-images.t_h)
    rows = [images.assign(row="SC-STN", seed=0), other.assign(row="SC-STN", seed=1),
            still.assign(row="STN", seed=0)]  # fmt: skip
    figure = figures.correction(pd.concat(rows))
    axes = np.array(figure.axes).reshape(2, 5)
    points = axes[0, 3].collections[0].get_offsets()
    assert np.allclose(points[:, 0], images.t_h_true)
    assert np.allclose(points[:, 1], images.t_h)
    assert np.allclose(axes[0, 3].collections[1].get_offsets()[:, 1], -images.t_h)
    r = measure.correlation(images.t_h.to_numpy(), images.t_h_true.to_numpy())[0]
    assert axes[0, 3].get_xlabel().endswith(f"r = 0.00 [{-abs(r):.2f}, {abs(r):.2f}]")
    assert axes[1, 4].texts[0].get_text().startswith("no ")
    assert axes[1, 0].get_xlabel().endswith("constant")


def test_architecture_of_a_vcn_has_both_branches_up_to_their_losses():
    model = vcn()
    figure = figures.architecture(model)
    places = {t.get_text(): t.get_position() for t in figure.axes[0].texts}
    lanes = (["GAP + GMP", "batch norm: $f^g$", "losses of $f^g$"],
             ["SC-STN", "row pooling", "VCN: $f^s$", "batch norm", "losses of $f^s$"])  # fmt: skip
    for lane in lanes:
        along = [places[name][0] for name in lane]
        assert along == sorted(along)
    assert places["GAP + GMP"][1] - places["SC-STN"][1] > LANE / 2
    assert "0.5 $L_c^g$ + 1e-07 $L_r^g$" in places
    assert "1 $L_c^s$ + 0.5 $L_r^s$" in places
    assert any(text.startswith(f"{model.spatial_head.features}\n") for text in places)
