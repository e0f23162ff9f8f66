"""What a built model is made of: shapes, parameters and multiply-accumulates, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reidlib.models import ReIDModel
from reidlib.models.backbone import STAGES, Backbone
from reidlib.models.base import count_parameters, device_of, evaluating

COLUMNS = ("stage", "call", "output", "parameters (M)", "GMACs")


def units(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The named modules that count as one stage: containers and backbones are opened."""
    for name, child in module.named_children():
        opened = isinstance(child, Backbone | nn.ModuleDict | nn.ModuleList)
        if isinstance(child, nn.Sequential) and name not in STAGES:  # a row of stages, or one?
            opened = any(isinstance(inner, nn.Sequential) for inner in child)
        if opened:
            yield from units(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def stages(model: ReIDModel, image_size: tuple[int, int] | None = None) -> pd.DataFrame:
    """One row for each time that ``encode`` calls a stage, in that order, for one image.

    image_size: (H, W), default the model's. Columns: stage (its name in the model), call (1, 2,
    ...: weights are shared between calls; 0: not used by ``encode``), output ("CxHxW", with the
    number of stripes before it where they are in the batch dimension), parameters (M) (millions,
    at the first call), GMACs (billions of multiply-accumulates; the papers call them FLOPs).
    """
    rows: list[dict[str, Any]] = []
    calls: dict[str, int] = {}
    counter = FlopCounterMode(display=False)
    started: list[int] = []
    hooks = []

    def before(*_: object) -> None:
        started.append(counter.get_total_flops())

    def after(name: str, module: nn.Module, output: object) -> None:
        calls[name] = calls.get(name, 0) + 1
        rows.append(
            {
                "stage": name,
                "call": calls[name],
                "output": shape_of(output),
                "parameters (M)": count_parameters(module) / 1e6 if calls[name] == 1 else 0.0,
                "GMACs": (counter.get_total_flops() - started.pop()) / 2e9,
            }
        )

    for name, module in units(model):
        hooks.append(module.register_forward_pre_hook(before))
        hooks.append(
            module.register_forward_hook(
                lambda unit, _, output, name=name: after(name, unit, output)
            )
        )
    try:
        image = torch.zeros(1, 3, *(image_size or model.size), device=device_of(model))
        with evaluating(model), counter:
            model.encode(image)
    finally:
        for hook in hooks:
            hook.remove()
    for name, module in units(model):
        if name not in calls:
            rows.append(
                {
                    "stage": name,
                    "call": 0,
                    "output": "",
                    "parameters (M)": count_parameters(module) / 1e6,
                    "GMACs": 0.0,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def shape_of(output: object) -> str:
    """``"256x96x32"`` of one image, ``"2 x 256x48x32"`` of two stripes of it; of several tensors
    the first."""
    if isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        return type(output).__name__
    number, *shape = output.shape
    text = "x".join(str(length) for length in shape)
    return text if number == 1 else f"{number} x {text}"
