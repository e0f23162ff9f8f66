"""Backbones: the papers' map sizes, torchvision's numbers and parameters, stages that add up."""

import pytest
import torch
import torchvision.models as tv
from torch import nn

from reidlib.errors import ReidError
from reidlib.models.backbone import STAGES, build_backbone
from reidlib.models.base import count_parameters


def shapes(name: str, size: tuple[int, int], **options) -> dict[str, tuple[int, ...]]:
    """Channels, height and width after each stage; on torch's "meta" device, without computing."""
    with torch.device("meta"):
        backbone = build_backbone(name, **options)
        x = torch.empty(2, 3, *size)
    found = {}
    for stage in STAGES:
        x = backbone(x, start=stage, end=stage)
        assert x.shape[1] == backbone.channels[stage]
        found[stage] = tuple(x.shape[1:])
    assert backbone.out_channels == x.shape[1]
    return found


def test_resnet50_o_gives_24x8():
    assert shapes("resnet50", (384, 128)) == {
        "stem": (64, 96, 32),
        "conv2": (256, 96, 32),
        "conv3": (512, 48, 16),
        "conv4": (1024, 24, 8),
        "conv5": (2048, 24, 8),
    }


def test_resnet50_m_gives_48x16():
    found = shapes("resnet50_m", (384, 128))
    assert found["conv3"] == (512, 48, 16)
    assert found["conv4"] == (1024, 48, 16)
    assert found["conv5"] == (2048, 48, 16)


@pytest.mark.parametrize(
    ("name", "channels"), [("resnet18", 512), ("mobilenet_v2", 1280), ("tiny", 1024)]
)
def test_the_others_have_the_maps_of_resnet50(name, channels):
    found = shapes(name, (384, 128))
    sides = [shape[1:] for shape in found.values()]
    assert sides[1:] == [(96, 32), (48, 16), (24, 8), (24, 8)]
    assert found["conv5"][0] == channels


@pytest.mark.parametrize("name", ["resnet50", "resnet18", "mobilenet_v2", "tiny"])
def test_last_stride_2_halves_the_map(name):
    assert shapes(name, (384, 128), last_stride=2)["conv5"][1:] == (12, 4)


def test_dilation_of_resnet50_m():
    with torch.device("meta"):
        backbone = build_backbone("resnet50_m")
    spread = {
        stage: {m.dilation for m in getattr(backbone, stage).modules() if is_3x3(m)}
        for stage in STAGES[1:]
    }
    assert spread["conv2"] == spread["conv3"] == {(1, 1)}
    assert max(spread["conv4"]) == (2, 2)
    assert max(spread["conv5"]) == (4, 4)
    assert {m.stride for m in backbone.conv5.modules() if isinstance(m, nn.Conv2d)} == {(1, 1)}


def is_3x3(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)


def test_resnet50_o_is_not_dilated():
    with torch.device("meta"):
        backbone = build_backbone("resnet50")
    assert {m.dilation for m in backbone.modules() if isinstance(m, nn.Conv2d)} == {(1, 1)}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # torchvision's published numbers less the ImageNet classifier
        ("resnet50", 25_557_032 - 2_049_000),
        ("resnet50_m", 25_557_032 - 2_049_000),
        ("resnet18", 11_689_512 - 513_000),
        ("mobilenet_v2", 3_504_872 - 1_281_000),
    ],
)
def test_parameters_are_torchvisions(name, parameters):
    with torch.device("meta"):
        assert count_parameters(build_backbone(name)) == parameters


def test_tiny_is_a_small_bottleneck_resnet_with_two_blocks_in_conv4():
    backbone = build_backbone("tiny")
    assert len(backbone.conv4) >= 2
    for stage in STAGES[1:]:
        for block in getattr(backbone, stage):
            kernels = [block.conv1, block.conv2, block.conv3]
            assert [conv.kernel_size[0] for conv in kernels] == [1, 3, 1]
    assert count_parameters(backbone) < 3e6


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "tiny"])
def test_stages_in_a_row_are_the_whole(name):
    backbone = build_backbone(name).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        whole = backbone(x)
        step = x
        for stage in STAGES:
            step = backbone(step, start=stage, end=stage)
        halves = backbone(backbone(x, end="conv3"), start="conv4")
    assert torch.equal(whole, step)
    assert torch.equal(whole, halves)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_with_its_own_stride_it_computes_what_torchvision_computes(name):
    torch.manual_seed(5)
    backbone = build_backbone(name, last_stride=2).eval()
    torch.manual_seed(5)
    net = getattr(tv, name)().eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        pooled = backbone(x).mean((2, 3))
        head = net.fc if name == "resnet18" else net.classifier
        torch.testing.assert_close(head(pooled), net(x))


def test_taking_the_stride_out_leaves_the_weights_alone():
    torch.manual_seed(5)
    one = build_backbone("tiny", last_stride=1)
    torch.manual_seed(5)
    two = build_backbone("tiny", last_stride=2)
    assert one.state_dict().keys() == two.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    x = torch.randn(1, 3, 64, 32)
    with torch.inference_mode():  # stages before conv5 do not differ
        assert torch.equal(one.eval()(x, end="conv4"), two.eval()(x, end="conv4"))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "tiny"])
def test_every_parameter_is_trained(name):
    backbone = build_backbone(name)
    backbone(torch.randn(2, 3, 64, 32)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.parameters())


def test_bad_values():
    with pytest.raises(ReidError, match='unknown backbone "resnet_50", did you mean "resnet50"'):
        build_backbone("resnet_50")
    with pytest.raises(ReidError, match="last_stride is 3, not 1 or 2"):
        build_backbone("tiny", last_stride=3)
    with pytest.raises(ReidError, match="resnet50_m dilates conv5"):
        build_backbone("resnet50_m", last_stride=2)
