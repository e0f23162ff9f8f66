"""The image bank: pixels against references, tiers against each other, files that do not decode."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import reidlib.data.decode as decoding
from reidlib.data.bank import SHARED_BY, ImageBank, choose_tier, denormalise
from reidlib.data.batches import Batches
from reidlib.data.decode import decode
from reidlib.data.sampler import IdentitySampler
from reidlib.errors import ReidError
from reidlib.geometry import box_to_theta, sample
from reidlib.system.files import cache_dir

SIZE = (16, 10)
no_accelerator = pytest.mark.skipif(torch.cuda.is_available(), reason="there is an accelerator")


def one_axis(pixels: np.ndarray, length: int, low: float, high: float) -> np.ndarray:
    """Axis 0 of [S, ...] resized by a triangle as wide as an output pixel, or a source pixel."""
    step = (high - low) / length
    width = max(step, 1.0)
    out = np.zeros((length, *pixels.shape[1:]))
    for i in range(length):
        centre = low + (i + 0.5) * step
        weights = np.array(
            [max(0.0, 1 - abs(k + 0.5 - centre) / width) for k in range(len(pixels))]
        )
        out[i] = np.tensordot(weights / weights.sum(), pixels, 1)
    return out


def slow_decode(path: str, size: tuple[int, int], box=(-1, -1, 1, 1)) -> np.ndarray:
    """Antialiased, then cut out and enlarged, by the definition, in floating point."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(float)
    pixels = one_axis(pixels, size[0], 0, len(pixels))
    pixels = one_axis(pixels.swapaxes(0, 1), size[1], 0, pixels.shape[1]).swapaxes(0, 1)
    height, width = size
    left, right = (box[0] + 1) / 2 * width, (box[2] + 1) / 2 * width
    top, bottom = (box[1] + 1) / 2 * height, (box[3] + 1) / 2 * height
    x, y = math.floor(left), math.floor(top)
    pixels = pixels[y : math.ceil(bottom), x : math.ceil(right)]
    pixels = one_axis(pixels, size[0], top - y, bottom - y)
    return one_axis(pixels.swapaxes(0, 1), size[1], left - x, right - x).swapaxes(0, 1)


BOXES = [
    (-1, -1, 1, 1),
    (-1, -1, 1, 0.2),
    (-0.3, -1, 1, 1),
    (-0.51, -0.33, 0.77, 0.9),
    (0, 0, 1, 1),
]


@pytest.mark.parametrize("size", [(16, 10), (40, 20), (7, 30)])
@pytest.mark.parametrize("box", BOXES)
def test_decode_equals_the_slow_definition(tmp_path, draw, size, box):
    path = str(draw(tmp_path / "x.png", (31, 17)))
    found = decode(path, size, box).astype(float)
    assert np.abs(found - slow_decode(path, size, box)).max() <= 2.0  # PIL rounds four times


def test_a_partial_probe_is_as_sharp_as_the_partial_images_of_training(split):
    box = torch.tensor([[-1.0, -1.0, 1.0, 0.1]])  # 0.55 of the image
    test = ImageBank.from_split(split[:1].assign(box=[tuple(box[0].tolist())]), SIZE)
    whole = ImageBank.from_split(split[:1], SIZE).images(slice(0, 1))
    training = sample(whole, box_to_theta(box))
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))  # zeros lie beyond the edge
    assert torch.allclose(test.images(slice(0, 1))[inside], training[inside], atol=0.05)


def test_without_a_box_the_pixels_are_those_of_pil(split):
    bank = ImageBank.from_split(split, SIZE)
    raw = bank.raw(slice(None))
    assert raw.dtype == torch.uint8
    assert raw.shape == (12, 3, *SIZE)
    for i, path in enumerate(split.path):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((10, 16), Image.Resampling.BILINEAR)
        assert np.array_equal(raw[i].permute(1, 2, 0), np.asarray(small))


