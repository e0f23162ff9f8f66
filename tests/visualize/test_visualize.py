"""Figures are drawn from the thing itself: their content is checked, not only that they draw."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from reidlib import visualize
from reidlib.data import ImageBank, load
from reidlib.evaluate import score
from reidlib.models import build
from reidlib.visualize.people import TILE
from reidlib.visualize.ranking import allowed_distance, nearest_allowed
from reidlib.visualize.style import RIGHT, WRONG, framed, mosaic, rgb

OPTIONS = {"train_ids": 6, "test_ids": 6, "cameras": 2, "images": 2, "distractors": 3, "junk": 2}


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", size=(64, 32), **OPTIONS)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def image_of(figure) -> np.ndarray:
    return figure.axes[0].images[0].get_array()


def test_framed_and_mosaic():
    tile = np.full((10, 6, 3), 7, np.uint8)
    frame = framed(tile, rgb(RIGHT), width=2)
    assert frame.shape == (14, 10, 3)
    assert tuple(frame[0, 0]) == rgb(RIGHT)
    assert (frame[2:-2, 2:-2] == 7).all()
    whole = mosaic([[tile, None], [None, tile]], gap=4)
    assert whole.shape == (24, 16, 3)
    assert (whole[:10, :6] == 7).all()
    assert (whole[:10, 10:] == 255).all()


def test_people_grid_has_a_row_a_camera(dataset):
    image = image_of(visualize.people_grid(dataset, ids=4))
    assert image.shape[:2] == (2 * (TILE[0] + 4) - 4, 4 * (TILE[1] + 4) - 4)


def test_true_boxes_and_partial_probes_draw_every_probe(dataset):
    figure = visualize.true_boxes(dataset, n=4)
    assert all(len(axis.patches) == 5 for axis in figure.axes)  # the body and four parts
    partial = load("synthetic", size=(64, 32), partial={"ratio": (0.3, 0.5)}, **OPTIONS)
    figure = visualize.partial_probes(partial, n=4)
    assert sum(len(axis.patches) for axis in figure.axes) == 4


def test_fewer_queries_than_places(dataset):
    few = dataset.but(query=dataset.query[:1])
    assert len(visualize.true_boxes(few).axes) == 1
    boxes = dataset.query[:3].assign(box=[(-1.0, -1.0, 1.0, 0.0)] * 3)
    assert len(visualize.partial_probes(dataset.but(query=boxes)).axes) == 6


def test_a_run_without_measured_time_is_said():
    figure = visualize.time_shares({"baseline": {}})
    assert "not measured" in figure.axes[0].get_title(loc="left") + figure.axes[0].get_title()


def test_ranked_lists_leave_out_what_the_protocol_ignores(dataset):
    distance = torch.rand(2, len(dataset.gallery), generator=torch.Generator().manual_seed(0))
    query = dataset.query.iloc[0]
    gallery = dataset.gallery
    ignored = (gallery.pid == -1) | ((gallery.pid == query.pid) & (gallery.cam == query.cam))
    assert ignored.sum() >= 3
    distance[0, torch.tensor(ignored.to_numpy(copy=True))] = -1.0  # nearest, but ignored
    allowed = allowed_distance(distance, dataset, [0, 1])
    assert torch.isinf(allowed[0]).tolist() == ignored.tolist()
    assert not ignored[int(nearest_allowed(distance, dataset, [0, 1])[0])]


def test_ranked_lists_frame_right_green_and_wrong_red(dataset):
    pid = dataset.query.pid[0]
    gallery = dataset.gallery
    right = gallery.index[(gallery.pid == pid) & (gallery.cam != dataset.query.cam[0])][0]
    wrong = gallery.index[(gallery.pid != pid) & (gallery.pid > 0)][0]
    distance = torch.ones(1, len(gallery))
    distance[0, right], distance[0, wrong] = 0.1, 0.2
    image = image_of(visualize.ranked_lists(distance, dataset, [0], top=2))
    step = TILE[1] + 8 + 4
    assert tuple(image[0, step]) == rgb(RIGHT)
    assert tuple(image[0, 2 * step]) == rgb(WRONG)


def test_metrics_table_is_in_percent():
    metrics = score(torch.tensor([[0.1, 0.2]]), [1], [2, 1], [1], [2, 2])
    table = visualize.metrics_table({"two": metrics})
    assert table.loc["two", "mAP"] == pytest.approx(50)
    assert table.loc["two", "rank-1"] == 0
    assert table.loc["two", "valid queries"] == 1
    figure = visualize.cmc_curves({"two": metrics})
    assert figure.axes[0].lines[0].get_ydata().tolist()[:2] == [0, 100]


def test_training_curves_and_time_shares():
    history = pd.DataFrame({"step": [1, 2], "loss": [3.0, 2.0], "id": [2.0, 1.5], "lr": [0.1, 0.2],
                            "accuracy": [0.0, 0.5], "images_per_s": [10, 12]})  # fmt: skip
    figure = visualize.training_curves({"run": history})
    assert [line.get_label() for line in figure.axes[0].lines] == ["loss", "id"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0, 50]
    shares = visualize.time_shares({"run": {"data": 0.25, "forward": 0.75}})
    assert [bar.get_width() for bar in shares.axes[0].patches] == [25, 75]


def test_grad_cam_follows_the_similarity(dataset):
    """Where the other image's feature comes from one place, the map is highest there."""
    model = build("baseline", 6, backbone="tiny", size=(64, 32)).eval()
    bank = ImageBank.from_split(dataset.query, model.size)
    images = bank.images(torch.arange(2))
    maps = visualize.similarity_cam(model, images, images.flip(0))
    assert maps.shape == (2, 64, 32)
    assert maps.min() >= 0
    assert maps.max() <= 1
    other = visualize.similarity_cam(model, images, images)
    assert not np.allclose(maps, other)
    figure = visualize.match_cam(model, images, images.flip(0), captions=["a", "b"])
    assert len(figure.axes) == 8
