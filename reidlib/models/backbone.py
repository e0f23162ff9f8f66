"""Backbones with one face: a stem and the stages conv2 ... conv5, by name.

``resnet50`` is VCN's (O): last stride 1, a 384x128 image gives a 24x8 map. ``resnet50_m`` is its
(M): stages conv4 and conv5 with dilation 2 and 4 and stride 1, giving 48x16. ``resnet18`` and
``mobilenet_v2`` come from torchvision too; ``tiny`` is a bottleneck ResNet for CPUs. ``vgg16``
(for faces) has five blocks, which are the five stages; its last stride is its last max pooling,
without which a 224x224 image gives 14x14, with it 7x7. ``vgg_tiny`` is a narrow one for CPUs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import torch
import torchvision.models as tv
from torch import Tensor, nn

from reidlib.errors import ReidError, nearest
from reidlib.models import timm_backbone
from reidlib.models.weights import HEADS, imagenet_state, load_weights

STAGES = ("stem", "conv2", "conv3", "conv4", "conv5")


class Backbone(nn.Module):
    """Five stages in a row, each an attribute: ``stem`` and ``conv2`` ... ``conv5``.

    channels: output channels of each stage, by name. ``forward(x)`` takes [N, 3, H, W] to conv5's
    map; ``start`` and ``end`` run a part of it (both included), for branches and partitions.
    """

    def __init__(self, stages: dict[str, nn.Module], channels: dict[str, int]) -> None:
        super().__init__()
        for name in STAGES:
            self.add_module(name, stages[name])
        self.channels = channels

    @property
    def out_channels(self) -> int:
        return self.channels["conv5"]

    def forward(self, x: Tensor, start: str = "stem", end: str = "conv5") -> Tensor:
        for name in STAGES[STAGES.index(start) : STAGES.index(end) + 1]:
            x = getattr(self, name)(x)
        return x


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1, each with batch norm, around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int, width: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = nn.Identity()
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(  # type: ignore[assignment]
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Tiny(nn.Module):
    """The ``tiny`` network, with torchvision's ResNet names (layer1 ... layer4)."""

    BLOCKS = (1, 1, 2, 1)
    WIDTHS = (32, 64, 128, 256)  # of the 3x3 convolutions; the outputs are four times as wide
    EXPANSION = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 32
        for i, (blocks, width) in enumerate(zip(self.BLOCKS, self.WIDTHS, strict=True)):
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if block == 0 and i > 0 else 1
                stage.append(Bottleneck(channels, width, width * self.EXPANSION, stride))
                channels = width * self.EXPANSION
            self.add_module(f"layer{i + 1}", stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class VGG(nn.Module):
    """Blocks of 3x3 convolutions, a max pooling behind each (Simonyan & Zisserman 2015), without a
    classifier; torchvision's names.

    layers: as torchvision's ``vgg.cfgs`` has them. norm: batch norm after each convolution, without
    which a VGG hardly learns from random weights.
    """

    TINY: ClassVar[list[int | str]] = [32, "M", 64, "M", 128, "M", 128, "M", 256, "M"]

    def __init__(self, layers: list[Any], norm: bool = False) -> None:
        super().__init__()
        self.features = tv.vgg.make_layers(layers, norm)
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)


def _last_stride_1(stage: nn.Module) -> None:
    """Takes the stride out of a stage: whatever steps by 2 steps by 1."""
    for module in stage.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride = (1, 1)


def _from_resnet(net: tv.ResNet | Tiny, last_stride: int) -> Backbone:
    stem = nn.Sequential(
        OrderedDict((name, getattr(net, name)) for name in ("conv1", "bn1", "relu", "maxpool"))
    )
    stages: dict[str, nn.Module] = {"stem": stem}
    channels = {"stem": net.conv1.out_channels}
    for i in range(4):
        stage = getattr(net, f"layer{i + 1}")
        convs = [m for m in stage[-1].modules() if isinstance(m, nn.Conv2d)]
        stages[f"conv{i + 2}"], channels[f"conv{i + 2}"] = stage, convs[-1].out_channels
    if last_stride == 1:
        _last_stride_1(stages["conv5"])
    return Backbone(stages, channels)


def _from_mobilenet(net: tv.MobileNetV2, last_stride: int) -> Backbone:
    cuts = {"stem": (0, 2), "conv2": (2, 4), "conv3": (4, 7), "conv4": (7, 14), "conv5": (14, 19)}
    stages: dict[str, nn.Module] = {name: net.features[a:b] for name, (a, b) in cuts.items()}
    if last_stride == 1:
        _last_stride_1(stages["conv5"])
    channels = {"stem": 16, "conv2": 24, "conv3": 32, "conv4": 96, "conv5": 1280}
    return Backbone(stages, channels)


