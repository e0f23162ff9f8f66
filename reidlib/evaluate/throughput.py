"""Multiply-accumulates (MACs), counted; the papers print them and call them FLOPs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from reidlib.models import ReIDModel
from reidlib.models.base import device_of, evaluating


def gmacs(model: ReIDModel) -> float:
    """Multiply-accumulates, in billions, of encoding one image (convolutions and matrix products).

    Counted by torch on one image; the model's mode and weights stay as they are.
    """
    image = torch.zeros(1, 3, *model.size, device=device_of(model))
    with evaluating(model):
        return gmacs_of(lambda: model.encode(image))


def gmacs_of(call: Callable[[], object]) -> float:
    """The same of whatever ``call`` computes."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9
