"""Drawn portraits: the same bytes everywhere, true boxes, look-alikes, partial queries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import reidlib.data
from reidlib.data import Dataset
from reidlib.data.drawn import cache as drawn
from reidlib.data.drawn.faces import features
from reidlib.data.drawn.faces import portrait as portraits
from reidlib.data.drawn.faces.pose import Pose
from reidlib.data.drawn.faces.traits import STYLES, face
from reidlib.data.drawn.synthetic_faces import ATTRIBUTES, BOXES, PARTS, load, portrait
from reidlib.errors import ReidError

SMALL = dict(train_ids=3, test_ids=4, images=3, size=(32, 32))
# Changes with every change of a pixel or a truth; then raise synthetic_faces.DRAWING as well.
CHECKSUM = "5a29a7e49aad3370731f746f23e89dfc1dcf64fd706ae73d6afb4664a3239e8a"


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
    assert (small.name, small.embedded, small.protocol) == ("synthetic-faces", True, "partial")
    assert small.train.pid.value_counts().to_dict() == {1: 3, 2: 3, 3: 3}
    assert small.gallery.pid.tolist() == [4, 5, 6, 7]
    assert small.query.pid.value_counts().to_dict() == {4: 2, 5: 2, 6: 2, 7: 2}
    cameras = [set(table.cam) for table in small.splits.values()]
    assert cameras == [{0}, {0}, {1}]
    assert pixels(small.train).shape == (9, 32, 32, 3)


def test_checksum(small: Dataset) -> None:
    """The same bytes on every platform."""
    digest = hashlib.sha256()
    for table in small.splits.values():
        digest.update(pixels(table).tobytes())
        names = [Path(path).name for path in table.path]
        digest.update(table.assign(path=names).to_csv(lineterminator="\n").encode())
    seen = {face(0, who).hair: who for who in range(120)}
    assert set(seen) == set(STYLES)  # every style is in it
    for who in seen.values():
        digest.update(portrait(0, who, 1, size=(40, 40))[0].tobytes())
    assert digest.hexdigest() == CHECKSUM


def test_it_is_drawn_once(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "write", lambda *_: pytest.fail("drawn again"))
    again = reidlib.data.load("synthetic-faces", **SMALL)
    assert again.fingerprint == small.fingerprint
    pd.testing.assert_frame_equal(again.query, small.query)
    other = load(**SMALL, area=(0.5, 0.6))  # another cut of the same pictures
    assert other.fingerprint != small.fingerprint


def test_queries_keep_a_share_of_the_area(small: Dataset) -> None:
    boxes = np.array(load(**SMALL, area=(0.5, 0.6)).query.box.tolist())
    assert np.abs(boxes).max() <= 1
    share = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / 4
    assert share.min() >= 0.5 - 1e-9
    assert share.max() <= 0.6 + 1e-9
    whole = load(**SMALL, cropped=False)
    assert "box" in small.query.columns
    assert "box" not in whole.query.columns
    assert np.array_equal(pixels(whole.query), pixels(small.query))
    assert whole.fingerprint != small.fingerprint


def test_the_test_alone_shows_the_same_people(small: Dataset) -> None:
    alone = load(**SMALL, test_only=True)
    assert len(alone.train) == 0
    for mine, whole in ((alone.query, small.query), (alone.gallery, small.gallery)):
        pd.testing.assert_frame_equal(mine.drop(columns="path"), whole.drop(columns="path"))
        assert np.array_equal(pixels(mine), pixels(whole))


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_where_they_are_seen(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes when a part is not drawn lies in its box, and spans most of it."""
    size, shares, spans = (96, 96), [], []
    for who in range(0, 12, 3):
        plain = replace(face(0, who), glasses="none", beard="none", mark="none", hair="bald")
        monkeypatch.setattr(portraits, "face", lambda *_, plain=plain: plain)
        image, truth = portrait(0, who, 0, size=size, plain=True)
        with monkeypatch.context() as patch:
            patch.setattr(features, part, lambda *_: None)
            without, _ = portrait(0, who, 0, size=size, plain=True)
        changed = np.abs(image.astype(int) - without).max(2) > 24
        rows, columns = np.nonzero(changed)
        x0, y0, x1, y1 = ((v + 1) / 2 * 96 for v in truth.boxes[part])
        near = 4.0  # pixels: lids, nostrils and shadows reach beyond
        inside = (columns > x0 - near) & (columns < x1 + near)
        inside &= (rows > y0 - near) & (rows < y1 + near)
        shares.append(inside.mean())
        spans.append(np.ptp(columns[inside]) / (x1 - x0))
    assert min(shares) > 0.9
    assert np.median(spans) > 0.75


