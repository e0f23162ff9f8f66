"""The measurement itself: what is perfect has an IoU of 1, what does nothing that of the frame."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from reidlib import geometry, models
from reidlib.data import load
from reidlib.data.bank import padded_bank
from reidlib.data.partial import make_partial
from reidlib.errors import ReidError
from reidlib.evaluate.retrieval import evaluate
from reidlib.papers.ppcl import measure
from reidlib.papers.stnreid.measure import make_pairs

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL, distractors=3, junk=2)


@pytest.fixture(scope="module")
def pairs(dataset):
    return make_pairs(dataset, SIZE)


def says(model, box: torch.Tensor, logit: torch.Tensor, of: torch.Tensor | None = None):
    """The model with a rectifier that answers so for the images ``of``, "whole" for all others;
    without ``of`` it answers so for all."""
    rectifier = getattr(model, "rectifier", model)
    t = torch.cat([box[:, 2:] - box[:, :2], box[:, 2:] + box[:, :2]], 1) / 2
    known = of is None
    rectifier.forward = lambda x: (t, logit if known or torch.equal(x, of) else -torch.ones(len(x)))
    return model


def glrec():
    return models.build("glrec", 2, backbone="tiny", size=SIZE)


def ppcl(**options):
    return models.build("ppcl", 2, backbone="tiny", size=SIZE, **options)


def test_a_rectifier_that_knows(pairs):
    n = len(pairs)
    found = measure.measures(says(glrec(), pairs.true, torch.ones(n)), pairs)
    torch.testing.assert_close(found["rectified"], torch.ones(n))
    assert (found["gate"] == 0.5).all(), "right on partial, wrong on whole images"
    shut = measure.measures(says(glrec(), pairs.true, -torch.ones(n)), pairs)
    torch.testing.assert_close(shut["rectified"], geometry.box_area(pairs.true) / 4)
    assert (shut["gate"] == 0.5).all()


def test_the_whole_frame(pairs, dataset):
    found = measure.measures(None, pairs)
    torch.testing.assert_close(found["rectified"], geometry.box_area(pairs.true) / 4)
    other = make_pairs(dataset, SIZE, "same person")
    inside = geometry.box_area(other.true.clamp(-1, 1)) / 4
    torch.testing.assert_close(measure.measures(None, other)["located"], inside)


class Oracle(nn.Module):
    """A locator that answers with the true region, and on the way back with the partial one."""

    def __init__(self, there, back):
        super().__init__()
        self.answers = [there, back]
        self.cells = (4, 2)

    def forward(self, partial, region, reference):
        self.answers.reverse()
        return self.answers[1]


def test_a_locator_that_knows(dataset):
    pairs = make_pairs(dataset, SIZE, "same person")
    cut = make_pairs(dataset, SIZE).true
    model = says(ppcl(), cut, torch.ones(len(pairs)), of=pairs.partial)
    model.locator = Oracle(pairs.true, cut)
    found = measure.measures(model, pairs)
    torch.testing.assert_close(found["located"], torch.ones(len(pairs)))
    torch.testing.assert_close(found["cycle"], torch.zeros(len(pairs)), atol=1e-9, rtol=0)
    assert found["rectified"].mean() < 1
    model.locator = Oracle(pairs.true, cut + 0.5)
    torch.testing.assert_close(
        measure.measures(model, pairs)["cycle"], torch.full((len(pairs),), 0.5)
    )


def test_the_table(dataset, pairs):
    model = says(ppcl(), pairs.true, torch.ones(len(pairs)))
    of = {"same image": pairs, "same person": make_pairs(dataset, SIZE, "same person")}
    table = measure.region_table({"PPCL": [model, model], "+R": [ppcl(locate=False)]}, of)
    assert list(table["row"].unique()) == ["whole frame", "PPCL", "+R"]
    rows = table.set_index(["row", "of", "measure"])["mean"]
    assert rows["PPCL", "same image", "rectified"] == pytest.approx(1)
    assert rows["PPCL", "same image", "located"] < 1, "the reference was taken for partial"
    assert rows["whole frame", "same image", "rectified"] < 1
    assert set(table[table["row"] == "+R"]["measure"]) == {"rectified", "gate"}
    assert (table["low"] <= table["mean"] + 1e-6).all()
    assert (table["mean"] <= table["high"] + 1e-6).all()
    assert table.set_index(["row", "of", "measure"])["n"]["PPCL", "same image", "gate"] == 2


def test_regions_are_those_of_the_image_as_it_is(pairs):
    """Where the gate takes the reference for partial, too, its map shows it smaller."""
    model, n = ppcl(), len(pairs)
    whole = torch.tensor([[-1.0, -1, 1, 1]]).expand(n, 4)
    for logit in (torch.ones(n), -torch.ones(n)):  # both partial, or both whole
        found = measure.found_regions(says(model, pairs.true, logit), pairs)
        torch.testing.assert_close(found.region, whole)
        torch.testing.assert_close(found.fixed, whole)
    says(model, pairs.true, torch.ones(n), of=pairs.partial)
    nn.init.constant_(model.locator.fc.bias, 0.3)
    found = measure.found_regions(model, pairs)
    torch.testing.assert_close(found.fixed, pairs.true)
    assert not torch.allclose(found.region, found.fixed)


def test_regions_against_their_cycle_error(dataset, pairs):
    torch.manual_seed(0)
    model = says(ppcl(), pairs.true, torch.ones(len(pairs)))
    nn.init.normal_(model.locator.fc.weight, std=0.2)
    table = measure.cycle_table(model, pairs, parts=2)
    assert table["pairs"].sum() == len(pairs)
    assert table["cycle"].is_monotonic_increasing
    assert table["cycle"].iloc[1] <= measure.found_regions(model, pairs).cycle.max()
    assert table["located"].between(0, 1).all()


class Shifted(Oracle):
    """Misses the true region by a shift, and returns as far from where it came from."""

    def __init__(self, there, back, sign=1):
        shift = torch.linspace(0, 0.5, len(there)).unsqueeze(1)
        super().__init__(there + shift, back + (shift if sign > 0 else 0.5 - shift))


@pytest.mark.parametrize(("sign", "verdict"), [(1, "holds"), (-1, "reversed")])
def test_who_returns_is_right(dataset, sign, verdict):
    pairs = make_pairs(dataset, SIZE, "same person")
    cut = make_pairs(dataset, SIZE).true
    model = says(ppcl(), cut, torch.ones(len(pairs)), of=pairs.partial)
    model.locator = Shifted(pairs.true.clamp(-1, 1), cut, sign)
    claim = measure.returning("who returns is right", "3.2", [model] * 2, pairs)
    assert claim.verdict == verdict
    assert claim.measured == pytest.approx(-sign, abs=0.3)
    one = measure.returning("who returns is right", "3.2", [model], pairs)
    assert one.verdict == "too short to judge"


def test_a_closed_cycle_sorts_nothing(dataset):
    """At the start of relative coordinates there is rounding alone."""
    pairs = make_pairs(dataset, SIZE, "same person")
    assert measure.closes([ppcl()], pairs)
    claim = measure.returning("who returns is right", "3.2", [ppcl()] * 2, pairs)
    assert claim.verdict == "not testable here"


def test_what_is_not_there(pairs):
    with pytest.raises(ReidError, match="no rectifier"):
        measure.rectified_boxes(ppcl(rectify="resize"), pairs.partial)
    with pytest.raises(ReidError, match="no locator"):
        measure.found_regions(ppcl(locate=False), pairs)


def test_the_option_pad_of_a_test(dataset):
    cut = make_partial(dataset, ratio=(0.5, 0.5), side="bottom")
    torch.manual_seed(0)
    model = ppcl(rectify="pad", locate=False)
    banks = {"query_bank": padded_bank(cut.query, SIZE)}
    wanted = evaluate(model, cut, **banks).per_query
    pd.testing.assert_frame_equal(evaluate(model, cut, pad=True).per_query, wanted)
    assert not evaluate(model, cut).per_query.equals(wanted)


def test_a_gate_that_always_says_partial(dataset):
    model = models.build("glrec", 2, backbone="tiny", size=SIZE)
    model.fc.bias.data[4] = 9.0
    right = measure.gate_right([model, model], dataset.query, dataset, (0.4,))
    table = measure.gate_table(right, dataset.query["pid"])
    assert table["kept"].tolist() == [0.4, 1.0]
    assert table["right"].tolist() == [1.0, 0.0]
    assert table["n"].tolist() == [2, 2]
    assert (measure.balanced(right) == torch.full((2, len(dataset.query)), 0.5)).all()


def test_references_of_a_probe(dataset):
    probes, references = measure.with_references(dataset, [0, 3], SIZE, n=3)
    assert probes.shape == (2, 3, *SIZE)
    assert references.shape == (2, 3, 3, *SIZE)
    assert not torch.equal(references[0, 0], references[0, 2]), "the last is another person"
    people = dataset.gallery[dataset.gallery["pid"] != dataset.query["pid"].iloc[0]]
    with pytest.raises(ReidError, match="no gallery image"):
        measure.with_references(dataset.but(gallery=people), [0], SIZE)


def test_gains_by_what_the_gate_says_of_a_query():
    right = {0.8: torch.tensor([[1.0, 0, 0, 1], [1, 1, 0, 1]]), 0.4: torch.ones(2, 4)}
    gain = np.array([[0.0, -100, 0, 100], [100, 0, -100, 0]])
    found = measure.gains_by_gate({(80, 20): gain, (40, 60): gain}, right).set_index(
        ["query kept (%)", "gallery kept (%)"]
    )
    assert found.loc[(80, 20)].tolist() == pytest.approx([37.5, -200 / 3, 40])
    assert found.loc[(40, 60), "taken for whole (%)"] == 0
    assert np.isnan(found.loc[(40, 60), "gain of these"])
    assert found.loc[(40, 60), "gain of others"] == 0
