"""Operations and memory of a training step, counted on tensors without content."""

from __future__ import annotations

import pytest
import torch

from reidlib.data.batches import Batch
from reidlib.evaluate.cost import gmacs
from reidlib.models.base import count_parameters
from reidlib.papers import comparators, ppcl, rmgl, scr, stnreid, vcn
from reidlib.train.footprint import encoding, matching, metered, step, work
from reidlib.train.recipe import Recipe, outline

SMALL = Recipe(backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2)
GPU = 24 * 10**9  # bytes
FULL = {
    "stnreid": stnreid.recipe.EP5,
    "ppcl": ppcl.recipe.RECIPE,
    "faces": ppcl.face_recipe.PPCL,
    "vcn": vcn.recipe.RECIPE,
    "scr": scr.recipe.RECIPE,
    "rmgl": rmgl.recipe.rows()["RMGL (2+3+4)"],  # the largest of its rows
}


def test_bytes_are_those_alive_at_once() -> None:
    with metered() as found:
        first = torch.empty(1000)
        del first
        second = torch.empty(500)
        view = second[:10]
        third = torch.zeros_like(second)
        del second, view, third
    assert found[0].bytes == 4000  # two of 500 come after that of 1000


def test_a_step_computes_three_times_the_losses() -> None:
    """Two products of a gradient for each one of the losses; the images themselves have none."""
    counted, whole = work(SMALL, 8), step(SMALL, 8)
    batch = SMALL.ids_per_batch * SMALL.images_per_id
    encode = 2e9 * gmacs(outline(SMALL, 8)) * batch
    assert counted.flops == pytest.approx(3 * encode, rel=0.02)  # and the classifier
    assert 0.8 * counted.flops < whole.flops < counted.flops
    assert encoding(SMALL).flops == pytest.approx(encode / batch)


def test_memory_has_weights_gradients_and_states_and_grows_with_the_batch() -> None:
    parameters = count_parameters(outline(SMALL, 8))
    adam, sgd = (step(SMALL.but(optimizer=name), 8).bytes for name in ("adam", "sgd"))
    assert adam - sgd == 4 * parameters
    assert sgd > 3 * 4 * parameters
    assert step(SMALL.but(ids_per_batch=8), 8).bytes > adam + SMALL.size[0] * SMALL.size[1] * 8 * 12


LATER = pytest.mark.official  # seconds each


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[LATER] if name != "vcn" else []) for name in FULL]
)
def test_every_papers_network_trains_in_a_gpu_of_24_gb(name: str) -> None:
    """At the paper's own size and batch; what is left is for the images and for other runs."""
    assert step(FULL[name]).bytes < GPU / 2


@pytest.mark.filterwarnings("ignore:User provided device_type")
def test_every_network_stays_on_the_accelerator() -> None:
    """Losses and encodings, on tensors that say they are on a GPU: an operation on tensors of two
    devices raises, as it would there."""
    for name in ("stnreid", "ppcl", "vcn", "scr", "rmgl"):
        assert on_gpu(FULL[name]) == {"cuda"}, name


@LATER
@pytest.mark.filterwarnings("ignore:User provided device_type")
@pytest.mark.parametrize(
    "paper", [stnreid, ppcl, vcn, scr, rmgl, comparators], ids=lambda p: p.__name__.split(".")[-1]
)
def test_every_row_stays_on_the_accelerator(paper) -> None:
    several = (paper.baseline, paper.pcb) if paper is comparators else (paper.recipe,)
    rows = {name: row for module in several for name, row in module.rows().items()}
    for name, recipe in rows.items():
        assert on_gpu(recipe) == {"cuda"}, name


def on_gpu(recipe: Recipe) -> set[str]:
    """Where losses and encodings of a small network of this kind lie."""
    small = {"backbone": "tiny", "ids_per_batch": 4, "images_per_id": 2, "size": (192, 64)}
    model = outline(recipe.but(**small), 8)
    with metered():
        model.to_empty(device="cuda")
        label = torch.arange(8, device="cuda") // 2
        batch = Batch(torch.empty(8, 3, 192, 64, device="cuda"), label)
        losses = model.train().loss(batch)
        with torch.no_grad():
            encoded = model.eval().encode(batch.images)
        return {value.device.type for value in (*losses.values(), *encoded.values())}


def test_a_pair_of_stnreid_costs_a_pass_through_its_network() -> None:
    recipe = stnreid.recipe.EP5.but(backbone="tiny", size=(64, 32), weights=None)
    assert matching(recipe, 2, 16) == pytest.approx(encoding(recipe).flops, rel=0.2)
