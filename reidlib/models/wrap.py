"""Any network as a model: images in, features out, its own mean and deviation."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reidlib.data.bank import MEAN, STD
from reidlib.errors import ReidError
from reidlib.models.base import Encoding, ReIDModel
from reidlib.models.normalise import normalisation


class Wrapped(ReIDModel):
    """A network of any kind, for evaluation; made by ``wrap``."""

    def __init__(
        self,
        network: Callable[[Tensor], Any],
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        if min(size) < 1:
            raise ReidError(f"size {tuple(size)}: height and width of the images, 1 or more")
        self.size = size
        self.normalise = normalisation(mean, std)
        self.inside = network if isinstance(network, nn.Module) and _has_modes(network) else None
        # not an attribute that is a module, which would be put into evaluation mode
        self.function = (lambda images: network(images)) if self.inside is None else None

    def encode(self, images: Tensor) -> Encoding:
        network: Any = self.function if self.inside is None else self.inside
        try:
            feature = network(self.normalise(images))
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
            raise ReidError(
                f"the wrapped network does not take images {list(images.shape)} ({reason}): give "
                "the size that it wants (--size H W), and export it so that the batch may vary"
            ) from error
        if not isinstance(feature, Tensor) or feature.ndim != 2 or len(feature) != len(images):
            what = list(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
            raise ReidError(
                f"the wrapped network gives {what} for {len(images)} images: it must give features "
                "[N, D], so pool its maps, choose one of its outputs or drop its classifier"
            )
        return {"feature": feature}


def _has_modes(network: nn.Module) -> bool:
    """An exported network cannot be put into training or evaluation mode."""
    try:
        network.train(network.training)
    except NotImplementedError:
        return False
    return True


def wrap(
    network: Callable[[Tensor], Any],
    size: tuple[int, int] = (256, 128),
    *,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Wrapped:
    """A model for ``evaluate`` from a module, or a function, that makes features [N, D] of images
    [N, 3, H, W].

    size: (H, W) of the images it takes. mean, std: what it wants them normalised with, for RGB in
    [0, 1]. For training, write a ``ReIDModel`` with a ``loss``, or give any model a backbone of
    timm's (``backbone="timm:NAME"``).
    """
    return Wrapped(network, size, mean, std)


def load_network(path: str | os.PathLike[str], *, trust: bool = False, **options: Any) -> Wrapped:
    """A network that is stored with its code: TorchScript (``.pt``), or one of ``torch.export``
    (``.pt2``), wrapped; ``options`` are those of ``wrap``.

    A ``.pt2`` may hold pickles and expressions that are executed while it is read, so ``trust``
    says that the file is one's own. Raises ReidError for another kind of file: weights alone do not
    say what computes with them, and a pickled module is never read.
    """
    path = Path(path)
    if not path.is_file():
        raise ReidError(f"there is no file {path}")
    if path.suffix == ".pt2" and not trust:
        raise ReidError(
            f"{path} is an exported network, and reading one can execute code that it holds: if it "
            "is your own, say so with --trust (trust=True)"
        )
    try:
        if path.suffix == ".pt2":
            network = torch.export.load(path).module()
        else:
            with warnings.catch_warnings():  # that new networks are better exported
                warnings.simplefilter("ignore", FutureWarning)
                network = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise ReidError(
            f"{path} is neither TorchScript nor an exported network (.pt2): save "
            "torch.jit.trace(network, images), or wrap the module in Python (reidlib.models.wrap); "
            "pickled modules are not read, as that would execute code"
        ) from error
    return wrap(network, **options)
