"""The way of an accelerator, without one: tensors without content that know their device.

An operation on tensors of two devices raises here as it would on the machine.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from reidlib.data import ImageBank, load
from reidlib.data.batches import Batches
from reidlib.data.sampler import IdentitySampler
from reidlib.evaluate.encode import cosine_blocks, encode_split
from reidlib.evaluate.ranking import match_ranks
from reidlib.models import ReIDModel, build
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe

OPTIONS = {"train_ids": 8, "test_ids": 6, "cameras": 2, "images": 2, "size": (64, 32)}
CUDA = torch.device("cuda:0")


@pytest.fixture(scope="module")
def host() -> ImageBank:
    return ImageBank.from_split(load("synthetic", **OPTIONS).train, (64, 32))


@pytest.fixture
def bank(host):
    """The bank of the pretended accelerator; its operations are pretended while a test runs."""
    split = load("synthetic", **OPTIONS).train
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield ImageBank(host._data.to(CUDA), split, CUDA, "device")


def batches(bank: ImageBank, **options) -> Batches:
    return Batches(bank, IdentitySampler(bank.pid, 4, 2), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"mirror": 0.0},
        {"pad_crop": 10 / 256, "erasing": 0.5},
        {"shifting": 0.5, "erasing": 0.5},
        {"crop_resize_shift": True, "jitter": 0.2, "erasing": 0.5},
    ],
)
def test_a_batch_is_wholly_on_the_accelerator(bank, options):
    batch = batches(bank, **options)(0)
    assert {tensor.device for tensor in vars(batch).values()} == {CUDA}
    assert batch.images.dtype == torch.float32
    assert batch.images.shape == (8, 3, 64, 32)


def on_accelerator() -> ReIDModel:
    with CUDA:
        return build("baseline", 8, backbone="tiny", size=(64, 32))


def test_losses_stay_on_the_accelerator(bank):
    losses = on_accelerator().loss(batches(bank, pad_crop=0.05)(0))
    assert {value.device for value in losses.values()} == {CUDA}
    assert {value.dtype for value in losses.values()} == {torch.float32}


def test_encodings_and_ranks_stay_on_the_accelerator(bank, monkeypatch):
    model = on_accelerator()
    monkeypatch.setattr(model, "to", lambda device: model)
    rows = torch.arange(9)
    feature = encode_split(model, bank, rows=rows, flip=True, batch_size=4)["feature"]
    assert (feature.device, feature.dtype, len(feature)) == (CUDA, torch.float32, 9)
    (distance,) = cosine_blocks(feature[:4], feature)
    column = torch.zeros(4, 3, dtype=torch.long, device=CUDA)
    right = torch.ones(4, 3, dtype=torch.bool, device=CUDA)
    assert {x.device for x in match_ranks(distance, column, right, ~right)} == {CUDA}


def test_bf16_trains_and_says_so(tmp_path):
    """With the CPU's autocast, which knows the same types."""
    recipe = Recipe(
        data_options=OPTIONS, backbone="tiny", size=(64, 32), ids_per_batch=4, images_per_id=2,
        steps=2, precision="bf16",
    )  # fmt: skip
    run = fit(recipe, device="cpu", store=tmp_path, progress=False)
    assert run.info["precision"] == "bf16"
    assert run.history.loss.notna().all()
