"""The attribute probe: what is in a feature is read, what is not stays at chance."""

import numpy as np
import pandas as pd
import pytest
import torch

from reidlib.data import ImageBank, load
from reidlib.errors import ReidError
from reidlib.evaluate.encode import encode_split
from reidlib.models import build
from reidlib.papers.scr import figures
from reidlib.papers.scr.attributes import (
    PRIMARY,
    SECONDARY,
    TARGETS,
    _ridge,
    attribute_probe,
    features_of,
    pixels,
    told_more,
    tone,
)

BAGS = ("backpack", "shoulder", "hand", "none")


def people(first, number, images=4):
    """A table of ``number`` people with all attributes, and junk and a distractor at its end."""
    rng = np.random.default_rng(first)
    who = pd.DataFrame(
        {
            "pid": np.arange(first, first + number),
            "outfit": np.arange(first, first + number) // 2,
            "bag": rng.permutation(np.resize(BAGS, number)),
            "hat": rng.permutation(np.resize(("none", "cap"), number)),
            "logo": rng.permutation(np.resize(("none", "print"), number)),
            "shoes": rng.permutation(np.resize(("black", "white", "red"), number)),
        }
    )
    table = who.loc[np.repeat(who.index, images)].reset_index(drop=True)
    return pd.concat([table, table[:2].assign(pid=[-1, 0])], ignore_index=True)


TRAIN, TEST = people(1, 48), people(100, 40)
NAMED = ("strap", "bag", "hat", "logo", "shoes")


def one_hot(table, name):
    values = sorted(set(TRAIN[name]))
    return torch.tensor([[float(v == value) for value in values] for v in table[name]])


def test_an_encoded_attribute_is_read_and_noise_is_not():
    noise = [torch.randn(len(t), 20) for t in (TRAIN, TEST)]
    told = [torch.cat([n, one_hot(t, "bag")], 1) for n, t in zip(noise, (TRAIN, TEST), strict=True)]
    features = {"noise": noise, "bag": [3 * t + 5 for t in told]}
    table = attribute_probe(features, TRAIN, TEST, targets=NAMED).table.set_index(
        ["feature", "attribute"]
    )
    for name in ("strap", "bag"):
        found = table.loc["bag", name]
        assert found.accuracy == found.low == found.high == 100
    others = [("bag", name) for name in ("hat", "logo", "shoes")]
    blind = table.loc[[*others, *(("noise", name) for name in NAMED)]]
    assert ((blind.low < blind.accuracy) & (blind.accuracy < blind.high)).all()
    missed = (blind.low > blind.chance) | (blind.high < blind.chance)
    assert missed.sum() <= 2  # of eight intervals of 95 %: more in one of 170 cases
    assert table.chance.loc["noise"].round(1).tolist() == [50, 25, 50, 50, 33.3]
    assert (table["values"].loc["bag"] == [2, 4, 2, 2, 3]).all()
    assert (table.people == 40).all()
    assert (table.images == 160).all()  # not the junk, nor the distractor
    assert (table.dimension.loc["bag"] == 24).all()


def test_the_fit_is_that_of_the_normal_equations_whatever_the_shape():
    torch.manual_seed(1)
    value = np.array([0] * 6 + [1] * 3 + [2] * 9)
    for dimension in (5, 40):  # the other way round above eighteen images
        x = torch.randn(18, dimension, dtype=torch.float64)
        (b, mean), *_ = _ridge(x, value, 3, [2.0])
        w = torch.from_numpy(18 / 3 / np.bincount(value)[value])
        torch.testing.assert_close(mean, (w[:, None] * x).sum(0) / w.sum())
        a = (x - mean) / dimension**0.5
        y = torch.eye(3, dtype=torch.float64)[value] - 1 / 3
        scaled = b * dimension**0.5
        torch.testing.assert_close(a.T @ (w[:, None] * (a @ scaled - y)) + 2 * scaled, 0 * scaled)


def test_a_rare_value_counts_as_much_as_a_frequent_one():
    train, test = (t.assign(bag=np.where(t.pid % 10 == 0, "hand", "none")) for t in (TRAIN, TEST))
    constant = [torch.ones(len(t), 3) for t in (train, test)]
    found = attribute_probe({"constant": constant}, train, test, targets=["bag"]).table.iloc[0]
    assert (found.accuracy, found.low, found.high, found.chance) == (50, 50, 50, 50)


def test_components_bring_features_to_one_dimension():
    noise = [torch.randn(len(t), 60) / 100 for t in (TRAIN, TEST)]
    features = {
        "long": [torch.cat([n, *[one_hot(t, "hat")] * 30], 1)
                 for n, t in zip(noise, (TRAIN, TEST), strict=True)],
        "short": [one_hot(t, "hat") for t in (TRAIN, TEST)],
    }  # fmt: skip
    table = attribute_probe(features, TRAIN, TEST, targets=["hat"], components=1).table
    assert table.dimension.tolist() == [1, 1]
    assert table.accuracy.tolist() == [100, 100]  # what most entries tell is the first component
    with pytest.raises(ReidError, match="components is 3, short has 1 to 2"):
        attribute_probe(features, TRAIN, TEST, targets=["hat"], components=3)


