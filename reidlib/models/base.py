"""What training and evaluation know of a model: encode, distance, loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidlib.data.batches import Batch
from reidlib.errors import ReidError

Encoding = dict[str, Tensor]


class ReIDModel(nn.Module):
    """Base of all models.

    size: the (H, W) of the images it takes. head: beginnings of the names of those parameters that
    train at ``Recipe.head_lr`` times the learning rate.
    """

    size: tuple[int, int]
    head: ClassVar[tuple[str, ...]] = ("classifier.",)
    # Raise it when the same weights would be scored otherwise than before, such as by another
    # default of a test option: stored evaluations of this model are then no longer found.
    test_version: ClassVar[int] = 1

    @classmethod
    def test_options(cls, options: Mapping[str, Any]) -> set[str]:
        """Which of its options decide nothing but the test: what is learned is the same.

        Recipes that differ in them alone share a run. options: all that are set, by name.
        """
        return set()

    @property
    def identity_terms(self) -> Mapping[str, int]:
        """Which entries of ``loss`` are identity losses, and how many classifiers each adds up (of
        a mean: 1). So the logs of different models can be held against chance, ln(identities)."""
        return {"id": 1}

    @property
    def rates(self) -> Mapping[str, float]:
        """Parameters that train at a rate of their own beside the head's: beginnings of their names
        to the factor on the learning rate; 0 leaves them as they began."""
        return {}

    @classmethod
    def version(cls, options: Mapping[str, Any]) -> int:
        """Of the architecture, from 1 on; it names the run. Raise it (for the ``options`` that are
        concerned) when the same recipe would learn something else than before."""
        return 1

    def load_start(self, state: Mapping[str, Tensor], model: str, same_people: bool) -> None:
        """Takes over, before training, what it needs of a finished run's weights.

        state: the run's ``state_dict``. model: the name of its model. same_people: whether it was
        trained on the same dataset; from other people no classifier is taken over, whatever its
        shape. A recipe's ``start`` names the runs. The backbone of a run of the baseline needs no
        line here: every model is built with it, as with weights from a file (``build_backbone``).
        Raises ReidError if there is nothing to take.
        """
        if model != "baseline":
            raise ReidError(f"{type(self).__name__} takes nothing over from a run of {model}")

    def check_start(self, models: Sequence[str]) -> None:
        """Raises ReidError if it cannot be trained without a run that is not among a recipe's
        ``start``, which are runs of these ``models``."""

    def encode(self, images: Tensor) -> Encoding:
        """Normalised images [N, 3, H, W] to tensors with batch first; ``"feature"`` is [N, D]."""
        raise NotImplementedError

    def distance(self, query: Encoding, gallery: Encoding) -> Tensor:
        """Distances [Q, G], small is alike: 1 - cosine, in [0, 2], unless a model overrides it."""
        return 1 - F.normalize(query["feature"]) @ F.normalize(gallery["feature"]).T

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``"loss"`` is the scalar to minimise; what else is in the dict is logged."""
        raise NotImplementedError


def take(encoding: Encoding, rows: slice | Tensor) -> Encoding:
    """The given rows of every entry."""
    return {key: value[rows] for key, value in encoding.items()}


def accuracy(logits: Tensor, label: Tensor) -> Tensor:
    """Share of rows [N, C] whose largest logit is the label [N]; a scalar in [0, 1]."""
    return (logits.argmax(1) == label).float().mean()


def init_classifier(layer: nn.Linear) -> nn.Linear:
    """Small weights (0.001), as the bag of tricks starts its classifiers (Luo et al. 2019)."""
    nn.init.normal_(layer.weight, std=0.001)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@contextmanager
def evaluating(model: nn.Module, gradients: bool = False) -> Iterator[None]:
    """Evaluation mode, without ``gradients`` unless they are asked for; afterwards every module is
    in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.enable_grad() if gradients else torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next((p.device for p in model.parameters()), torch.device("cpu"))
