"""Batches: against a slow reference that knows only files, and against themselves."""

import numpy as np
import pytest
import torch
from PIL import Image

from reidlib.data import augment
from reidlib.data.bank import ImageBank
from reidlib.data.batches import Batches
from reidlib.data.sampler import IdentitySampler, generator
from reidlib.errors import ReidError
from reidlib.geometry import compose, sample

SIZE = (20, 10)
OPTIONS = {"mirror": 0.5, "pad_crop": 3 / 20, "erasing": 0.5}


@pytest.fixture
def make(split):
    """Batches of 3 identities x 2 images."""

    def build(seed: int = 0, tier: str = "device", **options) -> Batches:
        bank = ImageBank.from_split(split, SIZE, tier=tier)
        return Batches(bank, IdentitySampler(bank.pid, 3, 2, seed=seed), **options)

    return build


def slow_image(path: str, shift: tuple[int, int], mirrored: bool, box: list[int]) -> np.ndarray:
    """[3, H, W]: resize, normalise, pad with the mean colour, crop, mirror, erase."""
    with Image.open(path) as file:
        small = file.convert("RGB").resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR)
    pixels = (np.asarray(small) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    pad = 3
    padded = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)))
    x, y = pad + shift[0], pad + shift[1]
    crop = padded[y : y + SIZE[0], x : x + SIZE[1]]
    crop = np.array(crop[:, ::-1] if mirrored else crop)
    x0, y0, x1, y1 = box
    crop[y0:y1, x0:x1] = 0
    return crop.transpose(2, 0, 1)


def test_a_batch_equals_the_slow_reference(make, split):
    batches = make(**OPTIONS)
    mirrored = shifts = erased = 0
    for step in range(12):
        batch = batches(step)
        # the same draws, in the order that the stored runs rest on
        rng = generator(0, 3, step)
        flips = augment.mirror(6, rng, 0.5)[:, 0, 0] < 0
        moves = augment.pad_crop(6, rng, SIZE, 3 / 20)[:, :, 2] * torch.tensor([5.0, 10.0])
        boxes = augment.erase_boxes(6, rng, SIZE, 0.5)
        for i, row in enumerate(batches.sampler(step).tolist()):
            dx, dy = (round(v) for v in moves[i].tolist())
            expected = slow_image(split.path[row], (dx, dy), bool(flips[i]), boxes[i].tolist())
            np.testing.assert_allclose(batch.images[i], expected, atol=1e-4)
            mirrored, shifts = mirrored + bool(flips[i]), shifts + bool(dx or dy)
            erased += bool(boxes[i].any())
    assert min(mirrored, shifts, erased) > 20


def test_without_augmentation_the_images_are_the_banks(make):
    batches = make(mirror=0.0)
    batch = batches(3)
    assert torch.equal(batch.images, batches.bank.images(batches.sampler(3)))
    assert torch.equal(batches.theta(3), torch.eye(2, 3).expand(6, 2, 3))
    assert not torch.equal(make(mirror=1.0)(3).images, batch.images)


def test_labels(make, split):
    batches = make(**OPTIONS)
    ids = sorted(set(split.pid))  # 3, 7, 9, 20
    for step in range(6):
        batch = batches(step)
        rows = split.iloc[batches.sampler(step)]
        assert batch.label.tolist() == [ids.index(pid) for pid in rows.pid]
        assert batch.label.dtype == torch.int64


def test_theta_says_how_each_image_was_read(make):
    batches = make(mirror=0.5, pad_crop=3 / 20)
    batch = batches(4)
    again = sample(batches.bank.images(batches.sampler(4)), batches.theta(4))
    torch.testing.assert_close(again, batch.images, atol=1e-4, rtol=0)
    # first the shift, then the mirror: one theta of both
    rng = generator(0, 3, 4)
    mirror = augment.mirror(6, rng, 0.5)
    shift = augment.pad_crop(6, rng, SIZE, 3 / 20)
    torch.testing.assert_close(batches.theta(4), compose(shift, mirror))
    assert not torch.allclose(batches.theta(4), compose(mirror, shift))


def same(a, b) -> bool:
    return torch.equal(a.images, b.images) and torch.equal(a.label, b.label)


def test_a_batch_does_not_depend_on_the_batches_before_it(make):
    fresh = make(**OPTIONS)(7)
    used = make(**OPTIONS)
    for step in range(7):
        used(step)
    torch.manual_seed(123)
    assert same(used(7), fresh)
    assert same(used(7), fresh)
    assert not same(used(8), fresh)
    assert not torch.equal(make(seed=1, **OPTIONS).draw(6, 7)[0], used.draw(6, 7)[0])


def test_a_batch_does_not_depend_on_the_tier(make):
    assert same(make(tier="mmap", **OPTIONS)(5), make(**OPTIONS)(5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no accelerator")
def test_a_batch_on_an_accelerator_is_that_of_the_cpu(split):
    found = {}
    for device, tier in (
        ("cpu", "device"),
        ("cuda", "device"),
        ("cuda", "pinned"),
        ("cuda", "mmap"),
    ):
        bank = ImageBank.from_split(split, SIZE, device, tier=tier)
        batch = Batches(bank, IdentitySampler(bank.pid, 3, 2), **OPTIONS)(5)
        assert batch.images.device.type == batch.label.device.type == device
        found[device, tier] = batch
    first = found["cpu", "device"]
    for batch in found.values():
        assert torch.equal(batch.label.cpu(), first.label)
        torch.testing.assert_close(batch.images.cpu(), first.images, atol=1e-4, rtol=0)


def test_shifting_and_jitter_keep_a_batch_a_function_of_its_step(make):
    options = {**OPTIONS, "shifting": 1.0, "jitter": 0.3}
    assert same(make(**options)(3), make(**options)(3))
    plain, moved = make(**OPTIONS), make(**OPTIONS, shifting=1.0)
    assert torch.equal(plain(3).label, moved(3).label)  # the same images, shown otherwise
    assert not torch.equal(plain(3).images, moved(3).images)
    torch.testing.assert_close(moved.theta(3), compose(plain.theta(3), moved.place(6, 3).theta))


def test_what_surrounds_a_shifted_image_keeps_its_grey_under_jitter(make):
    batches = make(mirror=0.0, shifting=1.0, jitter=0.5)
    batch, placed = batches(1), batches.place(6, 1)
    grey = (0.5 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    checked = 0
    for image, (x0, y0, x1, y1) in zip(batch.images, placed.window.tolist(), strict=True):
        outside = torch.ones(SIZE, dtype=torch.bool)
        outside[y0:y1, x0:x1] = False
        checked += int(outside.sum())
        expected = grey.unsqueeze(1).expand(3, int(outside.sum()))
        torch.testing.assert_close(image[:, outside], expected)
    assert checked > 100


def test_options_that_do_not_fit_are_refused(make):
    with pytest.raises(ReidError, match="exclude each other"):
        make(shifting=0.5, crop_resize_shift=True)
    with pytest.raises(ReidError, match='did you mean "p_crop"'):
        make(shifting=0.5, shifting_options={"p_crp": 0.5})