def test_the_original_size_is_not_resampled(tmp_path, draw):
    path = draw(tmp_path / "x.png", (24, 12), seed=5)
    with Image.open(path) as image:
        assert np.array_equal(decode(str(path), (24, 12)), np.asarray(image))


def test_nothing_of_what_is_cut_off_shows(tmp_path):
    """But for what resizing to the network's size blends at the border, as in training."""
    for height, width in ((40, 20), (8, 4)):
        pixels = np.full((height, width, 3), 255, np.uint8)
        pixels[: height // 2, : width // 2] = 0
        Image.fromarray(pixels).save(tmp_path / "x.png")
        assert decode(str(tmp_path / "x.png"), (height, width), (-1, -1, 0, 0)).max() == 0
        assert decode(str(tmp_path / "x.png"), (height, width), (0, 0, 1, 1)).min() == 255


def test_each_row_has_its_own_box(split):
    boxes = [(-1.0, -1.0, 1.0, 0.1 * i - 0.5) for i in range(12)]
    bank = ImageBank.from_split(split.assign(box=boxes), SIZE)
    for i in (0, 5, 11):
        expected = decode(split.path[i], SIZE, boxes[i]).transpose(2, 0, 1)
        assert np.array_equal(bank.raw(slice(i, i + 1))[0], expected)
    whole = ImageBank.from_split(split, SIZE)
    assert not torch.equal(bank.raw(slice(None)), whole.raw(slice(None)))


def test_grey_and_palette_images_become_rgb(tmp_path):
    grey = np.arange(24 * 12, dtype=np.uint8).reshape(24, 12)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    for name in ("grey.png", "palette.png"):
        found = decode(str(tmp_path / name), (24, 12))
        assert np.array_equal(found, np.repeat(grey[:, :, None], 3, 2))


def test_images_are_normalised_by_the_formula(split):
    bank = ImageBank.from_split(split, SIZE)
    index = torch.tensor([3, 3, 0])
    images = bank.images(index)
    assert images.dtype == torch.float32
    for c, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)):
        expected = (bank.raw(index)[:, c].double() / 255 - mean) / std
        torch.testing.assert_close(images[:, c].double(), expected, atol=1e-5, rtol=1e-5)
    back = denormalise(images) * 255
    torch.testing.assert_close(back, bank.raw(index).float(), atol=1e-3, rtol=0)
    assert denormalise(torch.full((3, 2, 2), 9.0)).max() == 1


def test_reading_leaves_the_bank_as_it_was(split):
    bank = ImageBank.from_split(split, SIZE)
    before = bank.raw(slice(None)).clone()
    bank.images(slice(0, 4)).zero_()
    bank.images(torch.tensor([0, 1])).zero_()
    assert torch.equal(bank.raw(slice(None)), before)


@pytest.mark.parametrize("tier", ["device", "mmap"])
def test_labels_sizes_and_blocks(split, tier):
    bank = ImageBank.from_split(split, SIZE, tier=tier)
    assert (len(bank), bank.size, bank.tier, bank.device.type) == (12, SIZE, tier, "cpu")
    assert bank.pid.tolist() == split.pid.tolist()
    assert bank.cam.tolist() == split.cam.tolist()
    assert [(s.start, s.stop) for s in bank.blocks(5)] == [(0, 5), (5, 10), (10, 12)]


def test_the_tiers_give_the_same_bytes(split):
    tiers = ["device", "mmap"] + (["pinned"] if torch.cuda.is_available() else [])
    banks = [ImageBank.from_split(split, SIZE, tier=tier) for tier in tiers]
    order = np.array([11, 0, 4, 4])
    for index in (slice(None), slice(2, 7), order, torch.from_numpy(order)):
        first, *others = (bank.raw(index) for bank in banks)
        assert first.shape[0] == len(range(12)[index] if isinstance(index, slice) else order)
        assert all(torch.equal(first, other) for other in others)
        first, *others = (bank.images(index) for bank in banks)
        assert all(torch.equal(first, other) for other in others)


@no_accelerator
def test_pinned_needs_an_accelerator(split):
    with pytest.raises(ReidError, match='tier="pinned" needs an accelerator'):
        ImageBank.from_split(split, SIZE, tier="pinned")


