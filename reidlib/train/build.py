"""What a recipe is made into before its first step: model, optimiser, batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from reidlib import models
from reidlib.data.bank import ImageBank
from reidlib.data.batches import Batches
from reidlib.data.sampler import IdentitySampler
from reidlib.system import parallel
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run


def build_model(
    recipe: Recipe, num_ids: int, weights: str | Path | None = None
) -> models.ReIDModel:
    """The recipe's model with its initial weights, which depend on its seed alone.

    weights: in place of the recipe's.
    """
    torch.manual_seed(recipe.seed)
    return models.build(
        recipe.model,
        num_ids,
        backbone=recipe.backbone,
        weights=str(weights) if weights else recipe.weights,
        size=recipe.size,
        **recipe.options,
    )


def started_model(run: Run) -> models.ReIDModel:
    """A run's model as its first step finds it: what its ``start`` names is taken over, in order.

    A backbone begins as that of the last run of the baseline among them, if there is one.
    """
    recipe, dataset = run.recipe, run.recipe.load_dataset()
    folders = [Run.of(earlier, run.path.parent).path for earlier in recipe.start]
    starts = [(r, p / "weights.safetensors") for r, p in zip(recipe.start, folders, strict=True)]
    baselines = [file for earlier, file in starts if earlier.model == "baseline"]
    model = build_model(recipe, dataset.num_ids, baselines[-1] if baselines else None)
    model.check_start([earlier.model for earlier in recipe.start])
    for earlier, file in starts:
        same_people = earlier.load_dataset().fingerprint == dataset.fingerprint
        model.load_start(load_file(file), earlier.model, same_people)
    return model


def build_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """Adam, AMSGrad or SGD over all trainable parameters; the head's at ``head_lr`` times the rate,
    and those that the model's ``rates`` name at theirs.

    On CUDA one fused kernel updates all of them.
    """
    own = dict.fromkeys(getattr(model, "head", ()), recipe.head_lr) | getattr(model, "rates", {})
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((own[start] for start in own if name.startswith(start)), 1.0)
            groups.setdefault(factor, []).append(parameter)
    parameters = [{"params": group, "factor": factor} for factor, group in groups.items()]
    fused = all(p.is_cuda for group in groups.values() for p in group)
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **common)
    amsgrad = recipe.optimizer == "amsgrad"  # Reddi et al. 2018
    return torch.optim.Adam(parameters, amsgrad=amsgrad, **common)


def build_batches(recipe: Recipe, bank: ImageBank) -> Batches:
    """The recipe's batches out of a bank of training images; of each, this process's rows."""
    sampler = IdentitySampler(
        bank.pid,
        recipe.ids_per_batch,
        recipe.images_per_id,
        seed=recipe.seed,
        cam=bank.cam if recipe.camera_balanced else None,
        epoch=recipe.epoch_of,
    )
    return Batches(
        bank,
        sampler,
        mirror=recipe.mirror,
        pad_crop=recipe.pad_crop,
        erasing=recipe.erasing,
        shifting=recipe.shifting,
        shifting_options=recipe.shifting_options,
        crop_resize_shift=recipe.crop_resize_shift,
        cropping=recipe.cropping,
        jitter=recipe.jitter,
        rows=parallel.rows(recipe.ids_per_batch * recipe.images_per_id),
    )
