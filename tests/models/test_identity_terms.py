"""Every model says which of its losses are of identities, and how many classifiers they add up."""

import pandas as pd
import pytest
import torch

from reidlib import models
from reidlib.data.batches import Batch
from reidlib.evaluate.verdict import chance_share
from reidlib.train.recipe import Recipe, outline

IDS, SIZE = 16, (96, 48)
OPTIONS = {"ppcl": {"rectify": "resize"}, "vggface": {}, "vcn": {"label_smoothing": 0.0}}


@pytest.mark.parametrize("name", sorted(set(models.MODELS) - {"glrec"}))
def test_an_untrained_model_is_at_chance(name):
    options = {k: v for k, v in OPTIONS.get(name, {}).items() if k in models.option_names(name)}
    backbone = "vgg_tiny" if name == "vggface" else "tiny"
    model = models.build(name, IDS, backbone=backbone, size=SIZE, **options).train()
    images, label = torch.randn(8, 3, *SIZE), torch.arange(4).repeat_interleave(2)
    losses = model.loss(Batch(images, label))
    history = [{key: value.item() for key, value in losses.items()}]
    share = chance_share(pd.DataFrame(history), model.identity_terms, IDS)
    assert share == pytest.approx(1, abs=0.35)


def test_a_rectifier_has_none():
    model = models.build("glrec", IDS, backbone="tiny", size=SIZE)
    assert model.identity_terms == {}


@pytest.mark.parametrize(
    ("stripes", "rp", "heads"), [((1,), True, 2), ((2,), False, 3), ((2, 3), True, 14)]
)
def test_the_sum_of_rmgl_is_over_all_its_heads(stripes, rp, heads):
    recipe = Recipe(model="rmgl", backbone="tiny", options={"stripes": stripes, "rp": rp})
    model = outline(recipe, IDS)
    assert next(model.parameters()).is_meta
    assert model.identity_terms == {"id": heads}
