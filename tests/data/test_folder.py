"""The user's own images."""

import fixtures
import pytest

from reidlib.data import load
from reidlib.errors import ReidError


@pytest.fixture
def csv(tmp_path):
    """A CSV beside its images."""
    for name in ("a.jpg", "b.jpg", "äh.png"):
        fixtures.draw(tmp_path / name, 1)
    file = tmp_path / "mine.csv"
    file.write_text("path,pid,cam\nb.jpg,5,1\na.jpg,7,2\näh.png,0,1\n", encoding="utf-8")
    return file


def test_without_split_all_is_training(csv):
    dataset = load("folder", csv=str(csv))
    assert dataset.train.pid.tolist() == [7, 5, 0]  # sorted by path
    assert len(dataset.query) == len(dataset.gallery) == 0


def test_root_is_where_paths_begin(csv, tmp_path):
    (tmp_path / "lists").mkdir()
    moved = csv.rename(tmp_path / "lists" / "mine.csv")
    with pytest.raises(ReidError, match=r"row 1: there is no image 'b\.jpg' below .*pass root="):
        load("folder", csv=str(moved))
    assert len(load("folder", tmp_path, csv="lists/mine.csv").train) == 3


def test_absolute_paths_below_the_folder_are_read(csv, tmp_path):
    before = load("folder", csv=str(csv)).fingerprint
    text = csv.read_text(encoding="utf-8").replace("a.jpg", f"{tmp_path}/a.jpg")
    csv.write_text(text, encoding="utf-8")
    assert load("folder", csv=str(csv)).fingerprint == before


def test_tracklets_and_protocol(csv):
    csv.write_text("path,pid,cam,split,tracklet\na.jpg,1,1,query,4\nb.jpg,1,1,gallery,5\n")
    dataset = load("folder", csv=str(csv), protocol="partial")
    assert dataset.query.tracklet.tolist() == [4]
    assert dataset.protocol == "partial"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pid,cam\n1,1\n", 'no column "path" .its first line: pid,cam.: add it, with a comma'),
        ("path,pid,cam,spilt\na.jpg,1,1,train\n", 'unknown column "spilt", did you mean "split"'),
        ("path,pid,cam,split\na.jpg,1,1,test\n", 'row 1: unknown split "test"'),
        ("path,pid,cam\na.jpg,one,1\n", "row 1: pid is 'one', no integer"),
        ("path,pid,cam\na.jpg,1,1\nb.jpg,1,\n", "row 2: cam is '', no integer"),
        ("path,pid,cam\na.jpg,1.0,1\n", "row 1: pid is '1.0', no integer"),
        ("path,pid,cam\na.jpg,-2,1\n", "row 1: pid is below -1"),
        ("path,pid,cam\na.jpg,99999999999999999999,1\n", "no integer"),
        ("path,pid,cam\nc.jpg,1,1\n", "row 1: there is no image 'c.jpg'"),
        ("path,pid,cam\n/etc/passwd,1,1\n", "row 1: there is no image '/etc/passwd'"),
        ("path,pid,cam\n,1,1\n", "row 1: there is no image ''"),
        ("path,pid,cam\na.jpg,1,1\na.jpg,2,1\n", "names .*a.jpg twice in train"),
        ("path,pid,cam\n", "has no rows"),
        ("", "no readable CSV"),
        ("path,pid,cam\na.jpg,1,1,1\n", "rows longer than its header"),
        ("path,pid,cam\na.jpg,1,1\nb.jpg,1,1,1,1\n", "no readable CSV"),
        ("path,pid,pid,cam\na.jpg,1,2,1\n", 'unknown column "pid.1"'),
    ],
)
def test_a_wrong_csv_is_named_with_row_and_value(csv, text, message):
    csv.write_text(text)
    with pytest.raises(ReidError, match=rf"mine\.csv.*{message}"):
        load("folder", csv=str(csv))


def test_csv_is_needed_and_must_be_there(tmp_path):
    with pytest.raises(ReidError, match=r'dataset folder: pass csv="mine\.csv"'):
        load("folder", tmp_path)
    with pytest.raises(ReidError, match=rf"no file gone\.csv in {tmp_path} and the working"):
        load("folder", tmp_path, csv="gone.csv")
    with pytest.raises(ReidError, match=r"no file gone\.csv in the working folder: pass csv="):
        load("folder", csv="gone.csv")
