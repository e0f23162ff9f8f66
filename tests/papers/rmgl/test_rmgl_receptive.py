"""What is calculated with Eqs. 5 and 6 is what gradients reach."""

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.models import build
from reidlib.models.backbone import build_backbone
from reidlib.papers.rmgl.receptive import (
    PARTITIONS,
    extent,
    field,
    footprint,
    measure,
    profiles,
    reach,
    region,
    regions,
    row_centres,
)


def rmgl(**options):
    torch.manual_seed(0)
    return build("rmgl", 4, backbone="tiny", size=(96, 32), **options)


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 96, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("branch", [0, 1])
def test_eq_6_is_what_a_stripe_sees(images, branch):
    """With random weights: exactly, to the row, for every partition and stripe."""
    model = rmgl().train()
    found = profiles(model, images, branch)
    assert list(found) == list(PARTITIONS)
    table = measure(model, found)
    assert len(table) == len(PARTITIONS) * model.stripes[branch]
    assert (table.measured_first == table["first"]).all()
    assert (table.measured_last == table["last"]).all()
    assert (table.measured <= table.region).all()
    assert (table.effective < table.measured).all()
    inside = table[table["last"] - table["first"] + 1 == table.region]
    assert set(inside.partition) >= {"IP"}  # there Eq. 6 is not clipped
    assert model.training  # as it was
    assert model.paths == ("original", "receptive")
    assert model.split == "conv2"


def test_rows_beyond_the_region_do_not_change_a_stripe(images):
    """The same once more without gradients: for the paper's cut, in the middle stripe of three."""
    model = rmgl(stripes=(3,)).eval()
    first, last = regions(model, "conv2", 3, 96)[1]
    outside = torch.ones(96, dtype=torch.bool)
    outside[first : last + 1] = False
    other = images.clone()
    other[:, :, outside] = 0
    with torch.no_grad():
        a, b = (model.maps(x)[0, "receptive"].unflatten(2, (3, -1)) for x in (images, other))
    assert torch.equal(a[:, :, 1], b[:, :, 1])
    assert not torch.equal(a[:, :, 0], b[:, :, 0])


def test_region_of_the_paper():
    net = build_backbone("resnet50")
    assert region(net, "conv2", 2, 384) == 35 + (96 // 2 - 1) * 4
    assert region(net, "conv5", 3, 384) == 363 + (24 // 3 - 1) * 16
    assert regions(net, "input", 3, 384) == [(0, 127), (128, 255), (256, 383)]
    assert regions(net, "conv2", 2, 384) == [(0, 205), (175, 383)]
    assert region(rmgl(), "conv3", 2, 96) == region(build_backbone("tiny"), "conv3", 2, 96)


def test_reach_of_every_cut():
    found = reach(build_backbone("resnet50"), [2, 3], 384)
    assert found.loc["conv5"].tolist() == [363, 24, 363 + 11 * 16, 363 + 7 * 16]
    assert found.loc["input"].tolist() == [1, 384, 192, 128]
    assert found["region, 3 stripes"].is_monotonic_increasing  # later cuts see more


def test_footprint_depends_on_its_arguments_alone(images):
    model = rmgl()
    one = footprint(model, images, 0, "receptive", 1)
    assert torch.equal(one, footprint(model, images, 0, "receptive", 1))
    assert not torch.equal(one, footprint(model, images, 0, "receptive", 1, seed=1))
    assert not images.requires_grad


def test_extent():
    profile = torch.tensor([0.0, 1, 0, 6, 2, 1, 0])
    assert extent(profile) == (1, 5)
    assert extent(profile, 0.8) == (3, 4)
    assert extent(profile, 0.5) == (3, 3)
    with pytest.raises(ReidError, match="zero everywhere"):
        extent(torch.zeros(4))


def test_bad_input():
    net = build_backbone("tiny")
    with pytest.raises(ReidError, match='did you mean "conv2"'):
        field(net, "conv22")
    with pytest.raises(ReidError, match="6 rows: too few for 7 stripes"):
        region(net, "conv5", 7, 96)


def test_a_cut_that_does_not_divide_is_left_out(images):
    """The last map has 6 rows: 4 stripes by adaptive pooling, but no cut of conv4's 6 rows."""
    model = rmgl(stripes=(4,))
    found = profiles(model, images)
    assert "OP" in found
    assert "RP conv4" not in found
    table = measure(model, found)
    assert (table.measured_last == table["last"]).all()


def test_rows_of_stripes_that_are_convolved_alone():
    """96 pixels are 24 rows at conv2; each of 4 stripes has 6 of them, which become 3, then 2."""
    even = row_centres(rmgl(), 2, "receptive", 96)
    assert even.tolist() == row_centres(rmgl(), 2, "original", 96).tolist()
    model = rmgl(stripes=(4,))
    odd = row_centres(model, 4, "receptive", 96)
    assert odd.tolist() == [0, 16, 24, 40, 48, 64, 72, 88]
    with torch.no_grad():
        last = model.eval().maps(torch.zeros(1, 3, 96, 32))[0, "receptive"]
    assert last.shape[2] == len(odd)
