"""STNReID's figures: their panels show the images, patches and runs that they say."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import Polygon, Rectangle

from reidlib import geometry, models
from reidlib.data import load
from reidlib.data.partial import partial_set
from reidlib.papers.stnreid import figures, measure
from reidlib.papers.stnreid import recipe as stnreid
from reidlib.workbook.profile import Profile

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 3, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return models.build("stnreid", 2, backbone="tiny", size=SIZE)


def test_affined_images_by_row(dataset, model):
    pairs = measure.select(measure.make_pairs(dataset, SIZE), [0, 1, 2])
    figure = figures.affined_by_row({"Ep1": model, "Ep2": model}, pairs)
    axes = figure.axes
    assert len(axes) == 3 * 4
    shown = torch.tensor(axes[2].images[0].get_array())
    whole = torch.tensor(axes[0].images[0].get_array())
    torch.testing.assert_close(shown, whole, rtol=0, atol=1e-4)  # the identity
    overlap = measure.overlaps(model, pairs)
    assert axes[2].get_title() == f"IoU {overlap[0]:.2f}"
    marked = [sum(isinstance(p, Rectangle) for p in axis.patches) for axis in axes[:4]]
    assert marked == [1, 0, 0, 0], "the true patch"
    assert [a.texts[-1].get_text() for a in axes[-4:]] == ["holistic", "partial", "Ep1", "Ep2"]


def test_every_partial_image_with_every_holistic_one(dataset, model):
    partial, holistic, true, names = measure.two_people(dataset, SIZE)
    figure = figures.affined_grid(model, partial, holistic, true, names)
    assert len(figure.axes) == 4 * 6
    outlines = [p for p in figure.axes[6].patches if isinstance(p, Polygon)]
    assert len(outlines) == 5, "what is read for each partial image"
    found = geometry.box_iou(torch.tensor([-1.0, -1.0, 1.0, 1.0]), true[0, 2])  # the identity
    assert figure.axes[6 + 3].get_title() == f"IoU {found:.2f}"
    colours = [p.get_edgecolor() for p in outlines]
    assert len(set(colours)) == 5, "one a column"
    assert [a.patches[-1].get_edgecolor() for a in figure.axes[1:6]] == colours
    corners = outlines[0].get_xy()[:4]
    assert corners.min(0).tolist() == pytest.approx([-0.5, -0.5])
    assert corners.max(0).tolist() == pytest.approx([31.5, 63.5])


def test_partial_triples(dataset):
    figure = figures.partial_triples(partial_set(dataset, "partial-reid"), 3)
    assert len(figure.axes) == 9
    assert len(figure.axes[3].patches) == 1, "the cut is marked on the whole probe"


def test_overlap_by_row(dataset, model):
    pairs = {"same image": measure.make_pairs(dataset, SIZE)}
    table = measure.overlap_table({"Ep1": [model], "Ep2": [model]}, pairs)
    axis = figures.overlap_by_row(table).axes[0]
    assert [t.get_text() for t in axis.get_xticklabels()] == ["Ep1", "Ep2"]
    assert axis.lines[0].get_ydata() == pytest.approx(table["mean"][2:])
    drawn = {
        line.get_linestyle(): line.get_ydata()[0] for line in axis.lines if len(line.get_ydata())
    }
    assert [drawn["--"], drawn[":"]] == table["mean"][:2].tolist()


def test_lineage_shows_every_run_that_weights_come_from():
    own = Profile(name="x", title="x", dataset="synthetic", seeds=(0,), backbone="tiny", size=SIZE)
    rows = stnreid.rows()
    merged, base = own.apply(rows["STNReID(MM)"]), own.apply(rows["Baseline"])
    figure = figures.lineage({"MM": merged}, {"Baseline": base})
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("MM") == texts.count("Baseline") == 1
    assert "STN: frozen" in texts
    assert "ReID module: as it is" in texts
    assert any("no training\n0.00 M parameters train" in text for text in texts)
    assert len([t for t in texts if t == "STN: trains"]) == 1, "stage 1"
    first = base.but(epochs=1.0)
    both = merged.but(start=tuple(start.but(start=(first,)) for start in merged.start))
    axis = figures.lineage({"MM": both}, {"first": first}).axes[0]
    drawn = {text.get_text(): text.get_position()[1] for text in axis.texts}
    assert [text.get_text() for text in axis.texts].count("first") == 1, "that two begin as it"
    assert drawn["first"] == pytest.approx(drawn["MM"]), "between the two"


def test_the_two_modules_show_the_built_shapes(model):
    texts = [text.get_text() for text in figures.framework(model).axes[0].texts]
    shapes = [text.split("\n")[0] for text in texts]
    for shape in ("6×64×32", "16×32×16", "16×16×8", "32×8×4", "32×4×2", "256→512→128→32→6"):
        assert shape in shapes
    assert shapes.count("1024×4×2") == 3, "one backbone for three images"
    assert texts.count("1024×4×2\nsame weights") == 2
    assert len([text for text in texts if "L_R" in text]) == 3
    assert len([text for text in texts if "\\theta" in text]) == 2
