"""What a training step computes and keeps, counted without computing it.

The step is taken on fake tensors, which know their shape and type alone. So a network that would
take a GPU's memory is counted in a second, on any machine.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.weak import WeakIdKeyDictionary

from reidlib.data.batches import Batch
from reidlib.evaluate.encode import BLOCK
from reidlib.evaluate.retrieval import GALLERY, compared, own_distance
from reidlib.models.base import take
from reidlib.train.recipe import Recipe, outline

STATES = {"adam": 2, "amsgrad": 3, "sgd": 1}  # of an optimiser, float32, for each parameter
IDS = 751  # of Market-1501, where the number does not matter
BATCH = 128  # images that are encoded at once (``evaluate.retrieval.evaluate``)
MATCHING = 3 * 2**30  # bytes that a model's own distance works with, at most; a test counts them


class Footprint(NamedTuple):
    """flops: floating-point operations of convolutions and matrix products. kernels: operations
    that a device is asked for. bytes: the most that is held at once."""

    flops: float
    kernels: int
    bytes: int


class Meter(TorchDispatchMode):
    """Counts operations and the bytes of all tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = self.alive = self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1  # what a fake number is, where the host asks for it
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.kernels += 1
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self._meet(value.untyped_storage())
        return out

    def _meet(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known[storage] = True
        size = storage.nbytes()
        self.alive += size
        self.peak = max(self.peak, self.alive)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.alive -= size


@contextmanager
def metered() -> Iterator[list[Footprint]]:
    """What is computed inside, on fake tensors; the list holds the count afterwards."""
    found: list[Footprint] = []
    fake, meter = FakeTensorMode(allow_non_fake_inputs=True), Meter()
    with fake, meter, FlopCounterMode(display=False) as counter:
        yield found
    found.append(Footprint(counter.get_total_flops(), meter.kernels, meter.peak))


def step(
    recipe: Recipe,
    num_ids: int = IDS,
    *,
    device: str = "cpu",
    bf16: bool = True,
    gradients: bool = True,
) -> Footprint:
    """One training step of a recipe: losses, gradients and the optimiser's states.

    bytes: of weights, gradients, states, and what the gradients need. device: which the tensors say
    that they are on; torch has no ``gradients`` on one that it is not built for.
    """
    model = outline(recipe, num_ids).train()
    with metered() as found:
        model.to_empty(device=device)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = model.loss(_batch(recipe, device))["loss"]
        if gradients:
            loss.backward()
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    states = 4 * STATES[recipe.optimizer] * parameters
    return found[0]._replace(bytes=found[0].bytes + states)


def shape(recipe: Recipe) -> Recipe:
    """What decides the operations of a step: no loss's weight, no schedule, no dataset."""
    return Recipe(
        model=recipe.model,
        options={k: v for k, v in recipe.options.items() if not isinstance(v, float)},
        backbone=recipe.backbone,
        size=recipe.size,
        ids_per_batch=recipe.ids_per_batch,
        images_per_id=recipe.images_per_id,
        optimizer=recipe.optimizer,
    )


@cache
def work(recipe: Recipe, num_ids: int = IDS) -> Footprint:
    """The same without bytes, more quickly: gradients are counted as twice the losses, since each
    product has two of them."""
    model = outline(recipe, num_ids).train()
    with metered() as found, torch.no_grad():
        model.to_empty(device="cpu")
        model.loss(_batch(recipe, "cpu"))
    kernels = found[0].kernels - len(model.state_dict())  # without their making
    return Footprint(3 * found[0].flops, 3 * kernels, 0)


def _batch(recipe: Recipe, device: str) -> Batch:
    n = recipe.ids_per_batch * recipe.images_per_id
    label = torch.arange(n, device=device) // recipe.images_per_id
    return Batch(torch.empty(n, 3, *recipe.size, device=device), label)


class Encoded(NamedTuple):
    """Of one image: flops, bytes of its encoding as far as it is compared, and the most that is
    held while it is encoded; bytes of the weights. own: whether the model has a distance of its
    own."""

    flops: float
    bytes: int
    working: int
    weights: int
    own: bool


def encoding(recipe: Recipe, images: int = 8) -> Encoded:
    """Encoding an image in a test, in float32."""
    model = outline(recipe, IDS).eval()
    with metered() as found, torch.no_grad():
        model.to_empty(device="cpu")
        made = model.encode(torch.empty(images, 3, *recipe.size))
    only = compared(model) or made
    kept = sum(v.numel() * v.element_size() for k, v in made.items() if k in only)
    weights = sum(v.numel() * v.element_size() for v in model.state_dict().values())
    working = found[0].bytes - weights
    return Encoded(
        found[0].flops / images, kept // images, working // images, weights, own_distance(model)
    )


def held_in_test(one: Encoded, queries: int, gallery: int) -> int:
    """The most bytes that a test of so many images holds at once, without the images themselves:
    encodings, and, one after the other, what encoding a batch and what comparing works with.

    Where a model has a distance of its own the gallery is encoded in blocks, of which the last one
    is still there when the next is made, and all distances are put together in the end.
    """
    if one.own:
        encodings = (queries + 2 * min(gallery, GALLERY)) * one.bytes
        return (
            one.weights + encodings + max(BATCH * one.working, MATCHING) + 2 * 4 * queries * gallery
        )
    encodings = (queries + gallery) * one.bytes
    comparing = encodings + 2 * 4 * BLOCK  # features are normalised, blocks follow each other
    return one.weights + encodings + max(BATCH * one.working, comparing)


def matching(recipe: Recipe, queries: int = 2, gallery: int = 16) -> float:
    """Floating-point operations of the distance of one pair, as a mean over some.

    Where a distance looks at values (which regions are partial), numbers without meaning are really
    compared.
    """
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    counter, shapes = FlopCounterMode(display=False), {}
    model, real = outline(recipe, IDS).eval(), outline(recipe, IDS).eval()
    with torch.no_grad():
        try:
            with fake, Meter():
                model.to_empty(device="cpu")
                made = model.encode(torch.empty(gallery, 3, *recipe.size))
                shapes = {k: v.shape for k, v in made.items()}
                with counter:
                    model.distance(take(made, slice(queries)), made)
        except DynamicOutputShapeException:
            real.to_empty(device="cpu")
            made = {k: torch.rand(shape).sort().values for k, shape in shapes.items()}  # boxes
            with (counter := FlopCounterMode(display=False)):
                real.distance(take(made, slice(queries)), made)
    return counter.get_total_flops() / (queries * gallery)
