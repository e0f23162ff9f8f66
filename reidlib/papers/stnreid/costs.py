"""What matching costs: STNReID's Table 1 read off the module, and seconds for 1,000 pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from reidlib.data import ImageBank
from reidlib.evaluate.cost import gmacs_of
from reidlib.evaluate.encode import distance_blocks, encode_split
from reidlib.evaluate.verdict import Claim, judge
from reidlib.models import Encoding, ReIDModel, build
from reidlib.models.base import device_of, evaluating
from reidlib.papers.stnreid.model import Localization

# rows of Table 1 in their order: the module's own names
TABLE1 = ("conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2", "fc3", "fc4")


def localization_table(network: Localization) -> pd.DataFrame:
    """Table 1: of each layer the printed output size, parameters and padding beside the module's.

    Measured by a pass of one pair at the module's size. Columns: layer, output_size (printed),
    output, parameters (printed), weights and biases (counted), padding (printed), padding_used.
    """
    printed = pd.read_csv(Path(__file__).parent / "published" / "stnreid_table1.csv")
    outputs: dict[str, Tensor] = {}
    modules = {name: network.get_submodule(name) for name in TABLE1}
    hooks = [module.register_forward_hook(lambda _m, _x, y, name=name: outputs.update({name: y}))
             for name, module in modules.items()]  # fmt: skip
    image = torch.zeros(1, 3, *network.size, device=device_of(network))
    with evaluating(network):
        network(image, image)
    for hook in hooks:
        hook.remove()
    found = [
        {"output": _shape(outputs[name]),
         "weights": sum(p.numel() for n, p in module.named_parameters() if n == "weight"),
         "biases": sum(p.numel() for n, p in module.named_parameters() if n == "bias"),
         "padding_used": _padding(module)}
        for name, module in modules.items()
    ]  # fmt: skip
    table = pd.concat([printed, pd.DataFrame(found)], axis=1)
    return table[["layer", "output_size", "output", "parameters", "weights", "biases", "padding",
                  "padding_used"]].rename(columns={"output_size": "output printed",
                  "parameters": "parameters printed", "padding": "padding printed",
                  "padding_used": "padding"})  # fmt: skip


def _shape(output: Tensor) -> str:
    """As the paper writes it: H x W x C, or the number of values."""
    if output.ndim == 2:
        return str(output.shape[1])
    channels, height, width = output.shape[1:]
    return f"{height}x{width}x{channels}"


def _padding(module: nn.Module) -> str:
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d):
        return "-"
    padding = module.padding
    return str(padding if isinstance(padding, tuple) else (padding, padding)).replace(" ", "")


def pair_costs(models: Mapping[str, ReIDModel], query: Tensor, gallery: Tensor) -> pd.DataFrame:
    """What it costs to match every query image with every gallery image [N, 3, H, W].

    Columns: row, parameters (M), GMACs an image (once each: encoding), GMACs a pair (beyond that),
    s / 1,000 pairs all at once, and one pair after the other, the encoding left out of both.
    """
    lines = []
    for row, model in models.items():
        with evaluating(model):
            one, many = model.encode(query), model.encode(gallery)
            first = {k: v[:1] for k, v in one.items()}, {k: v[:1] for k, v in many.items()}
            image, pair = _gmacs(model, query[:1], first)
            together = _seconds(lambda m=model, a=one, b=many: m.distance(a, b))  # type: ignore[misc]
            alone = _seconds(lambda m=model, f=first: m.distance(*f))  # type: ignore[misc]
        pairs = len(query) * len(gallery)
        values = sum(p.numel() for p in model.parameters())
        lines.append({"row": row, "parameters (M)": values / 1e6,
                      "GMACs an image": image, "GMACs a pair": pair,
                      "s / 1,000 pairs, in a batch": 1000 * together / pairs,
                      "s / 1,000 pairs, one by one": 1000 * alone})  # fmt: skip
    return pd.DataFrame(lines)


def pair_counts(
    models: Mapping[str, Mapping[str, Any]],
    size: tuple[int, int] = (256, 128),
    backbone: str = "resnet50",
) -> pd.DataFrame:
    """GMACs an image and a pair of networks as the paper has them: of 751 people, random weights,
    which do not change the count. models: name and options of ``reidlib.models.build`` by row."""
    lines = []
    images = torch.rand(1, 3, *size)  # a map of zeros has no blocks
    for row, options in models.items():
        model = build(**{"num_ids": 751, "backbone": backbone, "size": size, **options})
        with evaluating(model):
            one = model.encode(images)
            image, pair = _gmacs(model, images, (one, one))
        lines.append({"row": row, "GMACs an image": image, "GMACs a pair": pair})
    return pd.DataFrame(lines)


def _gmacs(model: ReIDModel, image: Tensor, pair: tuple[Encoding, Encoding]) -> tuple[float, float]:
    """Of encoding an image [1, 3, H, W], and of comparing a pair of encodings."""
    return gmacs_of(lambda: model.encode(image)), gmacs_of(lambda: model.distance(*pair))


def whole_test_seconds(
    models: Mapping[str, ReIDModel], query: ImageBank, gallery: ImageBank
) -> pd.DataFrame:
    """Seconds of a whole test: every image of both banks encoded, all distances computed.

    Columns: row, encoding, matching, seconds (their sum), times (the seconds of the first row).
    The shorter of two rounds each, after a first.
    """
    lines = []
    for row, model in models.items():
        device = device_of(model)

        def encode(m: ReIDModel = model, on: torch.device = device) -> list[Encoding]:
            return [encode_split(m, bank, device=on) for bank in (query, gallery)]

        one, many = encode()
        images = _seconds(lambda: encode()[1]["feature"])
        pairs = _seconds(lambda m=model, a=one, b=many: torch.cat([*distance_blocks(m, a, b)]))  # type: ignore[misc]
        lines.append({"row": row, "encoding": images, "matching": pairs, "seconds": images + pairs})
    table = pd.DataFrame(lines)
    return table.assign(times=table["seconds"] / table["seconds"][0])


def fewer_seconds(claim: str, where: str, slow: float, fast: float) -> Claim:
    """A claim that something takes fewer seconds, here for 1,000 pairs, than something else:
    holds from a tenth on."""
    times = slow / fast
    verdict = judge(times - 1, times - 1, times - 1, least=0.1)  # less is the clock's noise
    note = f"{slow:.3f} s and {fast:.3f} s"
    return Claim(claim, where, verdict, measured=times, unit="times", signed=False, note=note)


def halvings(network: Localization) -> int:
    """How often the localization network halves the image: its strided layers."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.MaxPool2d)]
    return sum(m.stride in (2, (2, 2)) for m in layers)


def _seconds(call: Callable[[], Tensor]) -> float:
    """The shorter of two calls after a first one; reading a value waits for an accelerator."""
    call()
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        call().sum().item()
        best = min(best, time.perf_counter() - start)
    return best
