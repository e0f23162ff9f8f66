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
from reidlib.models.receptive import receptive_field
from reidlib.visualize.images import TILE, framed, mosaic
from reidlib.visualize.ranking import RIGHT, WRONG, allowed_distance, nearest_allowed, rgb
from reidlib.visualize.style import file_of, note

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


def test_training_costs_are_in_minutes_one_row_a_run():
    info = {"steps": 40, "batch": 64, "seconds": 90.0, "images_per_s": 28.4, "precision": "bf16"}
    table = visualize.training_costs({"a": info | {"device": "CPU", "threads": 2}})
    assert table.loc["a", "minutes"] == 1.5
    assert table.loc["a", "device"] == "CPU, 2 threads"


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
    other = history.drop(columns="loss")
    figure = visualize.training_curves({"a": other, "b": history}, {"loss": "Loss", "id": "ID"})
    first, second = (panel.lines for panel in figure.axes)
    assert [line.get_label() for line in first] == ["b"]
    assert first[0].get_color() == second[1].get_color(), "a run has one colour in all panels"
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(texts) == ["a", "b"], "also what the first panel lacks"
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


def test_heat_maps_of_several_models_have_one_scale(dataset):
    models = {}
    for name, seed in (("a", 0), ("b", 1)):
        torch.manual_seed(seed)
        models[name] = build("baseline", 6, backbone="tiny", size=(64, 32))
    images = ImageBank.from_split(dataset.query, (64, 32)).images(slice(0, 3))
    figure = visualize.heat_maps(models, images)
    axes = np.array(figure.axes).reshape(3, 3)
    assert [row[0].texts[0].get_text() for row in axes] == ["image", "a", "b"]
    most = 0.0
    for model in models.values():
        with torch.no_grad():
            mean = model.eval().backbone(images).mean(1)
        most = max(most, float((mean / mean.mean((1, 2), keepdim=True)).max()))
    assert f"red {most:.1f} times" in figure.get_supxlabel()
    assert not np.array_equal(axes[1, 0].images[0].get_array(), axes[2, 0].images[0].get_array())


class OneCell(torch.nn.Module):
    """A model whose feature is one cell of its backbone's map."""

    def __init__(self, model, cell):
        super().__init__()
        self.backbone, self.cell = model.backbone, cell

    def encode(self, images):
        row, column = self.cell
        return {"feature": self.backbone(images)[:, :, row, column]}


def test_grad_cam_is_highest_where_the_responding_cell_lies():
    torch.manual_seed(0)
    model = build("baseline", 6, backbone="tiny", size=(96, 48)).eval()
    only = torch.zeros(1, 1, 6, 3)
    only[..., 2, 1] = 1  # no other cell responds
    hook = model.backbone.register_forward_hook(lambda _, __, x: x * only)
    images = torch.randn(2, 3, 96, 48)
    heat = visualize.similarity_cam(OneCell(model, (2, 1)), images, images.flip(0))
    hook.remove()
    y, x = (receptive_field(model.backbone).centres(6)[k] for k in (2, 1))
    assert heat.any()
    for one in heat:
        assert not one.any() or divmod(int(one.argmax()), 48) == (y, x)


def test_a_note_stands_below_everything():
    figure = visualize.sweep({"a": tidy([0.1, 0.2])}, "rate")
    bare = file_of(figure, "png")
    text = note(figure, "embedded people, tiny, 200 steps, seeds 0 to 2")
    assert text.get_window_extent().y1 < 0
    assert file_of(figure, "png") != bare


def tidy(values, metrics=("rank1", "mAP"), **columns):
    rows = [
        {"x": x, "metric": metric, "mean": 50.0 + k, "low": 49.0 + k, "high": 52.0 + k, "sd": 0.5,
         "n": 3, "gain": 1.0 + k, "gain_low": 0.5 * k, "gain_high": 2.0 + k} | columns
        for k, x in enumerate(values) for metric in metrics
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_words_are_not_joined_by_a_line():
    figure = visualize.sweep({"a": tidy(["0.2", "0.4", "soft"])}, "margin")
    dots, line = figure.axes[0].lines[0], figure.axes[0].lines[-1]
    assert dots.get_xdata().tolist() == [0, 1, 2]
    assert line.get_xdata().tolist() == [0, 1]
    assert "band" in figure.get_supxlabel()
    figure = visualize.sweep({"a": tidy(["stem", "conv2"])}, "cut")
    assert figure.axes[0].lines[-1].get_xdata().tolist() == []
    assert "band" not in figure.get_supxlabel()  # there is none


def test_seeds_are_dots_where_the_table_has_them():
    figure = visualize.sweep({"a": tidy([1, 2], seeds="49.5 51 52")}, "stripes")
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    assert [y.tolist() if hasattr(y, "tolist") else y for y in drawn].count([49.5, 51.0, 52.0]) == 2
    assert "dots: seeds" in figure.get_supxlabel()


def test_gains_are_drawn_against_the_row_they_are_over():
    frames = {"BL": tidy([0, 1]), "RP": tidy([0, 1])}
    figure = visualize.sweep(frames, "error", gains="BL")
    axis = figure.axes[0]
    assert axis.get_ylabel() == "rank-1: gain over BL (points)"
    assert len(axis.containers) == 1
    assert axis.containers[0].lines[0].get_ydata().tolist() == [1, 2]
    ends = axis.containers[0].lines[2][0].get_segments()
    assert [end[:, 1].tolist() for end in ends] == [[0, 2], [0.5, 3]]


def test_sweeps_share_one_axis_of_percent():
    panels = {"p_c": tidy([0.1, 0.2]), "r_c": tidy([0.5, 0.6, 0.7])}
    figure = visualize.sweeps(panels, {"p_c": 0.2, "r_c": 0.6})
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim()
    assert [first.get_xlabel(), second.get_xlabel()] == ["p_c", "r_c"]
    assert [text.get_text() for text in figure.legends[0].texts] == ["rank-1", "mAP"]
    assert second.lines[-1].get_xdata()[0] == 0.6


def test_probes_that_were_never_whole_are_shown_as_given(dataset):
    assert len(visualize.partial_probes(dataset, n=3).axes) == 3
