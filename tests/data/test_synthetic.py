"""Synthetic people: counts, truth against pixels, checksum, cache, options."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import reidlib.data
from reidlib.data import Dataset
from reidlib.data.drawn import cache as drawn_cache
from reidlib.data.drawn import synthetic
from reidlib.data.drawn.people.figure import figure
from reidlib.data.drawn.people.palette import BAG, PALETTE
from reidlib.data.drawn.people.picture import Change, change
from reidlib.data.drawn.people.pose import Gait, View
from reidlib.data.drawn.people.raster import Frame, draw, turn
from reidlib.data.drawn.people.shapes import Limb
from reidlib.data.drawn.people.wardrobe import person
from reidlib.data.drawn.synthetic import ATTRIBUTES, BOXES, NOMINAL, PARTS, Shot, load, picture
from reidlib.errors import ReidError

SMALL = dict(train_ids=3, test_ids=5, cameras=3, images=2, size=(64, 32), distractors=3, junk=2)
# Changes with every change of a pixel or a truth; then raise synthetic.DRAWING as well.
CHECKSUM = "2ab52577ef6958c4546a410d0da58cafe2a9db49d5893c0e79b60bcd942e4b7c"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDLIB_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def small() -> Dataset:
    return load(**SMALL)


def pixels(table: pd.DataFrame) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in table.path])


def test_counts(small: Dataset) -> None:
    assert (small.name, small.embedded, small.protocol) == ("synthetic", True, "market1501")
    ids = {split: set(table.pid[table.pid > 0]) for split, table in small.splits.items()}
    assert ids["train"] == {1, 2, 3}
    assert ids["query"] == ids["gallery"] == {4, 5, 6, 7, 8}
    assert (small.gallery.pid == 0).sum() == 3
    assert (small.gallery.pid == -1).sum() == 2
    # one query an identity and camera; as many in the gallery, since there are two images
    assert not small.query.duplicated(["pid", "cam"]).any()
    real = small.gallery[small.gallery.pid > 0]
    assert sorted(zip(real.pid, real.cam, strict=True)) == sorted(
        zip(small.query.pid, small.query.cam, strict=True)
    )
    assert small.query.groupby("pid").cam.nunique().between(2, 3).all()
    assert set(small.train.cam) == {1, 2, 3}
    assert pixels(small.train).shape == (len(small.train), 64, 32, 3)


def test_some_identities_miss_a_camera() -> None:
    options = synthetic._checked({**SMALL, "domain": "a", "seed": 0, "detector_error": 0.1})
    plan = synthetic._plan({**options, "frames": 2, "tracklets": False, "test_ids": 60})
    cams = pd.DataFrame([(e.pid, e.shot.cam) for e in plan if e.pid > 0]).groupby(0)[1].nunique()
    assert 0.1 < (cams == 2).mean() < 0.4
    assert len({entry.path for entry in plan}) == len(plan)


def test_checksum(small: Dataset) -> None:
    """The same bytes on every platform."""
    digest = hashlib.sha256()
    for table in small.splits.values():
        digest.update(pixels(table).tobytes())
        names = [Path(path).name for path in table.path]
        digest.update(table.assign(path=names).to_csv(lineterminator="\n").encode())
    for domain, shot in (("a", Shot(70, 5, 1, 3)), ("b", Shot(12, 2, 0)), ("b", Shot(5, 1, 4))):
        digest.update(picture(1, domain, shot, size=(128, 64))[0].tobytes())
    assert digest.hexdigest() == CHECKSUM


def test_cache(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_cache, "write", lambda *_: pytest.fail("drawn again"))
    again = load(**SMALL)
    assert again.fingerprint == small.fingerprint
    for split, table in small.splits.items():
        pd.testing.assert_frame_equal(again.splits[split], table)


@pytest.mark.parametrize("harm", ["flip", "remove", "truth", "manifest"])
def test_damaged_cache_is_drawn_again(small: Dataset, harm: str) -> None:
    file = Path(small.query.path[0])
    if harm == "flip":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "remove":
        file.unlink()
    elif harm == "truth":
        truth = file.parents[1] / "truth.csv"
        truth.write_text(truth.read_text().replace("0.", "1.", 1))
    else:
        (file.parents[1] / "manifest.json").write_text("{")
    again = load(**SMALL)
    assert again.fingerprint == small.fingerprint
    pd.testing.assert_frame_equal(again.query, small.query)
    Image.open(file).load()


def test_a_set_that_another_process_drew_meanwhile_stays(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = drawn_cache.read, iter([None])  # at the first look it was not there yet
    monkeypatch.setattr(drawn_cache, "read", lambda *where: next(seen, read(*where)))
    before = Path(small.query.path[0]).stat().st_mtime_ns
    assert load(**SMALL).fingerprint == small.fingerprint
    assert Path(small.query.path[0]).stat().st_mtime_ns == before


def test_fingerprint_follows_options(small: Dataset) -> None:
    other = load(**{**SMALL, "seed": 1})
    assert other.fingerprint != small.fingerprint
    assert not np.array_equal(pixels(other.train)[:4], pixels(small.train)[:4])


@pytest.mark.parametrize("domain", ["a", "b"])
@pytest.mark.parametrize("who", range(0, 40, 5))
def test_body_is_where_the_pixels_are(domain: str, who: int) -> None:
    size = (256, 128)
    shot = Shot(who, who % 4, who % 3)
    image, truth = picture(0, domain, shot, size=size, error=0.0, plain=True)
    drawn = image.max(2) > 0
    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    x0, y0, x1, y1 = ((v + 1) / 2 * size[1 - i % 2] for i, v in enumerate(truth.body))
    assert rows[0] == pytest.approx(y0, abs=1.6)
    assert rows[-1] + 1 == pytest.approx(y1, abs=1.6)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx((x0 + x1) / 2, abs=2.0)
    assert truth.body == pytest.approx(NOMINAL, abs=1e-9)


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_where_they_are_seen(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one part white and the rest dark, the white pixels lie in its box and span it."""

    def painted(*args: object) -> list[object]:
        shapes = []
        for shape in figure(*args):  # type: ignore[arg-type]
            plain = {} if isinstance(shape, Limb) else {"paint": None}
            grey = 255.0 if shape.part == part else 40.0
            shapes.append(replace(shape, colour=(grey,) * 3, **plain))  # type: ignore[type-var]
        return shapes

    monkeypatch.setattr("reidlib.data.drawn.people.picture.figure", painted)
    heights = []
    for who in range(24):
        shot = Shot(who, who % 4, 0)
        image, truth = picture(0, "a", shot, size=(256, 128), error=0.0, plain=True)
        white = image[..., 0] > 120
        x0, y0, x1, y1 = ((v + 1) / 2 * (128, 256)[i % 2] for i, v in enumerate(truth.parts[part]))
        rows, columns = np.nonzero(white)
        inside = (rows + 1.5 > y0) & (rows - 0.5 < y1) & (columns + 1.5 > x0) & (columns - 0.5 < x1)
        assert inside.mean() > 0.96
        heights.append((np.ptp(rows[inside]) + 1) / (y1 - y0))
    assert np.median(heights) == pytest.approx(1.0, abs=0.2 if part == "feet" else 0.1)