def test_an_unknown_tier(split):
    with pytest.raises(ReidError, match='unknown tier "mmapp", did you mean "mmap"'):
        ImageBank.from_split(split, SIZE, tier="mmapp")


@pytest.fixture
def memory(monkeypatch):
    """Sets the bytes of the machine, and of its accelerator: free, reserved by torch, allocated."""

    def sizes(host: int, free: int = 0, reserved: int = 0, allocated: int = 0) -> None:
        pages = {"SC_PHYS_PAGES": host // 10, "SC_PAGE_SIZE": 10}
        monkeypatch.setattr(os, "sysconf", pages.__getitem__)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 4_000_000))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: reserved)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: allocated)

    return sizes


def tiers(device: str, *num_bytes: int) -> list[str]:
    return [choose_tier(n, torch.device(device)) for n in num_bytes]


def test_the_tier_is_chosen_by_size(memory, split):
    memory(10_000, free=2000)
    assert tiers("cpu", 999, 4999, 5000) == ["device", "device", "mmap"]
    # page-locked images are in memory twice while they are copied there
    assert tiers("cuda", 999, 1000, 2499, 2500) == ["device", "pinned", "pinned", "mmap"]
    # 12 images of 480 bytes
    assert ImageBank.from_split(split, SIZE).tier == "mmap"
    assert ImageBank.from_split(split.head(10), SIZE).tier == "device"


def test_what_the_accelerator_holds_the_machine_decodes_first(memory):
    memory(10_000, free=1_000_000)
    assert tiers("cuda", 4999, 5000) == ["device", "mmap"]


def test_torchs_own_cache_is_free(memory):
    memory(100_000, free=2000, reserved=8000, allocated=2000)
    assert tiers("cuda", 3999, 4000) == ["device", "pinned"]


def test_of_a_shared_accelerator_a_process_takes_half_of_its_share(memory, monkeypatch):
    """Four that ask at once all find the same memory free."""
    memory(10**9, free=4_000_000)
    monkeypatch.setenv(SHARED_BY, "4")
    assert tiers("cuda", 499_999, 500_000) == ["device", "pinned"]
    memory(10**9, free=3_500_000, reserved=500_000, allocated=400_000)  # the queries are there
    assert tiers("cuda", 299_999, 300_000) == ["device", "pinned"]


def bank_files() -> list:
    return sorted(p for p in (cache_dir() / "banks").glob("*") if p.suffix != ".lock")


def test_the_file_of_a_bank_is_used_again(split, tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))
    first = ImageBank.from_split(split, SIZE, tier="mmap").raw(slice(None))
    (file,) = bank_files()
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "decode", lambda *_: pytest.fail("decoded again"))
        again = ImageBank.from_split(split, SIZE, tier="mmap").raw(slice(None))
    assert torch.equal(first, again)
    # other images, another size, another box: another file
    ImageBank.from_split(split.head(3), SIZE, tier="mmap")
    ImageBank.from_split(split, (8, 4), tier="mmap")
    ImageBank.from_split(split.assign(box=[(-1.0, -1.0, 1.0, 0.0)] * 12), SIZE, tier="mmap")
    assert len(bank_files()) == 4
    assert file in bank_files()


def test_a_changed_image_is_decoded_again(split, tmp_path, draw, monkeypatch):
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))
    ImageBank.from_split(split, SIZE, tier="mmap")
    draw(tmp_path / "images" / "01.png", (50, 30), seed=99)
    bank = ImageBank.from_split(split, SIZE, tier="mmap")
    assert np.array_equal(bank.raw(slice(1, 2))[0], decode(split.path[1], SIZE).transpose(2, 0, 1))