def _from_vgg(net: VGG, last_stride: int) -> Backbone:
    ends = [i + 1 for i, m in enumerate(net.features) if isinstance(m, nn.MaxPool2d)]
    stages: dict[str, nn.Module] = {
        name: net.features[a:b] for name, (a, b) in zip(STAGES, pairwise([0, *ends]), strict=True)
    }
    channels = {}
    for name, stage in stages.items():
        channels[name] = [m for m in stage.modules() if isinstance(m, nn.Conv2d)][-1].out_channels
    if last_stride == 1:
        stages["conv5"] = stages["conv5"][:-1]  # type: ignore[index]
    return Backbone(stages, channels)


def _vgg16() -> VGG:
    return VGG(tv.vgg.cfgs["D"])


def _vgg_tiny() -> VGG:
    """One convolution a block, narrow."""
    return VGG(VGG.TINY, norm=True)


def _resnet50_m() -> nn.Module:
    return tv.resnet50(replace_stride_with_dilation=[False, True, True])


# name -> (network, how it is cut into stages, torchvision's name for its ImageNet weights)
_Build = tuple[Callable[[], nn.Module], Callable[[Any, int], Backbone], str | None]
BACKBONES: dict[str, _Build] = {
    "resnet50": (tv.resnet50, _from_resnet, "ResNet50_Weights.IMAGENET1K_V1"),
    "resnet50_m": (_resnet50_m, _from_resnet, "ResNet50_Weights.IMAGENET1K_V1"),
    "resnet18": (tv.resnet18, _from_resnet, "ResNet18_Weights.IMAGENET1K_V1"),
    "mobilenet_v2": (tv.mobilenet_v2, _from_mobilenet, "MobileNet_V2_Weights.IMAGENET1K_V1"),
    "tiny": (Tiny, _from_resnet, None),
    "vgg16": (_vgg16, _from_vgg, "VGG16_Weights.IMAGENET1K_V1"),
    "vgg_tiny": (_vgg_tiny, _from_vgg, None),
}


def check_backbone(name: str) -> None:
    """Raises ReidError for an unknown name; timm's own are looked up when they are built."""
    if name not in BACKBONES and not name.startswith(timm_backbone.PREFIX):
        raise ReidError(f'unknown backbone "{name}"{nearest(name, BACKBONES)}')


def fetch_imagenet(name: str) -> None:
    """Downloads the ImageNet weights of a backbone, unless they are cached.

    Raises ReidError if it has none, or if they cannot be had.
    """
    check_backbone(name)
    if name in BACKBONES:  # timm has a cache of its own
        imagenet_state(name, BACKBONES[name][2])


def imagenet_file(name: str) -> Path | None:
    """Where torchvision keeps the ImageNet weights of a backbone, once they are downloaded; None if
    it has none, and for timm's."""
    enum = BACKBONES[name][2] if name in BACKBONES else None
    if enum is None:
        return None
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(tv.get_weight(enum).url).name


def build_backbone(name: str, weights: str | None = None, *, last_stride: int = 1) -> Backbone:
    """A backbone by name: one of ``BACKBONES``, or ``timm:NAME`` (see ``timm_backbone``).

    weights: ``None`` (random), ``"imagenet"`` (torchvision's IMAGENET1K_V1), ``"start"`` (the
    package's own, of people drawn elsewhere), or the path of a safetensors or pth file with
    torchvision's names or of a baseline's run. last_stride: of conv5, 1 or 2.
    Raises ReidError for unknown names and for weights that are not there or do not fit.
    """
    check_backbone(name)
    if last_stride not in (1, 2):
        raise ReidError(f"last_stride is {last_stride}, not 1 or 2")
    if name.startswith(timm_backbone.PREFIX):
        cut_up = Backbone(*timm_backbone.stages_of(name, weights, last_stride))
        if timm_backbone.is_run(weights):
            load_weights(cut_up, str(weights), name, None, cut_up)
        return cut_up
    if last_stride == 2 and name == "resnet50_m":
        raise ReidError("resnet50_m dilates conv5 instead of striding: its last_stride is 1")
    make, cut, imagenet = BACKBONES[name]
    net = make()
    found = cut(net, last_stride)  # the same modules under other names
    if weights is not None:
        load_weights(net, weights, name, imagenet, found)
    return found


def map_shape(backbone: Backbone, size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of the backbone's map of an image of ``size``, found by sending one through."""
    with torch.no_grad():
        training = backbone.training
        shape = backbone.eval()(torch.zeros(1, 3, *size)).shape
        backbone.train(training)
    return int(shape[2]), int(shape[3])


def torchvision_state(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A backbone's ``state_dict`` in torchvision's names, without a classifier."""
    make, cut, _ = BACKBONES[name]
    net = make()
    cut(net, 1).load_state_dict(state)
    return {key: value for key, value in net.state_dict().items() if not key.startswith(HEADS)}
