"""The package's own start weights: small, whole, of people that no table shows, and worth it."""

import json

import pytest
import torch
import yaml

from reidlib import models
from reidlib.data import load
from reidlib.evaluate import evaluate
from reidlib.models.weights import STARTS, read_weights
from reidlib.system.files import root
from reidlib.train.recipe import Recipe

FILES = sorted(STARTS.glob("*.safetensors"))


def test_there_are_some():
    assert "tiny" in {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_start_is_small_and_its_recipe_can_be_trained_again(file):
    assert file.stat().st_size <= 5 * 2**20
    state = read_weights(file)
    assert all(v.dtype == torch.float16 for v in state.values() if v.is_floating_point())
    assert all(v.isfinite().all() for v in state.values())
    recipe = Recipe(**json.loads(file.with_suffix(".json").read_text()))
    assert recipe.weights is None
    assert recipe.backbone == file.stem
    assert f"`{file.name}`" in (STARTS / "README.md").read_text(), "the card names it"


def test_no_profile_draws_the_people_that_a_start_was_trained_on():
    seeds = {
        json.loads(file.with_suffix(".json").read_text())["data_options"]["seed"] for file in FILES
    }
    for profile in (root() / "notebooks" / "params").glob("*.yaml"):
        text = yaml.safe_load(profile.read_text())
        towns = [text, *text.get("domains", {}).values(), *text.get("notebooks", {}).values()]
        used = {(town or {}).get("data_options", {}).get("seed", 0) for town in towns}
        assert not used & seeds, profile.name


def test_the_start_tells_new_people_of_another_town_apart():
    """Winter people, whom it has never seen, without any training."""
    town = load("synthetic", domain="b", train_ids=1, test_ids=24, images=2, distractors=0, junk=0)
    rank1 = []
    for weights in (None, "start"):
        torch.manual_seed(0)
        model = models.build("baseline", 2, backbone="tiny", weights=weights, size=(128, 64))
        rank1.append(evaluate(model.eval(), town).rank(1))
    assert rank1[1] > rank1[0] + 0.3
