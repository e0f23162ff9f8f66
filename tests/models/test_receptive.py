"""Where a map's cells lie and what they see is what gradients and bright pixels say."""

import pytest
import torch
from torch import nn

from reidlib.errors import ReidError
from reidlib.models.attention import insert_attention
from reidlib.models.backbone import BACKBONES, STAGES, build_backbone
from reidlib.models.receptive import (
    Field,
    edges,
    map_length,
    overlay,
    path_to,
    receptive_field,
)

SAME = {"resnet50": 16, "resnet18": 16, "mobilenet_v2": 16, "tiny": 16, "resnet50_m": 8}


def fields(net) -> list[tuple[int, int]]:
    return [receptive_field(*path_to(net, stage))[:2] for stage in STAGES]


def test_the_papers_receptive_field():
    """RMGL III-A: 363, which needs the stride on the 3x3 and a last stride of 1."""
    net = build_backbone("resnet50", last_stride=1)
    assert fields(net) == [(11, 4), (35, 4), (91, 8), (267, 16), (363, 16)]
    assert receptive_field(*path_to(net, "input")) == (1, 1, 0)
    for stage in ("conv3", "conv4"):  # as the ResNet's authors have it: the stride on the 1x1
        block = getattr(net, stage)[0]
        block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    assert receptive_field(net)[:2] == (387, 16)


def test_dilation_counts():
    net = build_backbone("resnet50_m")
    # from 91 at conv3: one 3x3 plain, five with dilation 2; one with 2, two with 4; all 8 apart
    assert fields(net)[3] == (91 + 8 * 2 * (1 + 5 * 2), 8)
    assert fields(net)[4] == (91 + 8 * 2 * (1 + 5 * 2 + 2 + 2 * 4), 8)


def test_cells_of_padded_odd_kernels_lie_at_multiples_of_the_stride():
    for name, stride in SAME.items():
        assert receptive_field(build_backbone(name))[1:] == (stride, 0)
    # 2x2 poolings without padding: half a pixel further with each, at its own scale
    assert receptive_field(build_backbone("vgg16"))[1:] == (16, 0.5 + 1 + 2 + 4)
    assert receptive_field(build_backbone("vgg_tiny", last_stride=2))[1:] == (32, 15.5)
    assert set(BACKBONES) == {*SAME, "vgg16", "vgg_tiny"}


def test_attention_does_not_move_cells():
    plain = build_backbone("tiny")
    for kind in ("se", "residual"):
        net = build_backbone("tiny")
        insert_attention(net, kind)
        assert receptive_field(net).offset == receptive_field(plain).offset
        assert receptive_field(net).stride == receptive_field(plain).stride


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("tiny", "conv5"),
        ("resnet18", "conv4"),
        ("mobilenet_v2", "conv3"),
        ("resnet50_m", "conv4"),
        ("vgg_tiny", "conv5"),
    ],
)
def test_a_cells_gradient_lies_around_its_centre(name, end):
    """Its support, exactly: as many rows as Eq. 5 says, and as many above the centre as below."""
    torch.manual_seed(0)
    net = build_backbone(name).eval()
    x = torch.randn(2, 3, 416, 64, requires_grad=True)
    y = net(x, end=end)
    field = receptive_field(*path_to(net, end))
    assert y.shape[2] == map_length(416, *path_to(net, end))
    assert y.shape[3] == map_length(64, *path_to(net, end))
    cell = y.shape[2] // 2
    y[:, :, cell].sum().backward()
    rows = torch.nonzero(x.grad.abs().sum((0, 1, 3))).flatten()
    assert rows[-1] - rows[0] + 1 == field.size
    assert (rows[-1] + rows[0]) / 2 == field.centres(y.shape[2])[cell]


def respond(net) -> nn.Module:
    """Weights with which a bright pixel gives one bright spot: what strides is a binomial filter,
    all else passes its cell on."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            row = torch.zeros(layer.kernel_size[0])
            row[len(row) // 2] = 1
            if layer.stride[0] > 1 and len(row) > 1:
                row = torch.ones(1)
                for _ in range(layer.kernel_size[0] - 1):
                    row = torch.conv1d(row[None], torch.ones(1, 1, 2), padding=1)[0]
            weight = torch.outer(row, row) / row.sum() ** 2 / layer.weight.shape[1]
            layer.weight.data = weight.expand_as(layer.weight).clone()
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net.eval()


@pytest.mark.parametrize("name", ["tiny", "resnet18", "mobilenet_v2", "resnet50_m", "vgg_tiny"])
def test_a_network_that_responds_to_a_bright_pixel_lights_that_pixel(name):
    net = respond(build_backbone(name))
    field, size = receptive_field(net), (96, 48)
    places = [(24, 18), (37, 20), (45, 30), (58, 25), (70, 34)]
    images = torch.zeros(len(places), 3, *size)
    for image, (y, x) in zip(images, places, strict=True):
        image[:, y, x] = 1
    with torch.no_grad():
        heat = overlay(net(images).mean(1), field, size)
    for (y, x), one in zip(places, heat, strict=True):
        row, column = divmod(int(one.argmax()), size[1])
        assert abs(row - y) <= field.stride / 2
        assert abs(column - x) <= field.stride / 2


def test_overlay_passes_through_the_cells_and_is_constant_beyond():
    maps = torch.tensor([[[0.0, 4.0], [8.0, 2.0]]])
    heat = overlay(maps, Field(1, 4, 1), (7, 8))
    assert heat.shape == (1, 7, 8)
    assert heat[0, 1, [0, 1, 3, 5, 7]].tolist() == [0, 0, 2, 4, 4]
    assert heat[0, [0, 1, 2, 5, 6], 1].tolist() == [0, 0, 2, 8, 8]
    assert heat[0, 3, 3] == 3.5  # in the middle of all four
    one = overlay(torch.full((1, 1), 3.0), Field(9, 16, 0), (5, 4))
    assert (one == 3).all()
    uneven = overlay(maps, Field(1, 4, 1), (7, 8), rows=torch.tensor([0.0, 6.0]))
    assert uneven[0, :, 0].tolist() == pytest.approx([0, 8 / 6, 16 / 6, 4, 32 / 6, 40 / 6, 8])


def test_edges_lie_half_way_between_centres():
    centres = Field(1, 16, 0).centres(6)
    assert edges(centres, 96).tolist() == [0, 8.5, 24.5, 40.5, 56.5, 72.5, 96]
    assert edges(centres[:1], 10).tolist() == [0, 10]


def test_bad_input():
    with pytest.raises(ReidError, match='did you mean "conv2"'):
        path_to(build_backbone("tiny"), "conv22")
    with pytest.raises(ReidError, match="square layers"):
        receptive_field(nn.Conv2d(3, 3, (3, 1)))
