"""MSMT17: versions, lists, ids."""

import fixtures
import pytest

from reidlib.data import load
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:MSMT17")


@pytest.fixture
def root(tmp_path):
    fixtures.msmt17(tmp_path)
    return tmp_path


def test_both_versions_are_read(root, tmp_path):
    fixtures.msmt17(tmp_path, version=2)
    with pytest.raises(ReidError, match=r'both versions .*MSMT17_V1 and .*pass version="v1"'):
        load("msmt17", root)
    one, two = (load("msmt17", root, version=v) for v in ("v1", "v2"))
    assert "/train/" in one.train.path[0]
    assert "/mask_train_v2/" in two.train.path[0]
    assert one.fingerprint != two.fingerprint


def test_a_version_that_is_not_there(root):
    with pytest.raises(ReidError, match=r"expected MSMT17_V2/ with mask_train_v2/"):
        load("msmt17", root, version="v2")


def test_val_may_be_left_out_and_has_then_no_official_count(root):
    with pytest.warns(UserWarning, match="query has 1 images, officially 11,659") as caught:
        dataset = load("msmt17", root, val=False)
    assert "train" not in str(caught[0].message)
    assert len(dataset.train) == 1


def test_no_person_of_the_test_has_the_number_of_one_in_training(root):
    dataset = load("msmt17", root)
    assert not set(dataset.train.pid) & set(dataset.gallery.pid)
    assert dataset.gallery.pid.min() > 0


@pytest.mark.parametrize(
    "line",
    [
        "0000/0000_002_14_0113afternoon_0008_1.jpg",
        "0000/0000_002_14_0113afternoon_0008_1.jpg one",
        "../0000/0000_002_14_0113afternoon_0008_1.jpg 0",
        "0000/0000_002_xx_0113afternoon_0008_1.jpg 0",
        "0000/0000_002_14_0113afternoon_0008_1.jpg 0 0",
        "",
    ],
)
def test_a_line_that_does_not_parse_is_named(root, line):
    file = root / "MSMT17_V1" / "list_gallery.txt"
    file.write_text(file.read_text() + line + "\nx\n")
    with pytest.raises(ReidError, match=r"list_gallery\.txt, line 3, is "):
        load("msmt17", root)


def test_windows_line_ends_are_read(root):
    before = load("msmt17", root).fingerprint
    file = root / "MSMT17_V1" / "list_gallery.txt"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert load("msmt17", root).fingerprint == before


def test_a_listed_image_that_is_not_there(root):
    (root / "MSMT17_V1" / "test" / "0001" / "0001_000_15_0302morning_0010_2.jpg").unlink()
    with pytest.raises(ReidError, match=r"0010_2\.jpg is not there, but .*list_gallery\.txt names"):
        load("msmt17", root)


def test_an_image_listed_twice(root):
    file = root / "MSMT17_V1" / "list_query.txt"
    file.write_text(file.read_text() * 2)
    with pytest.raises(ReidError, match=r"list_query\.txt names .*0008_1\.jpg twice"):
        load("msmt17", root)
