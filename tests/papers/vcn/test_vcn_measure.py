"""Learned corrections beside the true ones, where the truth is known."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.data import ImageBank, load
from reidlib.data.dataset import boxes
from reidlib.data.drawn.synthetic import NOMINAL
from reidlib.errors import ReidError
from reidlib.evaluate.verdict import Claim
from reidlib.geometry import identity, transform_box
from reidlib.models import build
from reidlib.papers.vcn import measure
from reidlib.papers.vcn.response import coverage, person_mask, person_share, person_table
from reidlib.train.build import started_model
from reidlib.train.recipe import Recipe

OPTIONS = {"train_ids": 4, "test_ids": 6, "cameras": 2, "images": 2, "distractors": 0, "junk": 0}


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", size=(64, 32), **OPTIONS)


def vcn(**options):
    torch.manual_seed(0)
    return build("vcn", 4, backbone="tiny", size=(96, 32), **options).eval()


def test_the_true_correction_puts_the_body_where_a_perfect_detector_does(dataset):
    theta = measure.true_correction(dataset.query)
    moved = transform_box(theta, boxes(dataset.query, "body"))
    torch.testing.assert_close(moved, torch.tensor(NOMINAL).expand_as(moved), rtol=0, atol=1e-5)
    exact = load("synthetic", size=(64, 32), detector_error=0.0, **OPTIONS)
    none = measure.true_correction(exact.query)
    torch.testing.assert_close(none, identity(len(none)), rtol=0, atol=1e-4)
    with pytest.raises(ReidError, match="no column"):
        measure.true_correction(dataset.query.drop(columns="body"))


def test_factors_and_size_of_an_error():
    theta = torch.tensor([[[1.1, 0.0, -0.3], [0.0, 0.8, 0.05]]])
    assert measure.factors(theta)[0].tolist() == pytest.approx([1.1, 0.8, -0.3, 0.05])
    assert measure.error_size(theta).item() == pytest.approx(0.3)  # eps < 0.3 does not allow it
    assert measure.error_size(identity(2)).tolist() == [0, 0]


class Oracle(torch.nn.Module):
    """A transformer that knows the truth, or the truth with a zoom of its own."""

    kind = "self"

    def __init__(self, theta, zoom=1.0):
        super().__init__()
        self.answers, self.zoom = theta, zoom

    def forward(self, maps):
        theta = self.answers.clone()
        theta[:, :, :2] *= self.zoom
        return maps, theta, measure.error_size(self.answers)


def test_an_oracle_is_found_out(dataset):
    model = vcn()
    model.transformer = Oracle(measure.true_correction(dataset.query))
    images = measure.corrections(model, dataset).assign(row="oracle", seed=0)
    assert images.iou_after.to_numpy() == pytest.approx(1, abs=1e-4)
    assert images.iou_before.mean() < 0.95
    found = measure.recovery(images).set_index("quantity")
    assert found.correlation.to_numpy() == pytest.approx(1, abs=1e-4)
    assert found.error.to_numpy() == pytest.approx(0, abs=1e-5)
    assert (found.untouched > 0.01).all()

    model.transformer = Oracle(model.transformer.answers, zoom=1.5)  # a frame of its own
    own = measure.corrections(model, dataset).assign(row="zoomed", seed=0)
    assert own.own_after.to_numpy() == pytest.approx(1, abs=1e-4)
    assert own.iou_after.mean() < 0.5
    zoomed = measure.recovery(own).set_index("quantity")
    assert zoomed.correlation["s_h"] == pytest.approx(1, abs=1e-4)
    assert zoomed.error["s_h"] > 0.4


def test_a_collapsed_transformer_shows_no_box(dataset):
    model = vcn()
    theta = measure.true_correction(dataset.query)
    theta[0, :, :2] = 0.0  # a point
    theta[1, 1] = 0.0  # a line
    model.transformer = Oracle(theta)
    images = measure.corrections(model, dataset)
    assert (images.iou_after[:2] == 0).all()
    assert (images.own_after[:2] == 0).all()
    assert images.iou_after[2:].to_numpy() == pytest.approx(1, abs=1e-4)
    model.transformer = Oracle(torch.zeros_like(theta))
    assert (measure.corrections(model, dataset).own_after == 0).all()


def test_nothing_moved_is_nothing_gained(dataset):
    images = measure.corrections(vcn(stn="six", stn_start="identity"), dataset).assign(
        row="six", seed=0
    )
    assert images.iou_after.to_numpy() == pytest.approx(images.iou_before.to_numpy(), abs=1e-5)
    assert images.eps.isna().all()
    found = measure.recovery(images).set_index("quantity")
    assert found.correlation.isna().all()
    assert found.error["t_w"] == pytest.approx(found.untouched["t_w"], abs=1e-5)
    text = measure.summary(images)
    assert text.loc["six", "r s_w"] == "–"
    assert text.loc["six", "error"] == text.loc["six", "untouched"]
    with pytest.raises(ReidError, match="no spatial transformer"):
        measure.corrections(vcn(stn="none"), dataset)


def test_corrections_are_those_of_the_model(dataset):
    model = vcn(stn="wide")
    images = measure.corrections(model, dataset, batch_size=5)
    bank = ImageBank.from_split(dataset.query, model.size)
    with torch.no_grad():
        found = model.encode(bank.images(slice(0, len(bank))))
    theta = measure.factors(found["theta"]).numpy()
    assert images[list(measure.FACTORS)].to_numpy() == pytest.approx(theta, abs=1e-4)
    assert images.eps.to_numpy() == pytest.approx(found["eps"].numpy(), abs=1e-4)


def test_summary_has_mean_and_deviation_over_seeds(dataset):
    model = vcn()
    one = measure.corrections(model, dataset)
    both = [one.assign(row="a", seed=s, s_w=one.s_w_true * (1 - 2 * s)) for s in (0, 1)]
    text = measure.summary(pd.concat(both))
    assert text.loc["a", "r s_w"] == "0.00 ± 1.41"  # once right, once the other way round


def test_conclusion_says_how_it_compares_with_an_untouched_image(dataset):
    model, people = vcn(), dataset.query["pid"]
    truth = measure.true_correction(dataset.query)
    lines = []
    for name, theta in {"oracle": truth, "idle": identity(len(truth)), "away": 2 * truth}.items():
        model.transformer = Oracle(theta)
        lines += [measure.corrections(model, dataset).assign(row=name, seed=s) for s in (0, 1)]
    oracle, idle, away = measure.conclusion(pd.concat(lines), people).splitlines()
    assert "r = 1.00 (1.00 to 1.00 over 2 seeds)" in oracle
    assert "Bodies lie nearer to" in oracle
    assert ": 0.0 % of the boxes' union" in oracle
    assert "by r = nothing" in idle
    assert "neither nearer to nor farther from" in idle
    assert "Bodies lie farther from" in away


class Trained:
    """A run as far as it is asked for here."""

    def __init__(self, eps):
        self.history = pd.DataFrame({"eps": [0.2, eps]})


def test_what_eps_was_learned_is_a_mean_over_seeds():
    runs = [Trained(0.12), Trained(0.18), Trained(0.156)]
    assert measure.learned_eps(runs) == 0.15


def test_moving_a_map_costs_four_products_a_value():
    with torch.device("meta"):
        model = build("vcn", 4, size=(384, 128))
    assert measure.sampling_gmacs(model) == pytest.approx(4 * 2048 * 24 * 8 / 1e9)


def test_interval_of_a_correlation():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        a = rng.standard_normal(50)
        b = 0.6 * a + 0.8 * rng.standard_normal(50)
        _, low, high = measure.correlation(a, b)
        inside += low < 0.6 < high
    assert 180 <= inside <= 199
    assert np.isnan(measure.correlation(np.ones(50), rng.standard_normal(50))).all()


def test_coverage_of_cells():
    box = torch.tensor([[-1.0, -1.0, 0.0, 0.5], [0.25, 0.0, 2.0, 1.0]])
    cover = coverage(box, (4, 2))
    assert cover[0].tolist() == [[1, 0], [1, 0], [1, 0], [0, 0]]
    assert cover[1].tolist() == [[0, 0], [0, 0], [0, 0.75], [0, 0.75]]


def test_share_on_the_person(dataset):
    """A map that answers alike everywhere has the person's share of the image."""
    mask = person_mask(dataset.query, (96, 32))
    assert mask.shape == (len(dataset.query), 96, 32)
    model = vcn()

    class Even(torch.nn.Module):
        def forward(self, x):
            return torch.ones(len(x), 3, 6, 2)

    model.backbone = Even()
    even = person_share(model, dataset, batch_size=5)
    torch.testing.assert_close(even[:, 0], even[:, 1])
    torch.testing.assert_close(even[:, 1], mask.mean((1, 2)))
    table = person_table({"even": model}, dataset)
    assert table["mean"]["even"] == pytest.approx(table["mean"]["the person's area"], rel=1e-5)


