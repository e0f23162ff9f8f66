"""RMGL's figures show what the model and the augmentation do: their content is checked."""

import math
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.patches import FancyArrowPatch, Rectangle

from reidlib import visualize
from reidlib.data import ImageBank, load
from reidlib.data.augment import random_shift
from reidlib.data.bank import denormalise
from reidlib.data.read import read
from reidlib.data.sampler import generator
from reidlib.errors import ReidError
from reidlib.evaluate.cost import gmacs
from reidlib.geometry import identity
from reidlib.models import build
from reidlib.models.base import count_parameters
from reidlib.papers.rmgl import figures, receptive
from reidlib.papers.rmgl.figures import calls, maxima
from reidlib.papers.rmgl.stripes import activation_histogram, balanced_cuts

OPTIONS = {"train_ids": 4, "test_ids": 4, "cameras": 2, "images": 2, "distractors": 0, "junk": 0}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def bank():
    return ImageBank.from_split(load("synthetic", size=(64, 32), **OPTIONS).query, (96, 32))


def rmgl(**options):
    torch.manual_seed(0)
    return build("rmgl", 4, backbone="tiny", size=(96, 32), **options)


def texts(figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_stripe_responses_has_the_paths_the_model_has(bank):
    model = rmgl(stripes=(2, 3)).train()
    figure = figures.stripe_responses(model, bank.images(slice(0, 2)), ["a", "b"])
    titles = [axis.get_title() for axis in figure.axes[:5]]
    assert titles == ["image", "O-2", "RP-2", "O-3", "RP-3"]
    borders = [len(axis.lines) for axis in figure.axes]
    assert borders == [0, 1, 1, 2, 2] * 2
    # rows of the map are centred at 0, 16, ..., 80: the third of six ends at 40, the fourth at 56
    assert figure.axes[1].lines[0].get_ydata()[0] == 40
    assert [line.get_ydata()[0] for line in figure.axes[3].lines] == [24, 56]
    assert model.training
    alone = figures.stripe_responses(rmgl(op=False, stripes=(3,)), bank.images(slice(0, 1)))
    assert [axis.get_title() for axis in alone.axes] == ["image", "RP-3"]


def test_stripe_responses_says_how_much_lies_on_the_body(bank):
    model, images = rmgl(stripes=(2,)), bank.images(slice(0, 2))
    everything, left = [-1.0, -1.0, 1.0, 1.0], [-3.0, -1.0, 0.0, 1.0]
    figure = figures.stripe_responses(model, images, body=torch.tensor([everything, left]))
    texts = [[text.get_text() for text in axis.texts if "%" in text.get_text()]
             for axis in figure.axes]  # fmt: skip
    assert texts[1] == texts[2] == ["100 % (100 %)"]
    assert all(text.endswith("(50 %)") for text in texts[4] + texts[5])
    cells = figure.axes[1].collections[0]
    with torch.no_grad():
        heat = model.eval().maps(images)[0, "original"][0].mean(0)
    assert np.allclose(np.ravel(cells.get_array()), heat.flatten())


def test_activation_balance_draws_the_cuts_and_the_counts(bank):
    model, images = rmgl(), bank.images(slice(0, 2))
    figure = figures.activation_balance(model, images, branch=1)
    with torch.no_grad():
        last = model.eval().maps(images)[1, "original"]
    assert torch.equal(maxima(last).sum(2), activation_histogram(last))
    cuts = balanced_cuts(last, 3)
    for i in range(2):
        picture, bars = figure.axes[2 * i : 2 * i + 2]
        assert [bar.get_width() for bar in bars.patches] == activation_histogram(last)[i].tolist()
        places = [line.get_ydata()[0] for line in bars.lines]
        ends = [-0.5, 8, 24, 40, 56, 72, 95.5]  # half-way between the centres 0, 16, ..., 80
        assert places == pytest.approx([*(ends[cut] for cut in cuts[i, 1:3]), 24, 56])
        assert set(picture.collections[0].get_offsets()[:, 1]) <= {0, 16, 32, 48, 64, 80}
        assert len(picture.collections[0].get_offsets()) == int((maxima(last)[i] > 0).sum())
        shares = [float(text.get_text().split()[0]) for text in bars.texts]
        assert sum(shares) == pytest.approx(100, abs=2)


def test_the_last_step_of_shifting_is_what_training_sees(bank):
    rows = [0, 3, 5]
    figure = figures.shifting_steps(bank, rows, seed=7, p_crop=1.0, crop=0.5)
    placed = random_shift(3, generator(7), bank.size, p_crop=1.0, crop=0.5)
    seen = denormalise(read(bank, torch.tensor(rows), identity(3), placed))
    axes = np.array(figure.axes).reshape(4, 3)
    for i in range(3):
        image, crop, patch, final = (axis.images[0] for axis in axes[:, i])
        assert np.array_equal(final.get_array(), seen[i].permute(1, 2, 0).numpy())
        left, top, right, bottom = placed.window[i].tolist()
        assert patch.get_array().shape[:2] == (bottom - top, right - left)
        box = axes[0, i].patches[-1]
        assert crop.get_array().shape[:2] == (box.get_height(), box.get_width())
        assert box.get_height() < bank.size[0]
        first = round(box.get_y() + 0.5)
        held = image.get_array()[first : first + box.get_height()]
        assert np.array_equal(crop.get_array(), held)


def table(values, low=1.0, n=3, metrics=("rank1", "mAP")):
    rows = [
        {"x": x, "metric": metric, "mean": 50.0 + k, "low": 50 + k - low, "high": 50 + k + 2.0,
         "sd": 0.5 if n > 1 else math.nan, "n": n}
        for k, x in enumerate(values) for metric in metrics
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_sweep_over_numbers():
    figure = visualize.sweep({"a": table([0.3, 0.1, 0.2])}, "rate", marks={"paper": 0.2})
    assert [axis.get_ylabel() for axis in figure.axes] == ["rank-1 (%)", "mAP (%)"]
    assert figure.axes[0].get_xlabel() == "rate"
    line, mark = figure.axes[0].containers[0].lines[0], figure.axes[0].lines[-1]
    assert line.get_xdata().tolist() == [0.1, 0.2, 0.3]  # in order
    assert line.get_ydata().tolist() == [51, 52, 50]
    bars = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert [segment[:, 1].tolist() for segment in bars] == [[50, 53], [51, 54], [49, 52]]
    assert mark.get_xdata()[0] == 0.2
    low, high = figure.axes[0].get_ylim()
    assert low < 49
    assert high > 54
    assert len(figure.axes[0].collections) == 2  # bars and band
    one = visualize.sweep({"a": table([1e-3, 1e-2], n=1)}, "decay", logx=True)
    assert len(one.axes[0].collections) == 1
    assert one.axes[0].get_xscale() == "log"


def test_sweep_over_words():
    frames = {"a": table([0.2, "soft"]), "b": table([0.2, 0.4, "soft"])}
    figure = visualize.sweep(frames, "margin", marks={"paper": 0.4})
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["0.2", "soft", "0.4"]  # in the order of the tables
    assert figure.axes[0].containers[1].lines[0].get_xdata().tolist() == [0, 1, 2]
    assert [text.get_text() for text in figure.legends[0].texts] == ["a", "b"]
    with pytest.raises(ReidError, match='mark "paper" is at'):
        visualize.sweep(frames, "margin", marks={"paper": 0.6})
    with pytest.raises(ReidError, match=r"lacks the columns \['x'\]"):
        visualize.sweep({"a": frames["a"].drop(columns="x")}, "margin")


def test_footprints_show_calculation_and_measurement(bank):
    model, images = rmgl(stripes=(2,)), bank.images(slice(0, 3))
    found = receptive.profiles(model, images)
    figure = figures.footprints(model, found, images[0], network="tiny at 96 rows")
    assert figure.get_supxlabel().endswith("(largest = 1)\ntiny at 96 rows")
    assert [axis.get_title() for axis in figure.axes] == ["image", *found]
    bars = figure.axes[4].patches  # RP conv2
    spans = [(round(bar.get_y() + 0.5), round(bar.get_height())) for bar in bars]
    wanted = []
    for k, (first, last) in enumerate(receptive.regions(model, "conv2", 2, 96)):
        low, high = receptive.extent(found["RP conv2"][k], 0.95)
        wanted += [(first, last - first + 1), (low, high - low + 1)]
    assert spans == wanted


@pytest.mark.parametrize("name", ["rmgl", "mgn", "baseline"])
def test_stages_count_everything_once(name):
    options = {"abp": False} if name == "rmgl" else {}  # its pooling belongs to no stage
    model = build(name, 4, backbone="tiny", size=(96, 32), **options).train()
    frame = visualize.stages(model)
    assert frame["parameters (M)"].sum() * 1e6 == pytest.approx(count_parameters(model))
    assert frame.GMACs.sum() == pytest.approx(gmacs(model))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    again = visualize.stages(model, (192, 64))
    assert again.GMACs.sum() > 3 * frame.GMACs.sum()


def test_stages_of_rmgl():
    frame = visualize.stages(rmgl()).set_index(["stage", "call"])
    assert frame.output["trunk.conv2", 1] == "128x24x8"
    assert frame.output["branches.1.conv3", 1] == "256x12x4"
    assert frame.output["branches.1.conv3", 2] == "3 x 256x4x4"
    assert frame["parameters (M)"]["branches.1.conv3", 2] == 0
    assert frame.output["heads.1", 1] == "8x256"


@pytest.mark.parametrize("options", [
    {}, {"rp": False}, {"op": False}, {"split": "input"}, {"split": "stem"}, {"split": "conv5"},
    {"op": False, "split": "input"}, {"op": False, "split": "stem"},
    {"op": False, "split": "conv4"}, {"stripes": (1, 2, 3)},
])  # fmt: skip
def test_architecture_of_every_rmgl(options):
    model = rmgl(**options)
    figure = figures.architecture(model)
    frame, words = visualize.stages(model), texts(figure)
    for output in frame.output:
        assert sum(output.replace("x", "×") in word for word in words) >= 1
    stage_boxes = sum(word in ("stem", "conv2", "conv3", "conv4", "conv5") for word in words)
    assert stage_boxes == len(list(calls(model))) == len(frame) - len(model.stripes)
    total = count_parameters(model) / 1e6
    axis = figure.axes[0]
    assert f"{total:.2f} M parameters" in axis.get_title(loc="left") + axis.get_title()
    drawn = [patch.get_bbox() for patch in axis.patches if isinstance(patch, Rectangle)]
    assert not any(a.overlaps(b) for a, b in combinations(drawn, 2))


def test_architecture_names_the_cut_and_the_losses():
    words = " ".join(texts(figures.architecture(rmgl(stripes=(2, 3)))))
    assert words.count("cut into 2") == words.count("cut into 3") == 1  # each receptive path
    for heads in (6, 8):  # two paths of 1 + n
        assert f"{heads} × $L_{{cls}}$" in words
    assert words.count("1 × $L_{dis}$") == 2  # a triplet loss for each branch


def test_arrows_lead_from_what_is_read():
    for split, expected in (("conv2", 2 + 4 * 4 + 4), ("conv5", 2 + 2 * 3 + 4 + 4)):
        patches = figures.architecture(rmgl(split=split)).axes[0].patches
        arrows = [patch for patch in patches if isinstance(patch, FancyArrowPatch)]
        assert len(arrows) == expected  # trunk; lanes; paths into heads
        boxes = [patch.get_bbox() for patch in patches if isinstance(patch, Rectangle)]
        for arrow in arrows:
            (x0, _), (x1, _) = arrow._posA_posB
            assert any(abs(x0 - box.x1) < 0.05 for box in boxes)
            assert any(abs(x1 - box.x0) < 0.05 for box in boxes)
            assert x0 < x1


def test_architecture_of_others():
    for name, branches in (("mgn", 3), ("baseline", 0)):
        model = build(name, 4, backbone="tiny", size=(96, 32))
        figure = visualize.architecture(model)
        assert sum(word.startswith("heads") for word in texts(figure)) == branches
    assert any("in training only" in word for word in texts(figure))  # the baseline's classifier
