"""VIPeR: halves of the identities."""

import fixtures
import pytest

from reidlib.data import load
from reidlib.data.sets import viper
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:VIPeR")


@pytest.fixture
def root(tmp_path):
    fixtures.viper(tmp_path)
    return tmp_path


def test_the_halves_have_no_person_in_common(root):
    for dataset in viper.ten_splits(root):
        assert set(dataset.train.pid) | set(dataset.query.pid) == {1, 2, 4, 873}
        assert not set(dataset.train.pid) & set(dataset.query.pid)
        assert dataset.query.pid.tolist() == dataset.gallery.pid.tolist()


def test_another_seed_is_another_half():
    pids = list(range(1, 633))
    halves = [viper.train_half(pids, seed) for seed in range(10)]
    assert all(len(half) == 316 for half in halves)
    assert len({frozenset(half) for half in halves}) == 10
    assert viper.train_half(pids[::-1], 3) == halves[3]
    # every person trains about half of the time
    share = sum(len(viper.train_half(pids, seed) & set(pids[:50])) for seed in range(40)) / 2000
    assert 0.45 < share < 0.55


def test_the_halves_stay_what_they_are():
    assert sorted(viper.train_half(list(range(1, 13)), 0)) == [4, 6, 7, 9, 10, 11]


def test_either_camera_asks(root):
    a, b = load("viper", root), load("viper", root, query="b")
    assert a.query.path.tolist() == b.gallery.path.tolist()
    assert a.gallery.path.tolist() == b.query.path.tolist()
    assert a.fingerprint != b.fingerprint


def test_people_need_one_image_in_both_cameras(root):
    (root / "VIPeR" / "cam_a" / "003_0.bmp").unlink()
    with pytest.raises(ReidError, match=r"cam_b/003_135\.bmp has no match in cam_a"):
        load("viper", root)
    fixtures.draw(root / "VIPeR" / "cam_a" / "001_90.bmp", 0)
    with pytest.raises(ReidError, match=r"cam_a/001_90\.bmp is its person's second image"):
        load("viper", root)


def test_one_person_cannot_be_halved(tmp_path):
    for camera in "ab":
        fixtures.draw(tmp_path / "VIPeR" / f"cam_{camera}" / "000_45.png", 0)
    with pytest.raises(ReidError, match="holds one person"):
        load("viper", tmp_path)


@pytest.mark.real_data
@pytest.mark.filterwarnings("error")
def test_the_real_set_has_the_official_counts(viper_root):
    dataset = load("viper", viper_root)
    assert dataset.summary().images.tolist() == [632, 316, 316]
    assert dataset.summary().ids.tolist() == [316, 316, 316]
    assert dataset.train.groupby("pid").cam.nunique().eq(2).all()
