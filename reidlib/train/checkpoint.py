"""Weights and optimiser state in one safetensors file, so that one rename replaces both."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from reidlib.errors import ReidError
from reidlib.system.files import atomic_write


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state on the CPU, contiguous, as safetensors wants it."""
    return {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}


def save_weights(path: Path, model: nn.Module) -> None:
    """Writes the model's state, whole or not at all."""
    atomic_write(path, save(plain_state(model)))


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    precision: str = "float32",
) -> None:
    """Writes weights, optimiser state, the number of steps done and the precision of their loss."""
    tensors = {f"model.{k}": v for k, v in plain_state(model).items()}
    for i, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            if value is not None:  # sgd keeps None before its first step
                tensor = torch.as_tensor(value).detach().cpu().contiguous()
                tensors[f"optimizer.{i}.{key}"] = tensor
    atomic_write(path, save(tensors, metadata={"step": str(step), "precision": precision}))


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, precision: str = "float32"
) -> int:
    """Restores both and returns the number of steps done.

    The optimiser's settings (learning rate and so on) are not in the file: the recipe has them.
    Raises ReidError if the steps so far were done in another precision: half a run in bf16 would be
    neither the one nor the other.
    """
    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        before = file.metadata().get("precision", precision)
        if step and before != precision:
            raise ReidError(
                f"{path} was trained in {before} so far and would go on in {precision}: resume it "
                "on a device like the first, or train again with resume=False"
            )
        for key in file.keys():  # noqa: SIM118  (not a dict)
            kind, rest = key.split(".", 1)
            if kind == "model":
                weights[rest] = file.get_tensor(key)
            else:
                i, name = rest.split(".", 1)
                state.setdefault(int(i), {})[name] = file.get_tensor(key)
    model.load_state_dict(weights)
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                # in the parameter's memory format, as it was before: only so do fused updates apply
                values[name] = torch.empty_like(parameter).copy_(value)
    return step
