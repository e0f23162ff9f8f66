"""What PPCL's figures show is what its modules say."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from reidlib import models, visualize
from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.papers.ppcl import figures, measure
from reidlib.papers.ppcl.figures import BLUE, GREEN, RED
from reidlib.papers.stnreid.measure import make_pairs, select

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(load("synthetic", **SMALL), SIZE)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return models.build("ppcl", 2, backbone="tiny", size=SIZE)


def marks(axis):
    return [to_hex(p.get_edgecolor()) for p in axis.patches if isinstance(p, Rectangle)]


def test_regions_on_references(model, pairs):
    some = select(pairs, [0, 1])
    references = some.holistic[:, None].expand(-1, 2, -1, -1, -1)
    figure = figures.located(model, some.partial, references, some.true, ["a", "b"])
    axes = figure.axes
    assert len(axes) == 2 * 4
    assert [marks(axis) for axis in axes[:4]] == [[], [], [BLUE, RED, GREEN], [BLUE, RED]]
    found = measure.found_regions(model, some).region
    drawn = next(p for p in axes[2].patches if to_hex(p.get_edgecolor()) == RED)
    x0, y0, x1, _ = found[0].clamp(-1, 1).tolist()
    assert drawn.get_width() == pytest.approx((x1 - x0) * SIZE[1] / 2, abs=1e-3)
    assert drawn.get_y() == pytest.approx((y0 + 1) * SIZE[0] / 2 - 0.5, abs=1e-3)


def test_what_the_gate_took_for_partial_moves_both_boxes(model, pairs, monkeypatch):
    """Else the gate's error would look like a move of CRLoc's."""
    some = select(pairs, [0])
    placed = torch.tensor([[-1.0, -1, 1, 0]])
    monkeypatch.setattr(model, "placed", lambda x: (x, placed.expand(len(x), 4)))
    axis = figures.located(model, some.partial, some.holistic[:, None]).axes[2]
    low, high = (
        [next(p for p in axis.patches if to_hex(p.get_edgecolor()) == c) for c in (BLUE, RED)]
    )  # fmt: skip
    assert low.get_bbox().bounds == pytest.approx(high.get_bbox().bounds, abs=1e-3)
    assert low.get_height() == pytest.approx(SIZE[0], abs=1), "the image fills that half"


def test_the_locator_of_fig_2(model):
    table = figures.locator_stages(model).set_index("stage")
    (h, w), channels = model.locator.cells, model.reid.backbone.out_channels
    cells = h * w
    assert table.loc["correlation", "GMACs"] == pytest.approx(cells**2 * channels / 1e9)
    assert table.loc["convs.1", "GMACs"] == pytest.approx(cells * 16 * 16 * 9 / 1e9)
    count = sum(p.numel() for p in model.locator.parameters())
    assert table["parameters (M)"].sum() == pytest.approx(count / 1e6)
    assert "MMACs a pair" in figures.locator(model).axes[0].get_title()


def test_what_a_step_of_training_looks_at(model, pairs, monkeypatch):
    negatives = torch.tensor([[-1.0, -1, 0, 0]]).expand(3, 4), torch.tensor([True, False, True])
    monkeypatch.setattr(figures, "negative_regions", lambda positive: negatives)
    some = select(pairs, [0, 1, 2])
    state = torch.random.get_rng_state()
    figure = figures.constraints(model, some.holistic, some.partial, some.holistic.flip(0))
    assert torch.equal(state, torch.random.get_rng_state()), "drawing draws from no one's generator"
    assert [marks(axis) for axis in figure.axes[:5]] == [
        [],
        [],
        [BLUE],
        [GREEN, RED],
        [BLUE, GREEN],
    ]
    assert marks(figure.axes[5 + 3]) == [GREEN], "no legal negative, none drawn"


def test_printed_beside_measured():
    grid = pd.DataFrame({0.1: [1.0, 2.0], 1.0: [3.0, 4.0]}, index=pd.Index([10, 100], name="a"))
    figure = visualize.beside({"printed": grid, "ours": grid[[1.0]]})
    assert [axis.get_title() or axis.get_title("left") for axis in figure.axes] == [
        "printed",
        "ours",
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.0", "3.0", "2.0", "4.0"]
    with pytest.raises(ReidError, match="no table"):
        visualize.beside({})


def test_overlaps_of_both_modules(model, pairs):
    table = measure.region_table({"GLRec (+R)": [model.rectifier], "PPCL": [model]},
                                 {"same image": pairs})  # fmt: skip
    axis = figures.region_overlaps(table).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["GLRec (+R)", "PPCL"]
    own = table.set_index(["row", "measure"])["mean"]
    drawn = axis.containers[0].lines[0].get_ydata()
    assert drawn.tolist() == pytest.approx([own["GLRec (+R)", "rectified"], own["PPCL", "located"]])


def test_overlap_against_the_cycle_error(model, pairs):
    table = measure.cycle_table(model, pairs, parts=2)
    axis = figures.cycle_overlaps({"PPCL": table}).axes[0]
    assert axis.containers[0].lines[0].get_ydata().tolist() == table["located"].tolist()
    assert [label.get_text() for label in axis.get_xticklabels()] == ["least", "largest"]