def test_boxes_and_attributes(small: Dataset) -> None:
    table = pd.concat(small.splits.values())
    for name in BOXES:
        boxes = np.array(table[name].tolist())
        assert boxes.shape == (len(table), 4)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    boxes = {name: np.array(table[name].tolist()) for name in BOXES}
    for upper, lower in pairwise(PARTS):
        assert (boxes[upper][:, 1] < boxes[lower][:, 1]).all()  # head above torso above legs ...
    for name in PARTS:
        assert (boxes[name][:, 1] >= boxes["body"][:, 1] - 1e-5).all()
        assert (boxes[name][:, 3] <= boxes["body"][:, 3] + 1e-5).all()
    assert set(ATTRIBUTES) <= set(table.columns)
    assert set(table.side) <= {"front", "back", "left", "right"}
    assert set(table.bag) <= set(BAG)
    assert set(table.upper_colour) <= set(PALETTE)
    fixed = [name for name in ATTRIBUTES if name != "side"]
    real = table[table.pid > 0]
    assert (real.groupby("pid")[fixed].nunique() == 1).all(axis=None)


def test_detector_error() -> None:
    """None: every body in the nominal box. Otherwise its standard deviation is the option."""
    exact = load(**{**SMALL, "detector_error": 0.0, "junk": 0})
    for table in exact.splits.values():
        assert np.allclose(np.array(table.body.tolist()), NOMINAL, atol=1e-5)
    boxes = np.array(
        [
            picture(0, "a", Shot(who, 0, k), size=(32, 16), error=0.1, plain=True)[1].body
            for who in range(100)
            for k in range(3)
        ]
    )
    zoom = (boxes[:, 3] - boxes[:, 1]) / 1.8
    shift = (boxes[:, 1] + boxes[:, 3]) / 4 / zoom
    assert np.std(shift) == pytest.approx(0.1, rel=0.15)
    assert np.std(zoom) == pytest.approx(0.1, rel=0.2)


