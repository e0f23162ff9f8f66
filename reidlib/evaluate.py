"""Evaluation of a model on a dataset: encode both splits, stream the distances, score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from reidlib.metrics import Metrics, score

if TYPE_CHECKING:
    from reidlib.data.bank import ImageBank
    from reidlib.data.dataset import Dataset

__all__ = ["Encoding", "Metrics", "distance_blocks", "encode_split", "evaluate", "score"]

Encoding = dict[str, Tensor]
BLOCK = 2**26  # distances held at once: 256 MB of float32


def encode_split(
    model: nn.Module,
    bank: ImageBank,
    *,
    flip: bool = False,
    batch_size: int = 128,
    device: torch.device | str | None = None,
) -> Encoding:
    """Encodes every image of ``bank``, in its order; batch norm in evaluation mode, no gradients.

    ``flip``: "feature" becomes the mean of the features of the image and of its mirror image.
    Entries of the encoding that are named in ``model.mirror_averaged`` (default: "feature") are
    averaged, all others are those of the image as it is. Returns a dict of tensors with
    ``len(bank)`` rows on ``device`` (default: the model's); half precision becomes float32.
    """
    device = torch.device(device) if device is not None else next(model.parameters()).device
    averaged = getattr(model, "mirror_averaged", ("feature",))
    out: Encoding = {}
    with _evaluating(model):
        model.to(device)
        for start in range(0, len(bank), batch_size):
            images = bank.images(slice(start, min(start + batch_size, len(bank))))
            images = images.to(device, non_blocking=True)
            part = {k: _full(v) for k, v in model.encode(images).items()}  # type: ignore[operator]
            if flip:
                mirrored = model.encode(images.flip(-1))  # type: ignore[operator]
                for k in averaged:
                    part[k] = (part[k] + _full(mirrored[k])) / 2
            for k, v in part.items():
                if k not in out:
                    out[k] = v.new_empty((len(bank), *v.shape[1:]))
                out[k][start : start + len(v)] = v
    return out


def distance_blocks(model: nn.Module, query: Encoding, gallery: Encoding) -> Iterator[Tensor]:
    """Row blocks [B,G] of ``model.distance``, as many rows as fit 256 MB."""
    num_query, num_gallery = (len(next(iter(e.values()))) for e in (query, gallery))
    step = max(1, BLOCK // max(num_gallery, 1))
    with _evaluating(model):
        for start in range(0, num_query, step):
            rows = {k: v[start : start + step] for k, v in query.items()}
            yield model.distance(rows, gallery)  # type: ignore[operator]


def evaluate(
    model: nn.Module,
    dataset: Dataset,
    *,
    flip: bool = False,
    device: torch.device | str | None = None,
    batch_size: int = 128,
    protocol: str | None = None,
    max_rank: int = 50,
    query_bank: ImageBank | None = None,
    gallery_bank: ImageBank | None = None,
) -> Metrics:
    """Encodes query and gallery of ``dataset`` and scores ``model.distance`` between them.

    ``protocol`` defaults to the dataset's. ``query_bank`` and ``gallery_bank`` (in the order of
    the splits, at ``model.size``) save decoding the images again.
    """
    from reidlib.data.bank import ImageBank

    device = torch.device(device) if device is not None else next(model.parameters()).device
    sides = []
    for split, bank in ((dataset.query, query_bank), (dataset.gallery, gallery_bank)):
        if bank is None:
            bank = ImageBank.from_split(split, model.size, device=device)  # type: ignore[arg-type]
        sides.append(encode_split(model, bank, flip=flip, batch_size=batch_size, device=device))
    query, gallery = dataset.query, dataset.gallery
    return score(
        distance_blocks(model, *sides),
        query["pid"],
        gallery["pid"],
        query["cam"],
        gallery["cam"],
        max_rank,
        protocol=protocol or dataset.protocol,
    )


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module in training:
            module.training = True
