"""Reading: the compiled pass, torch's way, and slow references that crop, resize and paste."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from reidlib.data import augment
from reidlib.data import read as reading
from reidlib.data.bank import MEAN, STD, ImageBank
from reidlib.geometry import compose, identity, sample

SIZE = (40, 20)


@pytest.fixture
def bank() -> ImageBank:
    data = torch.randint(0, 256, (12, 3, *SIZE), dtype=torch.uint8)
    split = pd.DataFrame({"path": "", "pid": range(12), "cam": 1})
    return ImageBank(data, split, torch.device("cpu"), "device")


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(reading, "_kernel", lambda: None)
    else:
        pytest.importorskip("numba")
        assert reading._kernel() is not None
    return request.param


def random_theta(n: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return compose(augment.pad_crop(n, rng, SIZE, 0.1), augment.mirror(n, rng))


def test_reading_is_sampling(bank, way):
    index = torch.tensor([3, 0, 11, 3, 7, 2])
    theta = random_theta(6)
    theta[:, 0, 0] *= torch.linspace(0.5, 1.5, 6)  # also stretched, beyond the image too
    theta[:, 1, 2] += torch.linspace(-0.7, 0.7, 6)
    expected = sample(bank.images(index), theta)
    torch.testing.assert_close(reading.read(bank, index, theta), expected, atol=2e-4, rtol=0)


@pytest.mark.parametrize("draw", [augment.random_shift, augment.crop_resize_shift])
def test_a_placed_crop_is_cropped_resized_and_pasted(bank, way, draw):
    n = 12
    placed = draw(n, np.random.default_rng(5), SIZE)
    out = reading.read(bank, torch.arange(n), identity(n), placed)
    grey = (0.5 - torch.tensor(MEAN)) / torch.tensor(STD)
    scale = torch.tensor([SIZE[1], SIZE[0]] * 2)
    for i in range(n):
        x0, y0, x1, y1 = ((placed.source[i] + 1) / 2 * scale).round().int().tolist()
        crop = bank.images(torch.tensor([i]))[:, :, y0:y1, x0:x1]
        # where the whole patch would lie, also beyond the frame
        t = placed.theta[i]
        width, height = (x1 - x0) / t[0, 0], (y1 - y0) / t[1, 1]
        left = ((-1 - t[0, 2] + placed.source[i, 0] + 1) / t[0, 0] + 1) / 2 * SIZE[1]
        top = ((-1 - t[1, 2] + placed.source[i, 1] + 1) / t[1, 1] + 1) / 2 * SIZE[0]
        h, w, left, top = (round(float(v)) for v in (height, width, left, top))
        patch = F.interpolate(crop, (h, w), mode="bilinear", align_corners=False)[0]
        frame = grey.reshape(3, 1, 1).repeat(1, *SIZE)
        for r in range(h):
            for c in range(w):
                if 0 <= top + r < SIZE[0] and 0 <= left + c < SIZE[1]:
                    frame[:, top + r, left + c] = patch[:, r, c]
        torch.testing.assert_close(out[i], frame, atol=2e-3, rtol=0)


def test_mirror_then_shift_is_one_reading(bank, way):
    n = 6
    theta, index = random_theta(n), torch.arange(n)
    placed = augment.random_shift(n, np.random.default_rng(1), SIZE)
    out = reading.read(bank, index, theta, placed)
    moved = sample(bank.images(index), theta)
    data = (moved * torch.tensor(STD).reshape(3, 1, 1) + torch.tensor(MEAN).reshape(3, 1, 1)) * 255
    # crop and shift of the already moved image; padding is exact only where it was kept as bytes
    inside = (data - data.round()).abs() < 1e-2
    second = ImageBank(data.round().clamp(0, 255).to(torch.uint8), pd.DataFrame(
        {"path": "", "pid": range(n), "cam": 1}), torch.device("cpu"), "device")  # fmt: skip
    again = reading.read(second, index, identity(n), placed)
    assert inside.float().mean() > 0.7
    assert (out - again).abs().mean() < 0.01


def test_the_mapped_tier_reads_the_same(bank, way):
    array = bank.bytes().copy()
    split = pd.DataFrame({"path": "", "pid": range(12), "cam": 1})
    mapped = ImageBank(array, split, torch.device("cpu"), "mmap")
    theta, index = random_theta(6), torch.arange(6)
    placed = augment.random_shift(6, np.random.default_rng(1), SIZE)
    assert torch.equal(
        reading.read(mapped, index, theta, placed), reading.read(bank, index, theta, placed)
    )


def test_the_compiled_reader_leaves_torch_its_number_of_threads():
    """Both share one OpenMP, in which numba's start sets the number of threads."""
    pytest.importorskip("numba")
    code = """
import pandas as pd
import torch
from reidlib.data.bank import ImageBank
from reidlib.data.read import read
from reidlib.geometry import identity

torch.set_num_threads(1)
split = pd.DataFrame({"path": "", "pid": range(2), "cam": 1})
bank = ImageBank(torch.zeros(2, 3, 8, 4, dtype=torch.uint8), split, torch.device("cpu"), "device")
read(bank, torch.arange(2), identity(2))
print(torch.get_num_threads())
"""
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize("threads", [1, 2])
def test_reading_leaves_torch_the_number_of_threads_it_has_now(bank, threads):
    pytest.importorskip("numba")
    before = torch.get_num_threads()
    theta, index = random_theta(6), torch.arange(6)
    try:
        torch.set_num_threads(3 - threads)
        reading.read(bank, index, theta)
        torch.set_num_threads(threads)
        reading.read(bank, index, theta)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
