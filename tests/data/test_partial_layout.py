"""Partial-REID and Partial-iLIDS: sides, swapped sides, ids on one side only."""

import fixtures
import pytest

from reidlib.data import load
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:Partial")


@pytest.mark.parametrize("name", ["partial-reid", "partial-ilids"])
def test_sides_can_be_swapped(tmp_path, name):
    {"partial-reid": fixtures.partial_reid, "partial-ilids": fixtures.partial_ilids}[name](tmp_path)
    usual, swapped = load(name, tmp_path), load(name, tmp_path, swap=True)
    assert usual.query.equals(swapped.gallery)
    assert usual.gallery.equals(swapped.query)
    assert swapped.query.cam.tolist() == [1, 1, 1]
    assert usual.fingerprint != swapped.fingerprint
    assert len(usual.train) == 0


def test_the_occluded_images_are_an_option(tmp_path):
    fixtures.partial_reid(tmp_path)
    dataset = load("partial-reid", tmp_path, images="occluded")
    assert all("occluded_body_images" in path for path in dataset.query.path)


def test_the_occluded_images_may_be_missing(tmp_path):
    fixtures.partial_reid(tmp_path)
    folder = tmp_path / "PartialREID" / "occluded_body_images"
    folder.rename(tmp_path / "elsewhere")
    assert len(load("partial-reid", tmp_path).query) == 3
    with pytest.raises(ReidError, match=r"lacks the folder .*occluded_body_images"):
        load("partial-reid", tmp_path, images="occluded")


def test_copies_with_other_names_are_read(tmp_path):
    fixtures.partial_ilids(tmp_path)
    before = load("partial-ilids", tmp_path)
    folder = tmp_path / "Partial_iLIDS"
    (folder / "Probe").rename(folder / "query")
    after = load("partial-ilids", tmp_path)
    assert after.query.pid.tolist() == before.query.pid.tolist()


def test_a_person_on_one_side_only_is_named(tmp_path):
    fixtures.partial_ilids(tmp_path)
    fixtures.draw(tmp_path / "Partial_iLIDS" / "Probe" / "7.jpg", 0)
    with pytest.raises(ReidError, match=r"Probe/7\.jpg has no image on the other side"):
        load("partial-ilids", tmp_path)