def test_the_face_is_where_its_outline_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bald head alone on grey begins and ends with its box; the parts lie inside."""
    monkeypatch.setattr(portraits, "_bust", lambda *_: None)
    for who in range(0, 10, 3):
        bald = replace(face(0, who), glasses="none", hair="bald")
        monkeypatch.setattr(portraits, "face", lambda *_, bald=bald: bald)
        image, truth = portrait(0, who, 0, size=(96, 96), plain=True)
        rows, columns = np.nonzero(np.abs(image.astype(int) - 128).max(2) > 12)
        seen = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        box = [(v + 1) / 2 * 96 for v in truth.boxes["face"]]
        assert np.abs(np.clip(box, 0, 96) - seen).max() < 3
        for name in PARTS:
            a0, b0, a1, b1 = truth.boxes[name]
            x0, y0, x1, y1 = truth.boxes["face"]
            assert x0 < a0 < a1 < x1
            assert y0 < b0 < b1 < y1


def test_points_go_to_pixels_and_back() -> None:
    pose = Pose(scale=20.0, x=30.0, y=34.0, roll=0.03, yaw=-0.05, nod=0.06)
    for point in ((0.0, 0.0), (-0.3, -0.1), (0.25, 0.56)):
        px, py = pose.pixel(point, 0.75)
        x, y = pose.head(np.array([px]), np.array([py]))
        fx, fy = pose.face(x, y, 0.75)
        assert (fx[0], fy[0]) == pytest.approx(point, abs=1e-9)


def test_boxes_and_attributes(small: Dataset) -> None:
    table = pd.concat(small.splits.values())
    for name in BOXES:
        boxes = np.array(table[name].tolist())
        assert boxes.shape == (len(table), 4)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert (table.groupby("pid")[list(ATTRIBUTES)].nunique() == 1).all(axis=None)


def test_people_of_one_look_differ_in_features() -> None:
    people = [face(0, who) for who in range(96)]
    for look in {p.look for p in people}:
        group = [p for p in people if p.look == look]
        assert len(group) == 3
        assert len({(p.hair, p.hair_colour, p.skin) for p in group}) == 1
        for i, one in enumerate(group):
            for other in group[:i]:
                pairs = zip(one.features(), other.features(), strict=True)
                assert sum(a != b for a, b in pairs) >= 3


def test_two_pictures_of_one_face_differ(small: Dataset) -> None:
    mine = pixels(small.train[small.train.pid == 1]).astype(float)
    assert np.abs(mine[0] - mine[1]).mean() > 8
    assert small.train[small.train.pid == 1].eyes.nunique() == 3


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("train_ids", 0, "train_ids is 0, not between 1 and 4000"),
        ("test_ids", 1, "test_ids is 1"),
        ("images", 1, "images is 1, not between 2"),
        ("size", (64, 32), r"size is \(64, 32\), not \(H, H\)"),
        ("size", (16, 16), "size is"),
        ("seed", -1, "seed is -1"),
        ("area", (0.7, 0.3), r"area is \(0.7, 0.3\), not 0 < low"),
        ("cropped", 1, "cropped is 1"),
    ],
)
def test_options_are_strict(option: str, value: object, message: str) -> None:
    with pytest.raises(ReidError, match=message):
        load(**{option: value})
