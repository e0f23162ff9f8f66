"""Writes that are whole or absent."""

import errno
import os

import pytest

from reidlib.errors import ReidError
from reidlib.system import files
from reidlib.system.files import atomic_folder, atomic_path, atomic_write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "expected"), [("rank-1 ä\n", "rank-1 ä\n".encode()), (b"\x00\xff", b"\x00\xff")]
)
def test_text_and_bytes_arrive_whole_in_new_folders(tmp_path, content, expected):
    path = tmp_path / "a" / "b" / "table.csv"
    atomic_write(path, content)
    assert path.read_bytes() == expected
    assert names(path.parent) == ["table.csv"]  # nothing temporary stays


def test_a_second_write_replaces_the_first(tmp_path):
    path = tmp_path / "x.json"
    atomic_write(path, "a long first text")
    atomic_write(str(path), "short")
    assert path.read_text() == "short"


def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "x.json"
    atomic_write(path, "old")

    def fail():
        with atomic_path(path) as part:
            assert part.parent == path.parent  # a rename within one file system
            assert part.suffix == ".json"
            part.write_text("half of the ne")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x.json"]


def test_the_content_is_on_disk_before_the_rename(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (order.append("fsync"), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), replace(a, b)))
    atomic_write(tmp_path / "x", "text")
    assert order == ["fsync", "rename"]


@pytest.mark.parametrize("below", ["x.csv", "deeper/x.csv"])
def test_a_file_where_a_folder_should_be(tmp_path, below):
    (tmp_path / "taken").write_text("a file")
    path = tmp_path / "taken" / below
    with pytest.raises(ReidError, match=r"cannot write .*x\.csv: .*taken.* is not a folder"):
        atomic_write(path, "text")
    message = r"cannot write .*x\.csv: .*taken.* is not a folder"
    with pytest.raises(ReidError, match=message), atomic_folder(path):
        pytest.fail("there is no folder to write into")
    assert (tmp_path / "taken").read_text() == "a file"


def test_a_folder_where_the_file_should_be(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(ReidError, match=r"cannot write .*x\.csv"):
        atomic_write(tmp_path / "x.csv", "text")
    assert names(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_no_right_no_space_or_read_only_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(source, target):
        raise OSError(number, os.strerror(number), str(source))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ReidError, match=rf"cannot write .*x: {os.strerror(number).lower()} for"):
        atomic_write(tmp_path / "x", "text")
    assert names(tmp_path) == []


def test_where_no_folder_can_be_made():
    with pytest.raises(ReidError, match=r"cannot write /proc/out/x\.csv: no such file"):
        atomic_write("/proc/out/x.csv", "text")


def test_other_errors_of_the_body_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "x"):
        (tmp_path / "not there").read_text()
    assert names(tmp_path) == []


def test_a_folder_appears_whole(tmp_path):
    path = tmp_path / "a" / "people"
    with atomic_folder(path) as part:
        (part / "1.png").write_bytes(b"1")
        assert not path.exists()
    assert names(path) == ["1.png"]
    assert names(path.parent) == ["people"]


def test_a_failed_folder_leaves_nothing(tmp_path):
    def fail():
        with atomic_folder(tmp_path / "people") as part:
            (part / "1.png").write_bytes(b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names(tmp_path) == []


def test_the_faster_process_wins(tmp_path):
    path = tmp_path / "people"
    with atomic_folder(path) as part:
        (part / "1.png").write_bytes(b"ours")
        path.mkdir()
        (path / "1.png").write_bytes(b"theirs")
    assert (path / "1.png").read_bytes() == b"theirs"
    assert names(tmp_path) == ["people"]


def test_what_a_killed_process_of_the_same_number_left_is_in_no_ones_way(tmp_path):
    path = tmp_path / "people"
    with atomic_folder(path) as part:
        rest = part
    rest.mkdir()
    (rest / "half.png").write_bytes(b"half")
    path.rename(tmp_path / "elsewhere")
    with atomic_folder(path) as part:
        (part / "1.png").write_bytes(b"1")
    assert names(path) == ["1.png"]


def test_installed_apart_the_root_is_the_checkout_around_the_working_directory(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site-packages/reidlib/system/files.py"))
    (tmp_path / "mine/notebooks/params").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mine/notebooks")  # as a kernel
    assert files.root() == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert files.root() == tmp_path