def test_junk_misses_the_person(small: Dataset) -> None:
    def seen(box: tuple[float, ...]) -> float:
        x0, y0, x1, y1 = np.clip(box, -1, 1)
        return (x1 - x0) * (y1 - y0) / ((box[2] - box[0]) * (box[3] - box[1]))

    junk = small.gallery[small.gallery.pid == -1]
    assert max(map(seen, junk.body)) < 0.75
    assert np.mean([seen(box) for box in small.train.body]) > 0.85


def test_people_in_one_outfit_differ_in_details() -> None:
    people = [person(0, "a", who) for who in range(96)]
    for outfit in {p.outfit for p in people}:
        group = [p for p in people if p.outfit == outfit]
        assert len(group) == 3
        assert len({(p.upper, p.upper_colour, p.lower, p.lower_colour) for p in group}) == 1
        for i, one in enumerate(group):
            for other in group[:i]:
                differ = sum(a != b for a, b in zip(one.details(), other.details(), strict=True))
                assert differ >= 2


def test_cameras_differ() -> None:
    """Mean colour of the same people by camera; and the side they are seen from."""
    means, sides = [], []
    for cam in range(4):
        shots = [picture(0, "a", Shot(who, cam, 0), size=(64, 32)) for who in range(12)]
        means.append(np.mean([image for image, _ in shots], axis=(0, 1, 2)))
        sides.append(pd.Series([truth.side for _, truth in shots]).mode()[0])
    gaps = [np.abs(means[i] - means[j]).max() for i in range(4) for j in range(i)]
    assert min(gaps) > 4
    assert sides == ["front", "back", "right", "left"] or len(set(sides)) == 4


def test_domains_differ() -> None:
    other = load(**{**SMALL, "domain": "b"})
    assert other.name == "synthetic-b"
    coats = {
        domain: np.mean([person(0, domain, who).upper in ("coat", "jacket") for who in range(120)])
        for domain in "ab"
    }
    assert coats["b"] > coats["a"] + 0.2
    a, b = (picture(0, domain, Shot(1, 0, 0))[0] for domain in "ab")
    assert not np.array_equal(a, b)


def test_tracklets_are_consecutive() -> None:
    videos = load(**{**SMALL, "tracklets": True, "frames": 4})
    table = pd.concat(videos.splits.values())
    for _, walk in table.groupby("tracklet"):
        assert walk.frame.tolist() == [0, 1, 2, 3]
        assert walk[["pid", "cam", "side"]].drop_duplicates().shape == (1, 3)
        names = [int(Path(path).stem.split("_")[2]) for path in walk.path]
        assert np.diff(names).tolist() == [1, 1, 1]
        assert walk.body.nunique() == 4  # the detector is never quite the same
    assert (videos.query.groupby(["pid", "cam"]).tracklet.nunique() == 1).all()
    still = [picture(0, "a", Shot(1, 2, 0, f), error=0.0, plain=True)[0] for f in range(3)]
    steps = [np.mean(still[0] != other) for other in still]
    assert steps[0] == 0 < steps[1] < steps[2]  # the walk goes on


def test_walks_that_change_turn_darken_and_are_crossed() -> None:
    shots = [Shot(9, 1, 0, frame, changing=True) for frame in range(20)]
    found = [change(0, 1, shot) for shot in shots]
    turns = np.array([one.turn for one in found])
    assert turns[0] == 0
    assert 1 / 7 < abs(turns[-1]) < 1 / 2
    assert np.diff(turns) == pytest.approx(turns[1])  # steadily
    light = np.array([one.light for one in found])
    assert light[10] == pytest.approx(1)
    assert np.diff(light) == pytest.approx(light[1] - light[0])
    assert light[0] != pytest.approx(1, abs=0.04)
    walks = [[change(0, 1, Shot(who, 0, 0, f, changing=True)).passer for f in range(20)]
             for who in range(60)]  # fmt: skip
    crossed = [sum(at is not None for at in walk) for walk in walks]
    assert 30 < sum(map(bool, crossed)) < 60
    assert change(0, 1, Shot(9, 1, 0, 7)) == Change()

    def alike(changing: bool) -> float:
        """The mean correlation of frames that are half a walk apart."""
        frames = [
            [
                picture(0, "b", Shot(who, 1, 0, f, changing=changing), size=(32, 16))[0]
                for f in (0, 10)
            ]
            for who in range(8)
        ]
        return float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in frames]))

    assert alike(True) < alike(False) - 0.05


