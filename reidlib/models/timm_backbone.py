"""Backbones of timm: ``backbone="timm:NAME"``, cut into the stages that every model here knows.

Any network of timm will do whose features are a chain of modules with maps [N, C, H, W] (ResNets,
RegNets, EfficientNets, ConvNeXts, PVTs, ...). Its last four feature stages are conv2 to conv5, what
comes before is the stem. Its own mean and deviation are taken over: batches are normalised with
ImageNet's, and the stem begins with the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reidlib.errors import ReidError, nearest
from reidlib.models.normalise import normalisation
from reidlib.models.weights import NAMED, read_weights, start_file

PREFIX = "timm:"
Stages = dict[str, nn.Module]


def stages_of(name: str, weights: str | None, last_stride: int) -> tuple[Stages, dict[str, int]]:
    """The stages of the network ``timm:NAME`` and their output channels, by name.

    weights: ``None``, "imagenet" (timm's own default) or a file with timm's names; that of a
    baseline's run is loaded by whoever has put the stages together. last_stride: 1 takes the stride
    out of conv5. Raises ReidError where timm is not installed, and for a network that cannot be
    cut into stages.
    """
    net = _network(name, weights)
    info = net.feature_info
    ends = [module.replace(".", "_") for module in info.module_name()]
    children = dict(net.named_children())
    if len(ends) < 4 or any(end not in children for end in ends):
        raise ReidError(
            f"{name} is no chain of stages ({type(net).__name__} with {len(ends)} of them): choose "
            "a network with maps of four sizes, such as timm:resnet18 or timm:convnext_atto"
        )
    order = list(children)
    cuts = [order.index(end) + 1 for end in ends[-5:]]
    if len(cuts) == 4:  # no stage before conv2: the stem is what stands before it
        cuts.insert(0, cuts[0] - 1)
    while not list(children[order[cuts[0]]].parameters()):  # a pooling belongs to the stem
        cuts[0] += 1
    config = net.default_cfg
    stem = [normalisation(config["mean"], config["std"])]
    stages: Stages = {"stem": nn.Sequential(*stem, *(children[c] for c in order[: cuts[0]]))}
    for k in range(4):
        parts = [children[c] for c in order[cuts[k] : cuts[k + 1]]]
        stages[f"conv{k + 2}"] = nn.Sequential(*_blocks(parts))
    if last_stride == 1:
        _keep_size(stages["conv5"])
    return stages, _channels(name, stages, info.channels()[-4:], last_stride)


def _network(name: str, weights: str | None) -> Any:
    try:
        import timm
    except ImportError:
        raise ReidError(
            f'the backbone "{name}" needs the package timm: pip install "reidlib[timm]"'
        ) from None
    own = name.removeprefix(PREFIX)
    if not timm.is_model(own):
        near = nearest(own, timm.list_models())
        end = near if near.startswith(", did") else ": timm.list_models() names them all"
        raise ReidError(f'timm has no network "{own}"{end}')
    options: dict[str, Any] = {"pretrained": weights is not None}
    if weights == "start":
        start_file(name)
    elif weights not in (None, *NAMED):
        if is_run(weights):
            options = {"pretrained": False}
        else:
            options["pretrained_cfg_overlay"] = {"file": weights}
    # a list of modules, whatever the network's own class of features; some must be told to unfold
    ways: list[dict[str, Any]] = [{}, {"feature_cfg": {"flatten_sequential": True}}]
    for i, way in enumerate(ways):
        try:
            return timm.create_model(own, features_only=True, feature_cls="list", **way, **options)
        except (RuntimeError, OSError, TypeError, AssertionError, ValueError, KeyError) as error:
            if i + 1 < len(ways) and "Return layers" in str(error):
                continue
            what = " ".join(str(error).split())[:200]
            raise ReidError(
                f"timm cannot make {own} with weights {weights} as a chain of stages ({what}): "
                "give other weights, or another network"
            ) from error
    return None


def is_run(weights: str | None) -> bool:
    """Whether weights are the file of a baseline's run, whose names are the stages'."""
    if weights is None or weights in NAMED:
        return False
    return any(key.startswith("backbone.") for key in read_weights(Path(weights)))


def _blocks(parts: list[nn.Module]) -> Iterator[nn.Module]:
    """The blocks of a stage, where it is a row of them: models divide stages between blocks."""
    for part in parts:
        yield from part.children() if type(part) is nn.Sequential else (part,)


def _keep_size(stage: nn.Module) -> None:
    """Whatever steps by 2 steps by 1; a pooling in a shortcut then does nothing."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)
            if module.kernel_size == (2, 2):
                module.padding = "same"
        elif isinstance(module, nn.AvgPool2d) and module.stride in (2, (2, 2)):
            module.kernel_size = module.stride = 1


def _channels(name: str, stages: Stages, given: list[int], last_stride: int) -> dict[str, int]:
    """Channels by stage, found by sending an image through: maps must be [N, C, H, W]."""
    x = torch.zeros(1, 3, 128, 64)
    shapes: dict[str, Tensor] = {}
    modes = [(m, m.training) for stage in stages.values() for m in stage.modules()]
    try:
        with torch.no_grad():
            for stage, module in stages.items():
                x = shapes[stage] = module.eval()(x)
    except (RuntimeError, AssertionError) as error:
        what = " ".join(str(error).split())[:120]
        raise ReidError(
            f"{name} does not take images of 128x64 stage by stage ({what}): choose another network"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode
    found = [shapes[stage].shape[1] if shapes[stage].ndim == 4 else 0 for stage in shapes]
    kept = shapes["conv5"].shape[2:] == shapes["conv4"].shape[2:]
    if found[1:] != list(given) or kept != (last_stride == 1):
        raise ReidError(
            f"the stages of {name} give {[list(s.shape) for s in shapes.values()]}: not maps of "
            f"{given} channels with last_stride {last_stride}; choose another network"
        )
    return dict(zip(shapes, found, strict=True))
