"""Parameters and computation of models without their classifiers, as papers print them.

Nothing is computed: models are built on torch's "meta" device, which knows shapes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from reidlib import models
from reidlib.evaluate.throughput import gmacs
from reidlib.models import ReIDModel
from reidlib.models.base import count_parameters
from reidlib.models.heads import Heads
from reidlib.train.recipe import Recipe
from reidlib.workbook import published

PRINTED = {"parameters (M)": "params_m", "GMACs": "flops_g"}  # as published tables call them


def outline(recipe: Recipe, num_ids: int = 751, **changes: Any) -> ReIDModel:
    """The recipe's model (with other settings) on the meta device: shapes, no weights."""
    recipe = recipe.but(**changes)
    with torch.device("meta"):
        return models.build(
            recipe.model, num_ids, backbone=recipe.backbone, size=recipe.size, **recipe.options
        )


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


def table(groups: Mapping[str, Mapping[str, ReIDModel]], name: str) -> pd.DataFrame:
    """``cost`` of networks beside a published table: one line each, "added" to the first of their
    group. name: a published table; its rows with other names are left out."""
    printed = published.values(name)
    lines = {}
    for networks in groups.values():
        found = {network: cost(model) for network, model in networks.items()}
        first = next(iter(found.values()))
        for network, own in found.items():
            line = dict[str, float]()
            for column, metric in PRINTED.items():
                line[column] = own[column]
                line[f"{column} printed"] = printed.get((network, metric), float("nan"))
                line[f"{column} added"] = own[column] - first[column]
                delta = printed.get((network, f"{metric}_delta"), float("nan"))
                line[f"{column} added, printed"] = delta
            line |= {k: v for k, v in own.items() if k.startswith("+")}
            lines[network] = line
    return pd.DataFrame(lines).T.rename_axis("network")
