"""From images to encodings, from encodings to distances: streamed, without gradients."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from reidlib.data.bank import ImageBank
from reidlib.errors import ReidError
from reidlib.models.base import Encoding, ReIDModel, device_of, evaluating, take
from reidlib.system.compute import compiled, full_precision

BLOCK = 2**26  # distances held at once: 256 MB of float32


def encode_split(
    model: ReIDModel,
    bank: ImageBank,
    *,
    rows: Tensor | None = None,
    flip: bool = False,
    batch_size: int = 128,
    device: torch.device | str | None = None,
    amp: bool = False,
    compile: str | None = None,
    only: Collection[str] | None = None,
) -> Encoding:
    """Encodes the images of ``bank`` in its order, or those of ``rows`` [n] int64 in theirs.

    ``flip``: "feature" becomes the mean over the image and its mirror image; a model whose other
    entries may be averaged too names them in ``mirror_averaged``. All other entries stay those of
    the image as it is. ``amp``: bfloat16 autocast on an accelerator, else float32 without TF32.
    ``compile``: a mode of torch.compile (see ``system.compute``); the model must take any batch
    size. The model runs in evaluation mode and is left in the mode it was in, on ``device``
    (default: where it is). ``only``: the entries to keep, None for all. Returns tensors with n rows
    on that device; half precision becomes float32. Nothing waits for the accelerator.
    """
    device = torch.device(device) if device is not None else device_of(model)
    model.to(device)
    averaged = getattr(model, "mirror_averaged", ("feature",))
    number = len(bank) if rows is None else len(rows)
    if not number:
        raise ReidError("there are no images to encode")

    def encode(images: Tensor) -> Encoding:
        part = {key: _full(value) for key, value in model.encode(images).items()}
        if flip:
            mirrored = model.encode(images.flip(-1))
            for key in averaged:
                part[key] = (part[key] + _full(mirrored[key])) / 2
        return part

    out: Encoding = {}
    block = compiled(encode, compile)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=amp)
    with evaluating(model), full_precision(), autocast:
        for start in range(0, number, batch_size):
            some = slice(start, min(start + batch_size, number))
            images = bank.images(some if rows is None else rows[some])
            images = images.to(device, non_blocking=True)
            n = len(images)
            if compile and n < batch_size:  # compiled once, for one shape
                images = F.pad(images, (0, 0, 0, 0, 0, 0, 0, batch_size - n))
            for key, value in block(images).items():
                if only is not None and key not in only:
                    continue
                if key not in out:
                    with torch.inference_mode(False):  # so that a notebook may use it as it likes
                        out[key] = value.new_empty((number, *value.shape[1:]))
                out[key][some] = value[:n]
    return out


def encode_cut(
    model: ReIDModel, split: pd.DataFrame, *, rows: Tensor | None = None, **options: Any
) -> Encoding:
    """As ``encode_split``, but what the column ``box`` keeps of an image stays as large as it is in
    an image of the model's size, to the pixel, and is not enlarged.

    For models that compare images of different sizes (``own_size``). Entries [n, M, ...] whose M
    follows the size of the image are filled up with zeros.
    """
    some = split if rows is None else split.iloc[rows.numpy()]
    bank = ImageBank.from_split(some.drop(columns="box"), model.size)
    height, width = model.size
    box = torch.tensor(some["box"].tolist(), dtype=torch.float64)
    pixels = ((box + 1) / 2 * torch.tensor([width, height] * 2)).round().long()
    pixels[:, 2:] = torch.maximum(pixels[:, 2:], pixels[:, :2] + 1)
    shapes, group = (pixels[:, 2:] - pixels[:, :2]).unique(dim=0, return_inverse=True)
    out: Encoding = {}
    for g in range(len(shapes)):
        index = (group == g).nonzero().flatten()
        cut = []
        for i in index.tolist():
            x0, y0, x1, y1 = pixels[i].tolist()
            cut.append(bank.raw(slice(i, i + 1))[:, :, y0:y1, x0:x1])
        own = ImageBank(torch.cat(cut), some.iloc[index.numpy()], bank.device, "device")
        for key, value in encode_split(model, own, **options).items():
            if key not in out:
                out[key] = value.new_zeros(len(some), *value.shape[1:])
            more = value.shape[1] - out[key].shape[1]
            if more > 0:
                filling = value.new_zeros(len(some), more, *value.shape[2:])
                out[key] = torch.cat([out[key], filling], 1)
            out[key][index, : value.shape[1]] = value
    return out


def distance_blocks(
    model: ReIDModel, query: Encoding, gallery: Encoding, amp: bool = False
) -> Iterator[Tensor]:
    """Row blocks [B,G] of ``model.distance``, as many rows as make 256 MB. ``amp``: a model that
    takes every pair through its network does that in bfloat16 (its attribute ``pairs_pass``)."""
    if type(model).distance is ReIDModel.distance:
        yield from cosine_blocks(query["feature"], gallery["feature"])
        return
    half = amp and getattr(model, "pairs_pass", False)
    autocast = torch.autocast(query["feature"].device.type, torch.bfloat16, enabled=half)
    step = max(1, BLOCK // max(length(gallery), 1))
    for start in range(0, length(query), step):
        with evaluating(model), full_precision(), autocast:
            block = model.distance(take(query, slice(start, start + step)), gallery)
        yield block


def distance_columns(
    model: ReIDModel, query: Encoding, blocks: Iterable[Encoding], amp: bool = False
) -> Tensor:
    """``model.distance`` [Q, G] to a gallery that comes in ``blocks`` and is never all there."""
    found = [torch.cat([*distance_blocks(model, query, block, amp)]) for block in blocks]
    return torch.cat(found, 1)


def cosine_blocks(query: Tensor, gallery: Tensor) -> Iterator[Tensor]:
    """Row blocks [B,G] of 1 - cosine, the default distance; features are normalised only once."""
    query, right = F.normalize(query.detach()), F.normalize(gallery.detach()).T
    one = torch.ones((), dtype=right.dtype, device=right.device)
    for rows in query.split(max(1, BLOCK // max(right.shape[1], 1))):
        with full_precision():
            block = rows @ right
        yield torch.sub(one, block, out=block)


def length(encoding: Encoding) -> int:
    """The number of images in an encoding."""
    return len(next(iter(encoding.values())))


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
