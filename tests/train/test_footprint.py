"""Operations and memory of a training step, counted on tensors without content."""

from __future__ import annotations

import fake_gpu
import pytest
import torch

from reidlib.evaluate.cost import gmacs
from reidlib.models.base import count_parameters
from reidlib.papers import ppcl, rmgl, scr, stnreid, vcn
from reidlib.train.footprint import (
    MATCHING,
    encoding,
    held_in_test,
    matching,
    metered,
    step,
    work,
)
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


def test_a_test_holds_encodings_and_what_one_batch_works_with() -> None:
    """What is held while images are encoded grows with their number, the weights do not."""
    one, other = encoding(SMALL, 8), encoding(SMALL, 16)
    assert one.weights == pytest.approx(4 * count_parameters(outline(SMALL)), rel=0.02)
    assert other.working == pytest.approx(one.working, rel=0.02)
    assert one.working > one.bytes == 4 * 1024
    assert held_in_test(one, 30, 70) - held_in_test(one, 20, 60) == 2 * 20 * one.bytes
    pairs = encoding(SMALL.but(model="stnreid"))
    assert pairs.own
    more = held_in_test(pairs, 1, 9000) - held_in_test(pairs, 1, 8000)
    assert more == 8 * 1000  # its gallery is not held, the distances are


LATER = pytest.mark.official  # seconds each


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[LATER] if name != "vcn" else []) for name in FULL]
)
def test_every_papers_network_trains_in_a_gpu_of_24_gb(name: str) -> None:
    """At the paper's own size and batch; what is left is for the images and for other runs."""
    assert step(FULL[name]).bytes < GPU / 2


@pytest.mark.filterwarnings("ignore:User provided device_type")
@pytest.mark.parametrize("name", ["stnreid", "ppcl", "vcn", "scr", "rmgl"])
def test_every_network_stays_on_the_accelerator(name: str, monkeypatch) -> None:
    """Losses, encodings, distances and gradients; ``make official`` tests every row."""
    assert fake_gpu.devices(FULL[name]) == {"cuda"}
    assert fake_gpu.gradients(FULL[name], monkeypatch) == {"meta"}


def test_a_gradient_on_the_wrong_device_is_seen() -> None:
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, gradient):
            return gradient * torch.full((3,), 2.0)

    with metered():
        x = torch.empty(3, device="meta", requires_grad=True)
        with pytest.raises(RuntimeError, match="on the same device"):
            Doubled.apply(x).sum().backward()


@LATER
@pytest.mark.parametrize(
    "recipe",
    [FULL["stnreid"], FULL["ppcl"], FULL["faces"], FULL["ppcl"].but(correlation="printed"),
     FULL["stnreid"].but(match="sum"), stnreid.recipe.BASELINE.but(model="dsr")],
    ids=["STNReID", "PPCL", "PPCL on faces", "PPCL, printed", "STNReID, both", "DSR"],
)  # fmt: skip
def test_comparing_works_with_less_memory_than_a_plan_counts(recipe: Recipe) -> None:
    """As many queries and gallery images as a model of its own distance takes at once, or more."""
    queries, gallery = 32, 256
    model = outline(recipe).eval()
    with metered(), torch.no_grad():
        model.to_empty(device="cpu")
        shapes = {k: v.shape[1:] for k, v in model.encode(torch.empty(2, 3, *recipe.size)).items()}
    model = outline(recipe).eval()
    with metered() as found, torch.no_grad(), fake_gpu.AllPlaces():
        model.to_empty(device="cpu")
        one, other = (
            {k: torch.empty(n, *shape) for k, shape in shapes.items()} for n in (queries, gallery)
        )
        model.distance(one, other)
    counted = encoding(recipe)
    assert counted.own
    held = counted.weights + (queries + gallery) * counted.bytes
    assert held < found[0].bytes < held + MATCHING


def test_a_pair_of_stnreid_costs_a_pass_through_its_network() -> None:
    recipe = stnreid.recipe.EP5.but(backbone="tiny", size=(64, 32), weights=None)
    assert matching(recipe, 2, 16) == pytest.approx(encoding(recipe).flops, rel=0.2)