def test_kernels_are_held_against_those_of_their_own_seed(tmp_path):
    """A run that has trained nothing has not moved; half of each value is a change of a half."""
    recipe = Recipe(
        model="vcn", backbone="tiny", size=(96, 32), data_options=OPTIONS | {"size": (64, 32)}
    )
    runs = [SimpleNamespace(recipe=recipe.but(seed=seed), path=tmp_path / "0") for seed in (0, 3)]
    for run, share in zip(runs, (0.0, 0.5), strict=True):
        model = started_model(run)
        with torch.no_grad():
            model.spatial_head.kernels.mul_(1 - share)
        run.load_model = lambda model=model: model
    assert measure.kernel_change(runs) == pytest.approx([0.0, 0.5], abs=1e-6)


@pytest.mark.parametrize(("moved", "verdict"), [(0.05, "too short to judge"), (0.6, "reversed")])
def test_kernels_that_stay_where_they_began_decide_nothing(moved: float, verdict: str) -> None:
    claim = Claim("better", "Table 3", "reversed", 3.3, -4.0, -5.0, -3.0, "mAP", 750, 2)
    (found,) = measure.judged([claim], moved)
    assert (found.verdict, found.measured) == (verdict, -4.0)
    assert found.note == ("kernels moved by 5 % of their size" if moved < 0.5 else "")
