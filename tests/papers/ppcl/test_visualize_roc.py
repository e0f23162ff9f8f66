"""The ROC figure shows the curves it was given."""

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")

from reidlib import models
from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.evaluate.verification import roc, roc_curve
from reidlib.papers.ppcl.figures import roc_curves


def test_roc_curves():
    pid = np.arange(20)
    noise = torch.rand(20, 20)
    good = roc_curve(noise - torch.eye(20), pid + 1, pid + 1, points=30)
    bad = roc_curve(noise, pid + 1, pid + 1, points=30)
    worse = roc_curve(noise + torch.eye(20), pid + 1, pid + 1, points=30)
    figure = roc_curves({"good": [good], "bad": [bad, worse]}, at=0.1)
    (axis,) = figure.axes
    first, second, chance = axis.lines
    assert np.array_equal(first.get_ydata(), 100 * good.tpr)
    assert np.array_equal(second.get_xdata(), 100 * bad.fpr)
    assert np.allclose(second.get_ydata(), 50 * (bad.tpr + worse.tpr))
    band = axis.collections[1].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(100 * max(bad.tpr.max(), worse.tpr.max()))
    assert band[:, 1].min() == pytest.approx(100 * min(bad.tpr.min(), worse.tpr.min()))
    assert np.array_equal(chance.get_xdata(), chance.get_ydata())
    assert axis.get_xscale() == "log"
    assert axis.get_xlim() == pytest.approx((100 / 380, 100))  # 20 * 19 wrong pairs
    labels = [text.get_text() for text in axis.get_legend().get_texts()]
    assert labels[0] == "good: 100.0 at 10 %"
    assert labels[2] == "random distance"


def test_nothing_to_draw():
    with pytest.raises(ReidError, match="no curve"):
        roc_curves({})


def test_the_curve_of_a_model_on_a_test_set():
    dataset = load("synthetic-faces", train_ids=2, test_ids=4, images=3, size=(32, 32))
    torch.manual_seed(0)
    model = models.build("vggface", 2, backbone="vgg_tiny", size=(32, 32), width=8)
    curve = roc(model, dataset, points=9)
    assert len(curve) == 9
    assert curve.tpr.iloc[-1] == 1
    pairs = len(dataset.query) * len(dataset.gallery)
    assert (curve.num_same + curve.num_different == pairs).all()
