"""Partial probes of exact shares, the gate on them, and the references of a probe."""

import pytest
import torch

from reidlib import models
from reidlib.data import load
from reidlib.errors import ReidError
from reidlib.papers.ppcl import pairs as partial_pairs

SMALL = {"train_ids": 2, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}
SIZE = (64, 32)


@pytest.fixture(scope="module")
def dataset():
    return load("synthetic", **SMALL, distractors=3, junk=2)


def test_a_gate_that_always_says_partial(dataset):
    model = models.build("glrec", 2, backbone="tiny", size=SIZE)
    model.fc.bias.data[4] = 9.0
    right = partial_pairs.gate_right([model, model], dataset.query, dataset, (0.4,))
    table = partial_pairs.gate_table(right, dataset.query["pid"])
    assert table["kept"].tolist() == [0.4, 1.0]
    assert table["right"].tolist() == [1.0, 0.0]
    assert table["n"].tolist() == [2, 2]
    assert (partial_pairs.balanced(right) == torch.full((2, len(dataset.query)), 0.5)).all()


def test_references_of_a_probe(dataset):
    probes, references = partial_pairs.with_references(dataset, [0, 3], SIZE, n=3)
    assert probes.shape == (2, 3, *SIZE)
    assert references.shape == (2, 3, 3, *SIZE)
    assert not torch.equal(references[0, 0], references[0, 2]), "the last is another person"
    people = dataset.gallery[dataset.gallery["pid"] != dataset.query["pid"].iloc[0]]
    with pytest.raises(ReidError, match="no gallery image"):
        partial_pairs.with_references(dataset.but(gallery=people), [0], SIZE)
