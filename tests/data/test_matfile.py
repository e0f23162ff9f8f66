"""The reader of MATLAB files, against SciPy."""

import contextlib
import struct

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from reidlib.data.sets import matfile

RNG = np.random.default_rng(0)
KINDS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def write(request, tmp_path):
    def to_file(**variables):
        savemat(tmp_path / "x.mat", variables, do_compression=request.param)
        return tmp_path / "x.mat"

    return to_file


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 7), (4, 5), (2, 3, 4), (0, 4)])
def test_numbers_are_those_that_scipy_reads(write, kind, shape):
    values = (RNG.random(shape) * 100).astype(kind)
    file = write(other=np.arange(3), wanted=values)
    found = matfile.read(file.read_bytes(), ("wanted",))
    assert set(found) == {"wanted"}
    assert np.array_equal(found["wanted"], loadmat(file)["wanted"])
    assert found["wanted"].shape == shape


def test_cells_and_texts(write):
    cells = np.empty((2, 2), dtype=object)
    cells[:] = [["1_001_1_01.png", "é日"], ["", np.array([[1, 2]])]]
    found = matfile.read(write(cells=cells, text="abc").read_bytes(), ("cells", "text", "none"))
    assert found["text"] == "abc"
    assert "none" not in found
    first, second, third, fourth = found["cells"]  # column by column
    assert (first, third) == ("1_001_1_01.png", "é日")
    assert np.size(second) == 0 or second == ""
    assert fourth.tolist() == [[1, 2]]


def test_files_of_the_other_byte_order():
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    array = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
    array += element(1, b"x") + element(9, struct.pack(">dd", 1.5, -2))
    content = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + element(14, array)
    assert matfile.read(content, ("x",))["x"].tolist() == [[1.5, -2]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1 + 2j]), "no real numbers"),
        ({"a": 1}, r'"x" holds no real numbers, texts or cells \(class 2\)'),
    ],
)
def test_other_kinds_are_refused_if_they_are_wanted(write, value, message):
    content = write(x=value, y=3).read_bytes()
    with pytest.raises(ValueError, match=message):
        matfile.read(content, ("x",))
    assert matfile.read(content, ("y",))["y"].tolist() == [[3]]


def test_every_shorter_file_is_refused_or_lacks_the_variable(write):
    content = write(x=np.arange(4.0), y="text").read_bytes()
    for end in range(len(content)):
        with contextlib.suppress(ValueError):
            assert len(matfile.read(content[:end], ("x", "y"))) < 2


def test_other_formats_are_named():
    with pytest.raises(ValueError, match="does not begin as"):
        matfile.read(b"", ("x",))
    with pytest.raises(ValueError, match=r"its format is 2\.0, not 1\.0"):
        matfile.read(b"MATLAB 7.3".ljust(124) + b"\x00\x02IM", ("x",))


def test_a_bomb_is_not_unpacked(monkeypatch, tmp_path):
    savemat(tmp_path / "x.mat", {"x": np.zeros(10000)}, do_compression=True)
    monkeypatch.setattr(matfile, "LARGEST", 1000)
    with pytest.raises(ValueError, match="cut short or too large"):
        matfile.read((tmp_path / "x.mat").read_bytes(), ("x",))
