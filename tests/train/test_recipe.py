"""Recipes: strict, frozen, with a fingerprint that follows what is learned."""

import dataclasses
import math

import pytest

from reidlib import models
from reidlib.errors import ReidError
from reidlib.papers.comparators import baseline
from reidlib.train.recipe import Recipe, departures, lr_at

TINY = {"train_ids": 6, "test_ids": 4, "cameras": 2, "images": 2, "size": (64, 32)}


def test_but_sets_fields_and_model_options():
    recipe = Recipe().but(lr=1, margin=0.6, milestones=[3, 5])
    assert recipe.lr == 1.0
    assert isinstance(recipe.lr, float)
    assert recipe.options == {"margin": 0.6}
    assert recipe.milestones == (3.0, 5.0)
    assert Recipe().options == {}, "but leaves the original alone"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lear_rate": 1.0}, "unknown"),
        ({"margn": 0.3}, 'did you mean "margin"'),
        ({"epoch": 3}, 'did you mean "epochs"'),
        ({"lr": "1e-4"}, "write 1.0e-4"),
        ({"epochs": True}, "epochs"),
        ({"size": (96,)}, "size"),
        ({"neck": 1}, "option neck"),
        ({"schedule": "steps"}, 'did you mean "step"'),
        ({"model": "basline"}, 'did you mean "baseline"'),
        ({"steps": 0}, "steps is 0"),
        ({"ids_per_batch": 0}, "ids_per_batch is 0"),
        ({"warmup": 200.0}, "warmup is 200"),
        ({"seed": -1}, "seed is -1"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"head_lr": 0}, "head_lr is 0"),
        ({"warmup_shape": "exponential", "warmup_start": 0}, "cannot begin at warmup_start 0"),
        ({"size": (-8, 8)}, r"not \(H, W\) in pixels"),
        ({"pad_crop": -0.1}, "pad_crop is -0.1"),
        ({"weight_decay": math.nan}, "weight_decay is nan"),
        ({"mirror": 1.5}, "not a probability"),
    ],
)
def test_but_is_strict(change, message):
    with pytest.raises(ReidError, match=message):
        Recipe().but(**change)


def test_canonical_names_only_what_differs_from_the_defaults():
    assert Recipe().canonical() == {}
    assert Recipe().but(lr=1e-3, size=(96, 48)).canonical() == {"lr": 1e-3, "size": [96, 48]}


def test_defaults_are_part_of_the_format():
    """A changed default would let an old fingerprint name another run: then raise FORMAT."""
    assert str(Recipe()) == (
        "Recipe(model='baseline', options={}, dataset='synthetic', data_options={}, "
        "backbone='resnet50', weights=None, size=(256, 128), ids_per_batch=16, images_per_id=4, "
        "mirror=0.5, pad_crop=0.0390625, erasing=0.0, shifting=0.0, shifting_options={}, "
        "crop_resize_shift=False, cropping=0.0, jitter=0.0, "
        "camera_balanced=False, optimizer='adam', lr=0.00035, head_lr=1.0, momentum=0.9, "
        "weight_decay=0.0005, epochs=120.0, epoch_of='images', steps=None, warmup=10.0, "
        "warmup_start=0.01, "
        "warmup_shape='linear', schedule='step', milestones=(40.0, 70.0), gamma=0.1, "
        "precision='auto', seed=0, start=())"
    )


DEFAULTS: dict[str, dict[str, object]] = {
    "baseline": {
        "pooling": "avg",
        "neck": True,
        "label_smoothing": 0.1,
        "margin": 0.3,
        "triplet": 1.0,
        "last_stride": 1,
    },
    "pcb": {"stripes": 6, "width": 256, "last_stride": 1, "match": "g"},
    "scr": {
        "branches": "p1+p2(s2c2)+p3(s3c3)",
        "width": 256,
        "lambda_": 2.0,
        "triplet": True,
        "margin": 1.2,
        "attention": "none",
        "classifiers": "small",
    },
    "mgn": {"stripes": (1, 2, 3), "width": 256, "margin": 1.2},
    "rmgl": {
        "stripes": (2, 3),
        "op": True,
        "rp": True,
        "split": "conv2",
        "pooling": "max",
        "equal_pooling": None,
        "abp": True,
        "abp_pooling": "avg",
        "abp_rounding": "nearest",
        "abp_training": False,
        "width": 256,
        "margin": 0.6,
        "triplet": 1.0,
        "last_stride": 1,
    },
    "dsr": {"scales": (1, 2, 3), "beta": 0.001, "coding": "sparse", "enlarge": False},
    "glrec": {"ratio": (0.2, 0.8), "cut": "side"},
    "ppcl": {
        "rectify": "glrec",
        "locate": True,
        "cycle": 10.0,
        "triplet": 1.0,
        "joint": False,
        "alpha": 0.3,
        "beta": 0.5,
        "compare": "maps",
        "temperature": 0.05,
        "correlation": "cosine",
        "coordinates": "relative",
        "coarse": 1,
        "match": "located",
        "ratio": (0.2, 0.8),
        "cut": "side",
        "product": "float32",
        "neck": False,
        "label_smoothing": 0.0,
        "margin": 0.3,
        "last_stride": 1,
        "pool": "mean",
        "width": 4096,
        "metric": "cosine",
    },
    "stnreid": {
        "pretrained": True,
        "partial": "remove",
        "label_smoothing": 0.1,
        "triplet": 1.0,
        "margin": 0.3,
        "stn": 1.0,
        "neck": True,
        "frozen_stn": False,
        "frozen_reid": False,
        "match": "affined",
    },
    "vggface": {"width": 4096, "dropout": 0.5, "metric": "euclidean", "last_stride": 2},
    "vcn": {
        "use_global": True,
        "use_spatial": True,
        "stn": "self",
        "stn_start": "drawn",
        "spatial": "vcn",
        "kernels": 6,
        "eps_max": 0.4,
        "ranked": True,
        "alpha": 0.5,
        "beta": 0.5,
        "gamma_": 1e-7,
        "label_smoothing": 0.1,
        "match": "fusion",
        "before_norm": True,
        "kernel_start": "drawn",
        "spatial_lr": 1.0,
    },
}