def test_a_failure_leaves_no_file_of_a_bank(split, tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images" / "07.png").write_bytes(b"nothing")
    with pytest.raises(ReidError, match=r"07\.png does not decode"):
        ImageBank.from_split(split, SIZE, tier="mmap")
    assert bank_files() == []


def test_decoding_into_a_file_is_resumed(split, tmp_path, monkeypatch):
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoding, "CHUNK", 4)
    whole = ImageBank.from_split(split, SIZE).raw(slice(None))
    decoded = []

    def cut_off(path, size, box):
        decoded.append(path)
        if path == split.path[6]:
            raise KeyboardInterrupt
        return decode(path, size, box)

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "decode", cut_off)
        with pytest.raises(KeyboardInterrupt):
            ImageBank.from_split(split, SIZE, tier="mmap")
    assert [p.suffix for p in bank_files()] == [".done", ".part"]
    decoded.clear()
    with monkeypatch.context() as patch:
        patch.setattr(decoding, "decode", lambda *a: decoded.append(a[0]) or decode(*a))
        bank = ImageBank.from_split(split, SIZE, tier="mmap")
    assert sorted(decoded) == sorted(split.path[4:])  # the first four were done
    assert torch.equal(bank.raw(slice(None)), whole)
    assert [p.suffix for p in bank_files()] == [".npy"]


def test_a_mapped_bank_is_not_loaded_into_memory(tmp_path):
    """200 MB on disk, batches read from all over it: the process's own memory hardly grows."""
    array = np.lib.format.open_memmap(tmp_path / "bank.npy", "w+", np.uint8, (32_000, 3, 64, 32))
    array[::1000] = 7
    array.flush()
    del array
    split = pd.DataFrame({"path": "", "pid": np.arange(32_000) // 4, "cam": 1})
    bank = ImageBank(np.load(tmp_path / "bank.npy", mmap_mode="r"), split, torch.device("cpu"),
                     "mmap")  # fmt: skip
    batches = Batches(bank, IdentitySampler(bank.pid, 16, 4), pad_crop=0.05, erasing=0.5)
    batches(0)

    def own_memory() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    before = own_memory()
    for step in range(1, 200):
        batches(step)
    assert own_memory() - before < 50_000  # kB


@pytest.mark.parametrize("name", ["04.jpg", "05.png"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("tier", ["device", "mmap"])
def test_a_truncated_file_is_named(split, tmp_path, name, share, tier):
    path = tmp_path / "images" / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ReidError, match=rf"images/{name} does not decode"):
        ImageBank.from_split(split, SIZE, tier=tier)


@pytest.mark.parametrize("tier", ["device", "mmap"])
def test_a_missing_file_is_named(split, tmp_path, tier):
    (tmp_path / "images" / "05.png").unlink()
    with pytest.raises(ReidError, match=r"images/05\.png is not there"):
        ImageBank.from_split(split, SIZE, tier=tier)


@pytest.mark.parametrize(
    "box",
    [(0.0, -1.0, 0.0, 1.0), (0.5, -1.0, -0.5, 1.0), (1.2, -1.0, 1.5, 1.0), (1.0, 2.0), math.nan],
)
def test_a_box_that_holds_nothing_is_an_error(tmp_path, draw, box):
    path = draw(tmp_path / "x.png")
    with pytest.raises(ReidError, match=r"x\.png: its box .* holds nothing of the image"):
        decode(str(path), SIZE, box)


def test_an_empty_split():
    empty = pd.DataFrame({"path": [], "pid": [], "cam": []})
    with pytest.raises(ReidError, match="this split has no images"):
        ImageBank.from_split(empty, SIZE)


@pytest.mark.real_data
def test_real_images_are_those_of_pil(market1501_root):
    folder = market1501_root / "Market-1501-v15.09.15" / "query"
    paths = [str(path) for path in sorted(folder.iterdir())[::100]]
    bank = ImageBank.from_split(pd.DataFrame({"path": paths, "pid": 1, "cam": 1}), (96, 48))
    for i, path in enumerate(paths):
        with Image.open(path) as image:
            small = image.resize((48, 96), Image.Resampling.BILINEAR)
        assert np.array_equal(bank.raw(slice(i, i + 1))[0].permute(1, 2, 0), np.asarray(small))