def test_no_draw_lacks_a_value_that_few_people_have():
    """Four outfits with a hat, which the probe always finds: no draw may leave them out, or the
    balanced accuracy would be that of the others alone."""
    train, test = (
        t.assign(hat=np.where(t.outfit.isin(sorted(set(t.outfit))[:4]), "cap", "none"))
        for t in (TRAIN, TEST)
    )
    told = [(t.hat == "cap").to_numpy()[:, None] * 1.0 for t in (train, test)]
    told = [torch.from_numpy(x) for x in told]
    told[1][40:80] = 1 - told[1][40:80]  # of nine bare heads ten images are mistaken
    found = attribute_probe({"told": told}, train, test, targets=["hat"])
    line = found.table.iloc[0]
    right, value = found.right["told", "hat"]
    shares = [right[value == v].mean() for v in (0, 1)]
    assert line.accuracy == pytest.approx(50 * sum(shares))
    assert 0 < line.low < line.accuracy < line.high <= 100
    assert line.outfits == len(set(TEST.outfit[TEST.pid > 0]))


def test_a_difference_draws_outfits_and_seeds_and_is_that_of_the_means():
    noise = [torch.randn(len(t), 20) for t in (TRAIN, TEST)]
    told = [torch.cat([n, one_hot(t, "bag")], 1) for n, t in zip(noise, (TRAIN, TEST), strict=True)]
    features = {"noise": noise, "bag": told}
    probes = [attribute_probe(features, TRAIN, TEST, targets=NAMED, repeats=50)] * 2
    table = probes[0].table.pivot(index="attribute", columns="feature", values="accuracy")
    small = told_more(probes, "noise", "bag", SECONDARY)
    gains = table["bag"] - table["noise"]
    assert small.value == pytest.approx(gains.mean())  # all of NAMED are small things
    assert (small.seeds, small.people) == (2, len(set(TEST.outfit[TEST.pid > 0])))
    assert small.low < small.value < small.high
    one = told_more(probes, "noise", "bag", ["bag"])
    assert one.value == pytest.approx(gains["bag"])
    assert one.low > 50
    same = told_more(probes, "bag", "bag", SECONDARY)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_small_things_and_large_areas_are_all_there_is():
    assert set(PRIMARY) | set(SECONDARY) == set(TARGETS)
    assert not set(PRIMARY) & set(SECONDARY)


def test_bad_input_is_named():
    features = {"noise": [torch.randn(len(t), 4) for t in (TRAIN, TEST)]}
    with pytest.raises(ReidError, match="person 1 is on both sides"):
        attribute_probe({"noise": [features["noise"][0]] * 2}, TRAIN, TRAIN)
    with pytest.raises(ReidError, match='no attribute "hats", did you mean "hat"'):
        attribute_probe(features, TRAIN, TEST, targets=["hats"])
    with pytest.raises(ReidError, match=r"no column 'hair'"):
        attribute_probe(features, TRAIN, TEST)
    with pytest.raises(ReidError, match="outfit 24 is on both sides"):
        attribute_probe(features, TRAIN, TEST.assign(outfit=24), targets=["hat"])
    with pytest.raises(ReidError, match='"hat" has 1 values that 4 outfits'):
        attribute_probe(features, TRAIN, TEST.assign(hat="none"), targets=["hat"])
    with pytest.raises(ReidError, match=r"features of noise are \[162, 4\], not \[194, D\]"):
        attribute_probe({"noise": features["noise"][::-1]}, TRAIN, TEST, targets=["hat"])


def test_embedded_people_have_every_target():
    dataset = load("synthetic", train_ids=48, test_ids=48, cameras=2, images=2, size=(32, 16))
    test = pd.concat([dataset.query, dataset.gallery], ignore_index=True)
    model = build("baseline", 48, backbone="tiny", size=(32, 16)).eval()
    features = features_of({"untrained": model}, dataset.train, test)
    assert [len(side) for side in features["untrained"]] == [len(dataset.train), len(test)]
    bank = ImageBank.from_split(test[:3], (32, 16))
    torch.testing.assert_close(features["untrained"][1][:3], encode_split(model, bank)["feature"])
    features["pixels"] = pixels(dataset.train, test)
    assert features["pixels"][1].shape == (len(test), 3 * 24 * 12)
    table = attribute_probe(features, dataset.train, test, repeats=50).table
    assert set(table.attribute) <= set(TARGETS)
    assert {"strap", "shoes", "logo", "upper colour"} <= set(table.attribute)
    colour = table.set_index(["attribute", "feature"]).accuracy["upper colour"]
    assert colour["pixels"] > colour["untrained"]
    assert table.low.le(table.accuracy).all()
    assert table.high.ge(table.accuracy).all()


def test_tones_of_the_palette():
    assert [tone(c) for c in ("black", "navy", "white", "grey", "red")] == [
        "dark", "dark", "light", "light", "vivid",
    ]  # fmt: skip


def test_the_figure_marks_what_is_within_chance():
    table = pd.DataFrame(
        [
            {"feature": f, "attribute": a, "accuracy": v, "low": v - 5, "high": v + 5, "chance": c}
            for f, a, v, c in (("two", "hat", 80, 50), ("two", "bag", 28, 25),
                               ("one", "hat", 52, 50), ("one", "bag", 60, 25))
        ]
    )  # fmt: skip
    axis = figures.probed(table).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["two", "one"]
    assert [t.get_text() for t in axis.get_xticklabels()] == [
        "hat\n(chance 50)",
        "bag\n(chance 25)",
    ]
    assert [t.get_text().split()[0] for t in axis.texts] == ["80", "28", "52", "60"]
    assert [t.get_style() for t in axis.texts] == ["normal", "italic", "italic", "normal"]
    colours = axis.collections[0].get_array().ravel().tolist()
    assert colours == pytest.approx([60, 4, 4, 100 * 35 / 75])
    assert not axis.lines  # of small things alone
