"""Partial-LFW: who is chosen, what is gallery, how the rest is cropped."""

import fixtures
import numpy as np
import pytest

from reidlib.data import ImageBank, load
from reidlib.data.sets import faces
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:LFW")


@pytest.fixture
def root(tmp_path):
    fixtures.lfw(tmp_path)
    return tmp_path


def names(table) -> list[str]:
    return [path.rsplit("/", 1)[1] for path in table.path]


def test_those_with_the_most_images_are_chosen(root):
    dataset = load("lfw", root, ids=2)  # of Al_Gore and Zico, equal, the first by name
    people = {name[:-9] for name in names(dataset.gallery)}
    assert people == {"Abdullah_Gul", "Al_Gore"}
    assert len(dataset.query) == 3
    assert not set(dataset.query.path) & set(dataset.gallery.path)
    assert "box" not in dataset.gallery.columns
    assert load("lfw", root, ids=3).num_ids == 0


def test_seeds_draw_other_crops_and_galleries(root):
    seeds = [load("lfw", root, ids=3, seed=seed) for seed in range(6)]
    assert len({d.fingerprint for d in seeds}) == 6
    assert len({tuple(names(d.gallery)) for d in seeds}) > 1
    again = load("lfw", root, ids=3, seed=2)
    assert again.query.equals(seeds[2].query)
    assert load("lfw", root, ids=3, area=(0.5, 0.5)).fingerprint != seeds[0].fingerprint


def test_crops_keep_the_stated_share_anywhere_in_the_image():
    boxes = np.array(faces.random_boxes(4000, (0.3, 0.7), seed=0))
    x0, y0, x1, y1 = boxes.T
    assert boxes.min() >= -1
    assert boxes.max() <= 1
    share = (x1 - x0) * (y1 - y0) / 4
    assert 0.3 <= share.min() < 0.31
    assert 0.69 < share.max() <= 0.7 + 1e-9
    assert abs(share.mean() - 0.5) < 0.01
    # no side is preferred
    assert np.allclose([(x0 + x1).mean(), (y0 + y1).mean()], 0, atol=0.02)
    assert abs((x1 - x0).mean() - (y1 - y0).mean()) < 0.02


def test_queries_are_cut_out_by_the_bank(root):
    query = load("lfw", root, ids=1, area=(0.2, 0.3)).query
    whole = ImageBank.from_split(query.drop(columns="box"), (32, 16))
    cut = ImageBank.from_split(query, (32, 16))
    assert not (whole.raw(slice(None)) == cut.raw(slice(None))).all()


def test_too_few_people(root):
    with pytest.raises(ReidError, match=r"lfw has 3 people with two or more images, not 1000: "):
        load("lfw", root)


@pytest.mark.parametrize("area", [(0, 0.5), (0.6, 0.5), (0.5, 1.2)])
def test_areas_are_shares(root, area):
    with pytest.raises(ReidError, match="area is"):
        load("lfw", root, area=area)


def test_lists_beside_the_folders_are_no_people(root):
    before = load("lfw", root, ids=2).fingerprint
    (root / "lfw" / "pairs_01.txt").write_text("")
    assert load("lfw", root, ids=2).fingerprint == before