def test_only_walks_that_change_are_other_pictures() -> None:
    videos = {**SMALL, "tracklets": True, "frames": 3}
    still, changing = (load(**videos, changing=on) for on in (False, True))
    assert load(**videos).fingerprint == still.fingerprint != changing.fingerprint
    assert still.train[["pid", "cam", "tracklet"]].equals(
        changing.train[["pid", "cam", "tracklet"]]
    )


def test_logos_are_seen_from_the_front_and_faces_not_from_behind() -> None:
    def inked(yaw: float, **changes: object) -> int:
        """Pixels that change with the attributes."""
        plain = replace(person(0, "a", 3), logo="none", bag="none", glasses=False, hair="short")
        canvases = np.zeros((2, 3, 256, 128))
        for canvas, who in zip(canvases, (plain, replace(plain, **changes)), strict=True):  # type: ignore[arg-type]
            draw(figure(who, Gait(0.1, 0.04), View(yaw, 0.1)), canvas, Frame(230.0, 64.0, 130.0))
        return int((np.abs(canvases[0] - canvases[1]).max(0) > 1).sum())

    assert inked(0.0, logo="print") > 100
    assert inked(0.5, logo="print") == 0
    assert inked(0.5, logo="back print") > 100
    assert inked(0.0, glasses=True) > 20
    assert inked(0.5, glasses=True) == 0
    assert inked(0.5, bag="backpack") > 3 * inked(0.0, bag="backpack") > 0


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("train_ids", 0, "train_ids is 0, not between 1 and 4000"),
        ("test_ids", 1, "test_ids is 1"),
        ("cameras", 1, "cameras is 1, not between 2"),
        ("images", 1, "images is 1, not between 2"),
        ("size", (128, 128), r"size is \(128, 128\), not \(2 W, W\)"),
        ("size", (16, 8), "size is"),
        ("seed", -1, "seed is -1"),
        ("domain", "c", 'domain: unknown "c"'),
        ("detector_error", 0.9, "detector_error is 0.9, not between 0.0 and 0.3"),
        ("detector_error", float("nan"), "detector_error is nan"),
        ("distractors", -1, "distractors is -1"),
        ("junk", 0.5, "junk is 0.5"),
        ("tracklets", 1, "tracklets is 1"),
        ("frames", 1, "frames is 1, not between 2"),
    ],
)
def test_options_are_strict(option: str, value: object, message: str) -> None:
    with pytest.raises(ReidError, match=message):
        load(**{option: value})


def test_the_test_alone_shows_the_same_people(small: Dataset) -> None:
    alone = load(**SMALL, test_only=True)
    assert len(alone.train) == 0
    for mine, whole in ((alone.query, small.query), (alone.gallery, small.gallery)):
        pd.testing.assert_frame_equal(mine.drop(columns="path"), whole.drop(columns="path"))
    paths = zip(alone.query.path, small.query.path, strict=True)
    assert all(Path(a).read_bytes() == Path(b).read_bytes() for a, b in paths)


def test_by_name(small: Dataset) -> None:
    assert reidlib.data.load("synthetic", **SMALL).fingerprint == small.fingerprint
    with pytest.raises(ReidError, match="train_ids"):
        reidlib.data.load("synthetic", train_idz=3)


def test_angles() -> None:
    for degrees in range(-400, 800, 7):
        c, s = turn(degrees / 360)
        assert (c, s) == pytest.approx(
            (np.cos(np.radians(degrees)), np.sin(np.radians(degrees))), abs=2.5e-3
        )


def test_speed() -> None:
    """About 3 ms a picture on a quiet core; the bound leaves room for a busy one."""
    picture(0, "a", Shot(0, 0, 0))
    start = time.process_time()
    for who in range(60):
        picture(0, "a", Shot(who, 0, 0))
    assert (time.process_time() - start) / 60 < 0.025
    assert os.environ["REIDLIB_CACHE"]