@pytest.mark.parametrize("name", models.MODELS)
def test_defaults_of_models_are_part_of_the_format(name):
    """They are not in a fingerprint either: change one, and FORMAT has to be raised,
    or the model's version."""
    assert models.option_defaults(name) == DEFAULTS[name]


def test_fingerprint_follows_recipe_data_and_weights(tmp_path):
    recipe = Recipe(data_options=TINY)
    assert recipe.fingerprint() == Recipe(data_options=dict(TINY)).fingerprint()
    others = [
        recipe.but(seed=1),
        recipe.but(margin=0.6),
        recipe.but(data_options={**TINY, "seed": 1}),
        recipe.but(weights="imagenet"),
    ]
    for content in (b"one", b"two"):
        path = tmp_path / f"{content.decode()}.pth"
        path.write_bytes(content)
        others.append(recipe.but(weights=str(path)))
    prints = [recipe.fingerprint(), *(other.fingerprint() for other in others)]
    assert len(set(prints)) == len(prints)
    assert hash(recipe) == hash(Recipe(data_options=dict(TINY)))
    # the same weights in another place are the same weights
    (tmp_path / "elsewhere.pth").write_bytes(b"one")
    assert recipe.but(weights=str(tmp_path / "elsewhere.pth")).fingerprint() == prints[-2]


def test_missing_weights_file_is_said_when_the_run_is_named(tmp_path):
    with pytest.raises(ReidError, match=r"none\.pth is not there"):
        Recipe(data_options=TINY, weights=str(tmp_path / "none.pth")).fingerprint()


def test_step_schedule_keeps_its_shape_when_shortened():
    recipe = Recipe(lr=1.0, epochs=120, warmup=10, milestones=(40, 70))
    for total in (120, 1200):
        unit = total // 120
        assert lr_at(recipe, 0, total) == pytest.approx(0.01)
        assert lr_at(recipe, 5 * unit, total) == pytest.approx(0.505)
        assert lr_at(recipe, 20 * unit, total) == 1.0
        assert lr_at(recipe, 40 * unit, total) == pytest.approx(0.1)
        assert lr_at(recipe, 119 * unit, total) == pytest.approx(0.01)


def test_an_exponential_warm_up_rises_by_equal_ratios():
    recipe = Recipe().but(lr=0.01, warmup=3, warmup_start=1e-3, warmup_shape="exponential",
                          epochs=60, milestones=(30,))  # fmt: skip
    rates = [lr_at(recipe, step, 60) for step in range(4)]
    assert rates == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])


def test_cosine_schedule_falls_from_lr_to_zero():
    recipe = Recipe(lr=2.0, epochs=100, warmup=0.0, schedule="cosine")
    assert lr_at(recipe, 0, 1000) == 2.0
    assert lr_at(recipe, 250, 1000) == pytest.approx(1 + math.cos(math.pi / 4))
    assert lr_at(recipe, 999, 1000) < 1e-4


def test_the_baselines_row_is_its_recipe():
    assert baseline.rows()["Baseline"] is baseline.RECIPE


def test_a_default_that_is_said_is_the_same_recipe():
    assert Recipe().but(margin=0.3, neck=True) == Recipe()
    assert Recipe().but(margin=0.6).but(margin=0.3).canonical() == {}


@pytest.mark.parametrize("name", models.MODELS)
def test_no_option_of_a_model_is_named_like_a_field(name: str) -> None:
    # Recipe.but takes both by name, and the field would win in silence
    assert not models.option_names(name) & {f.name for f in dataclasses.fields(Recipe)}


def test_a_table_tells_weights_by_the_name_of_their_file():
    first = Recipe(weights="/home/somebody/own.safetensors")
    recipe = Recipe(weights="imagenet", start=(first,))
    assert recipe.told()["weights"] == "imagenet"
    assert recipe.told()["start"][0]["weights"] == "own.safetensors"
    assert departures(first, Recipe(weights="imagenet")) == "weights own.safetensors (imagenet)"
    assert "weights" not in Recipe().told()
