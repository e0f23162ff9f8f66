"""A GPU that is not there: tensors that know their device alone.

An operation on tensors of two devices raises, as it would on the machine.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from reidlib.data.batches import Batch
from reidlib.models.base import take
from reidlib.train.footprint import metered
from reidlib.train.recipe import Recipe, outline

IDS, IMAGES = 8, 8


class AllPlaces(TorchDispatchMode):
    """Where is a tensor not zero? Numbers without content cannot tell: everywhere."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.nonzero.default:
            (of,) = args
            places = [torch.arange(n, device=of.device) for n in of.shape]
            return torch.cartesian_prod(*places).reshape(-1, of.dim())
        return func(*args, **(kwargs or {}))


def small(recipe: Recipe) -> Recipe:
    """What decides the operations of a recipe, at a small network and few images."""
    faces = recipe.backbone.startswith("vgg")
    return Recipe(
        model=recipe.model,
        options=recipe.options,
        backbone="vgg_tiny" if faces else "tiny",
        size=(64, 64) if faces else (192, 64),
        ids_per_batch=4,
        images_per_id=2,
    )


def devices(recipe: Recipe) -> set[str]:
    """Where losses, encodings and distances of a recipe's small network lie, on a GPU."""
    recipe = small(recipe)
    model = outline(recipe, IDS)
    with metered(), AllPlaces():
        model.to_empty(device="cuda")
        batch = _batch(recipe, "cuda")
        losses = model.train().loss(batch)
        with torch.no_grad():
            encoded = model.eval().encode(batch.images)
            distance = model.distance(take(encoded, slice(3)), encoded)
        assert distance.shape == (3, IMAGES)
        return {x.device.type for x in (*losses.values(), *encoded.values(), distance)}


def gradients(recipe: Recipe, patch: pytest.MonkeyPatch) -> set[str]:
    """Where the gradients of a recipe's small network lie, on the device "meta".

    torch computes no gradients on a GPU that is not there, but on this device, which is as
    different from the CPU; only autocast does not know it.
    """
    recipe = small(recipe)
    model = outline(recipe, IDS)
    patch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    with metered(), AllPlaces():
        model.to_empty(device="meta")
        model.train().loss(_batch(recipe, "meta"))["loss"].backward()
        return {p.grad.device.type for p in model.parameters() if p.grad is not None}


def _batch(recipe: Recipe, device: str) -> Batch:
    label = torch.arange(IMAGES, device=device) // recipe.images_per_id
    return Batch(torch.empty(IMAGES, 3, *recipe.size, device=device), label)
