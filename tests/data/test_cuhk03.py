"""CUHK03, new protocol: its three layouts; and the subset in Market-1501's layout."""

import fixtures
import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from reidlib.data import load
from reidlib.data.sets import cuhk03_mat
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:CUHK03")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    fixtures.people()
    monkeypatch.setenv("REIDLIB_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["labeled", "detected"])
def test_the_original_gives_what_its_unpacked_images_give(tmp_path, kind):
    original, unpacked = tmp_path / "original", tmp_path / "unpacked"
    fixtures.cuhk03_original(original, kind)
    fixtures.cuhk03_images(unpacked, kind)
    a, b = (load(f"cuhk03-{kind}", root) for root in (original, unpacked))
    for one, two in zip(a.splits.values(), b.splits.values(), strict=True):
        assert one.drop(columns="path").equals(two.drop(columns="path"))
        for first, second in zip(one.path, two.path, strict=True):
            pair = [np.asarray(Image.open(path)) for path in (first, second)]
            assert np.array_equal(*pair)


def test_the_original_is_unpacked_once(tmp_path, monkeypatch):
    fixtures.cuhk03_original(tmp_path)
    first = load("cuhk03-detected", tmp_path)
    monkeypatch.setattr(cuhk03_mat, "read", lambda *_: pytest.fail("unpacked again"))
    assert load("cuhk03-detected", tmp_path).fingerprint == first.fingerprint


def test_without_h5py_the_way_out_is_said(tmp_path, monkeypatch):
    fixtures.cuhk03_original(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ReidError, match=r"cuhk-03\.mat is an HDF5 file, read with h5py: pip"):
        load("cuhk03-detected", tmp_path)


def test_the_other_kind_is_not_in_the_file(tmp_path):
    fixtures.cuhk03_original(tmp_path, "labeled")
    fixtures.cuhk03_split(tmp_path, "detected")
    with pytest.raises(ReidError, match=r"cuhk-03\.mat is not the original .*detected"):
        load("cuhk03-detected", tmp_path)
    assert not list((tmp_path / "cache" / "cuhk03").iterdir())  # nothing half-done stays


def test_a_file_of_another_shape(tmp_path):
    fixtures.cuhk03_split(tmp_path, "detected")
    path = tmp_path / "cuhk03" / "cuhk-03.mat"
    with h5py.File(path, "w") as store:
        people = store.create_dataset("people", data=np.zeros((3, 2)))
        store.create_dataset("detected", data=np.array([[people.ref]], dtype=h5py.ref_dtype))
    with pytest.raises(ReidError, match=r"cuhk-03\.mat is not the original .*camera pair 1"):
        load("cuhk03-detected", tmp_path)


def test_neither_images_nor_the_original(tmp_path):
    fixtures.cuhk03_split(tmp_path, "labeled")
    with pytest.raises(ReidError, match=r"lacks .*images_labeled/ and .*cuhk-03\.mat"):
        load("cuhk03-labeled", tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train_idx", [[1], [5]], '"train_idx" points outside'),
        ("query_idx", [[0]], '"query_idx" points outside'),
        ("gallery_idx", np.zeros((0, 1)), '"gallery_idx" holds no whole numbers'),
        ("labels", [[1], [1], [2]], "4 names and 3 labels"),
        ("labels", [[0], [1], [2], [2]], "4 labels from 0"),
        ("filelist", np.zeros((4, 1)), "0 names and 4 labels"),
    ],
)
def test_a_split_that_does_not_fit(tmp_path, key, value, message):
    fixtures.cuhk03_images(tmp_path)
    file = tmp_path / "cuhk03" / "cuhk03_new_protocol_config_detected.mat"
    content = {k: v for k, v in loadmat(file).items() if not k.startswith("_")}
    savemat(file, {**content, key: np.array(value)})
    with pytest.raises(ReidError, match=message) as caught:
        load("cuhk03-detected", tmp_path)
    assert file.name in str(caught.value)


def test_a_split_without_a_variable(tmp_path):
    fixtures.cuhk03_images(tmp_path)
    file = tmp_path / "cuhk03" / "cuhk03_new_protocol_config_detected.mat"
    savemat(file, {"filelist": np.zeros(1)})
    with pytest.raises(ReidError, match='has no variable "labels"'):
        load("cuhk03-detected", tmp_path)


def test_an_image_of_the_split_that_is_not_there(tmp_path):
    fixtures.cuhk03_images(tmp_path)
    (tmp_path / "cuhk03" / "images_detected" / "1_002_1_01.png").unlink()
    with pytest.raises(ReidError, match=r"1_002_1_01\.png is not there, but .*config_detected"):
        load("cuhk03-detected", tmp_path)


@pytest.mark.real_data
@pytest.mark.filterwarnings("error")
def test_the_real_subset_has_the_counts_of_its_readme(cuhk03_subset_root):
    dataset = load("cuhk03-subset", cuhk03_subset_root)
    summary = dataset.summary()
    assert summary.images.tolist() == [4840, 200, 800]
    assert summary.ids.tolist() == [484, 100, 100]
    assert summary.cameras.tolist() == [2, 2, 2]
    assert not set(dataset.train.pid) & set(dataset.query.pid)
    # each query has four right answers in the other camera
    good = dataset.gallery.groupby(["pid", "cam"]).size()
    pairs = zip(dataset.query.pid, dataset.query.cam, strict=True)
    assert all(good[pid, 3 - cam] == 4 for pid, cam in pairs)
