"""Encoding a split: order, modes, mirror images; pooled tracklets."""

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.evaluate.encode import distance_blocks, encode_split
from reidlib.models.base import ReIDModel

SIZE = (8, 4)


class Tiny(ReIDModel):
    """Pixels through one convolution with batch norm and dropout."""

    size = SIZE

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 3), torch.nn.BatchNorm2d(6), torch.nn.Dropout(0.5)
        )
        self.calls = 0

    def encode(self, images):
        self.calls += len(images)
        assert not torch.is_grad_enabled()
        assert not any(module.training for module in self.modules())
        maps = self.body(images)
        return {"feature": maps.flatten(1), "map": maps}


class Bank:
    """The part of an image bank that evaluation uses."""

    def __init__(self, number, seed=0, size=SIZE):
        self.data = torch.randn(number, 3, *size, generator=torch.Generator().manual_seed(seed))
        self.size = size

    def __len__(self):
        return len(self.data)

    def images(self, index):
        return self.data[index]


def test_encoding_is_that_of_every_image_in_order():
    model, bank = Tiny(), Bank(11)
    model.train()
    model.body[2].eval()
    out = encode_split(model, bank, batch_size=4)
    assert [m.training for m in (model, model.body, model.body[1], model.body[2])] == [1, 1, 1, 0]
    with torch.no_grad():
        model.eval()
        whole = model.encode(bank.data)
    for key in ("feature", "map"):
        torch.testing.assert_close(out[key], whole[key])
    rows = torch.tensor([7, 2, 2])
    torch.testing.assert_close(encode_split(model, bank, rows=rows)["map"], whole["map"][rows])
    (out["feature"] * torch.ones(1, requires_grad=True)).sum().backward()  # a normal tensor


def test_a_model_that_fails_gets_its_mode_back():
    model = Tiny().train()
    with pytest.raises(IndexError):
        encode_split(model, Bank(5), rows=torch.tensor([9]))
    assert model.training
    assert torch.is_grad_enabled()


def test_flip_averages_what_the_model_allows():
    model, bank = Tiny().eval(), Bank(5)
    plain, flipped = encode_split(model, bank), encode_split(model, bank, flip=True)
    with torch.no_grad():
        mirrored = model.encode(bank.data.flip(3))
    torch.testing.assert_close(flipped["feature"], (plain["feature"] + mirrored["feature"]) / 2)
    torch.testing.assert_close(flipped["map"], plain["map"])
    model.mirror_averaged = ("feature", "map")
    again = encode_split(model, bank, flip=True)
    torch.testing.assert_close(again["map"], (plain["map"] + mirrored["map"]) / 2)


def test_half_precision_is_close_and_returned_in_full():
    model, bank = Tiny().eval(), Bank(5)
    full, half = encode_split(model, bank), encode_split(model, bank, amp=True)
    assert half["feature"].dtype == torch.float32
    assert not torch.equal(full["feature"], half["feature"])
    torch.testing.assert_close(full["feature"], half["feature"], atol=0.05, rtol=0.05)


def test_distances_are_in_full_precision():
    seen = []

    class Watching(Tiny):
        def distance(self, query, gallery):
            seen.append(torch.get_float32_matmul_precision())
            return super().distance(query, gallery)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        one = {"feature": torch.ones(1, 2)}
        list(distance_blocks(Watching(), one, one))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ["highest"]


def test_nothing_to_encode():
    with pytest.raises(ReidError, match="no images to encode"):
        encode_split(Tiny(), Bank(0))
