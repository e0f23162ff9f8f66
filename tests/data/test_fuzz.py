"""2,000 damaged fixtures: whatever is there, loading gives a dataset, or a ReidError that names a
file and can be printed. Seeded, so that a failure can be repeated."""

import os
import shutil

import numpy as np
import pytest
from fixtures import CASES
from scipy.io import loadmat, savemat

from reidlib.data.dataset import Dataset
from reidlib.errors import ReidError

NAMES = 60  # for each of 14 fixtures
LISTS = 120  # for each of 8 list files and .mat files
HDF5 = 200

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
SEPARATORS = (b"\x00", b"/")


def mutate(content: bytes, rng: np.random.Generator, spread: int | None = None) -> bytes:
    """``content`` with one to four bytes or slices changed, doubled or lost, in its first
    ``spread`` bytes."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        end = max(1, min(len(data), spread or len(data)))
        start = int(rng.integers(end))
        stop = start + int(rng.integers(1, 9))
        match rng.integers(6):
            case 0:
                data[start : start + 1] = bytes([rng.integers(256)])
            case 1:
                data[start:start] = rng.bytes(int(rng.integers(1, 5)))
            case 2:
                del data[start:stop]
            case 3:
                data[stop:stop] = data[start:stop]
            case 4:
                del data[int(rng.integers(len(data) + 1)) :]
            case _:
                data[start:stop] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF])]) * (stop - start)
    return bytes(data)


def outcome(case, root) -> str:
    """Loads; the message of the ReidError, or nothing."""
    try:
        assert isinstance(case.load(root), Dataset)
        return ""
    except ReidError as error:
        text = str(error)
        assert str(root) in text, text  # names a file or folder
        assert "\n" not in text
        text.encode("utf-8")  # can be printed
        return text


def fixture_of(case, tmp_path_factory):
    return case.copy(tmp_path_factory.getbasetemp() / "fuzz", tmp_path_factory.mktemp("root") / "r")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    CASES[0].pristine(tmp_path / "warm")  # people are drawn before the cache moves
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_file_names(case, tmp_path_factory):
    root = fixture_of(case, tmp_path_factory)
    places = sorted(os.fsencode(path) for path in root.rglob("*"))
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(NAMES):
        old = places[rng.integers(len(places))]
        folder, name = os.path.split(old)
        changed = mutate(name, rng)
        for byte in SEPARATORS:
            changed = changed.replace(byte, b"_")
        new = os.path.join(folder, changed[:200])
        if changed in (b"", b".", b"..") or os.path.exists(new):
            new = os.path.join(folder, name + b"~")
        os.rename(old, new)
        said += bool(outcome(case, root))
        os.rename(new, old)
    assert said > NAMES / 4
    assert outcome(case, root) == ""


LIST_FILES = [(case, name) for case in CASES for name in case.lists]


@pytest.mark.parametrize(
    ("case", "name"),
    LIST_FILES,
    ids=[f"{c.make.__name__}-{n.split('/')[-1]}" for c, n in LIST_FILES],
)
def test_list_files_and_mat_files(case, name, tmp_path_factory):
    root = fixture_of(case, tmp_path_factory)
    file = root / name
    contents = [file.read_bytes()]
    if name.endswith(".mat"):
        saved = {key: value for key, value in loadmat(file).items() if key[0] != "_"}
        savemat(file, saved, do_compression=True)
        contents.append(file.read_bytes())
    rng = np.random.default_rng(1)
    said = 0
    for i in range(LISTS):
        content = contents[i % len(contents)]
        spread = 200 if name.endswith(".mat") and i % 3 else None  # mostly the header
        file.write_bytes(mutate(content, rng, spread))
        said += bool(outcome(case, root))
    assert said > LISTS / 4


def test_the_original_cuhk03(tmp_path_factory, monkeypatch):
    case = next(c for c in CASES if c.make.__name__ == "cuhk03_original")
    root = fixture_of(case, tmp_path_factory)
    file = root / "cuhk03" / "cuhk03_release" / "cuhk-03.mat"
    content = file.read_bytes()
    rng = np.random.default_rng(2)
    said = 0
    for i in range(HDF5):
        file.write_bytes(mutate(content, rng, 4096 if i % 2 else None))
        said += bool(outcome(case, root))
        shutil.rmtree(os.environ["REIDLIB_CACHE"], ignore_errors=True)
    assert said > HDF5 / 8


def test_there_are_two_thousand():
    assert NAMES * len(CASES) + LISTS * len(LIST_FILES) + HDF5 >= 2000
