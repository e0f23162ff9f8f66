"""VGG-16 as a backbone of five stages, and the narrow one."""

import pytest
import torch
import torchvision.models as tv
from safetensors.torch import save_file

from reidlib.models.backbone import STAGES, VGG, build_backbone
from reidlib.models.base import count_parameters


def shapes(name: str, side: int, **options) -> list[tuple[int, ...]]:
    with torch.device("meta"):
        backbone = build_backbone(name, **options)
        x = torch.empty(2, 3, side, side)
    found = []
    for stage in STAGES:
        x = backbone(x, start=stage, end=stage)
        assert x.shape[1] == backbone.channels[stage]
        found.append(tuple(x.shape[1:]))
    assert backbone.out_channels == x.shape[1]
    return found


def test_224_pixels_give_7x7():
    assert shapes("vgg16", 224, last_stride=2) == [
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
    ]
    assert shapes("vgg16", 224)[-1] == (512, 14, 14)  # last stride 1, as all backbones by default


def test_the_tiny_one_has_its_map():
    sides = [shape[1:] for shape in shapes("vgg16", 64, last_stride=2)]
    assert [shape[1:] for shape in shapes("vgg_tiny", 64, last_stride=2)] == sides
    backbone = build_backbone("vgg_tiny")
    assert count_parameters(backbone) < 6e5


def test_parameters_are_torchvisions():
    with torch.device("meta"):
        backbone, net = build_backbone("vgg16"), tv.vgg16()
    assert count_parameters(backbone) == count_parameters(net.features) == 14_714_688


def test_it_computes_what_torchvision_computes(tmp_path):
    net = VGG(tv.vgg.cfgs["D"])
    with torch.device("meta"):
        whole = tv.vgg16()
    assert {k: v.shape for k, v in net.state_dict().items()} == {
        k: v.shape for k, v in whole.state_dict().items() if k.startswith("features.")
    }
    file = tmp_path / "vgg16.safetensors"
    save_file({**net.state_dict(), "classifier.0.bias": torch.zeros(1)}, file)
    backbone = build_backbone("vgg16", str(file), last_stride=2).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(backbone(x), net.features(x))


@pytest.mark.parametrize("last_stride", [1, 2])
def test_every_parameter_of_the_tiny_one_is_trained(last_stride):
    backbone = build_backbone("vgg_tiny", last_stride=last_stride)
    x = torch.randn(2, 3, 64, 64)
    backbone(x).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in backbone.parameters())
