"""Parameters and computation of models without their classifiers, as papers print them.

Multiply-accumulates (MACs) are counted; a floating-point operation is half of one. The papers print
MACs and call them FLOPs. A model on torch's "meta" device (``train.recipe.outline``) is counted
without being computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reidlib.models import ReIDModel
from reidlib.models.base import count_parameters, device_of, evaluating
from reidlib.models.heads import Heads

PRINTED = {"parameters (M)": "params_m", "GMACs": "flops_g"}  # as published tables call them


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


def cost(model: ReIDModel) -> dict[str, float]:
    """ "parameters (M)": millions, classifiers left out; "GMACs" of encoding one image: billions of
    multiply-accumulates in convolutions and matrix products. "+ batch norm", "+ ReLU": with what
    some counters add, two operations for each value of a batch norm, one for each of a ReLU.
    """
    values = Counter[type]()
    hooks = []

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        values[type(module)] += output.numel()

    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.ReLU):
            hooks.append(module.register_forward_hook(count))
    try:
        macs = gmacs(model)
    finally:
        for hook in hooks:
            hook.remove()
    parameters = count_parameters(model) - in_classifiers(model)
    normed = macs + 2 * (values[nn.BatchNorm1d] + values[nn.BatchNorm2d]) / 1e9
    return {
        "parameters (M)": parameters / 1e6,
        "GMACs": macs,
        "+ batch norm": normed,
        "+ ReLU": normed + values[nn.ReLU] / 1e9,
    }


def in_classifiers(model: ReIDModel) -> int:
    """How many parameters only the classifiers have, which the test does without."""
    own = (m for name, m in model.named_modules() if name.split(".")[-1] == "classifier")
    heads = (m for m in model.modules() if isinstance(m, Heads))
    batched = sum(head.classifier.numel() + head.bias.numel() for head in heads)
    return batched + sum(map(count_parameters, own))


def beside_printed(
    groups: Mapping[str, Mapping[str, ReIDModel | None]],
    printed: Mapping[tuple[str, str], float],
) -> pd.DataFrame:
    """``cost`` of networks beside printed values: one line each, "added" to the first of their
    group. None: a network that is not built here, of which the printed values stand alone.
    printed: by network and metric (``published.values``); other networks' are left out."""
    none, lines = float("nan"), {}
    for networks in groups.values():
        found = {network: cost(model) if model else {} for network, model in networks.items()}
        first = next(iter(found.values()))
        for network, own in found.items():
            line = dict[str, float]()
            for column, metric in PRINTED.items():
                line[column] = own.get(column, none)
                line[f"{column} printed"] = printed.get((network, metric), none)
                line[f"{column} added"] = line[column] - first[column]
                line[f"{column} added, printed"] = printed.get((network, f"{metric}_delta"), none)
            line |= {k: own.get(k, none) for k in first if k.startswith("+")}
            lines[network] = line
    return pd.DataFrame(lines).T.rename_axis("network")
