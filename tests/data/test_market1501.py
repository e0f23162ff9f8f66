"""Market-1501: its layout in miniature, and the real thing where it is."""

import warnings

import pytest

from reidlib.data import load
from reidlib.data.sets.market import Market1501
from reidlib.errors import ReidError

TRAIN = ["0002_c1s1_000451_03.jpg", "0002_c2s1_000776_01.jpg", "0007_c3s3_077419_03.jpg"]
QUERY = ["0001_c1s1_001051_00.jpg", "0003_c6s4_015642_00.jpg"]
GALLERY = [
    "-1_c1s1_000401_03.jpg",
    "0000_c1s1_000151_01.jpg",
    "0001_c2s1_009876_12.jpg.jpg",
    "0003_c1s6_015996_02.jpg",
]


@pytest.fixture
def root(tmp_path, draw):
    """The exact layout, with images drawn here."""
    folder = tmp_path / "Market-1501-v15.09.15"
    parts = {"bounding_box_train": TRAIN, "query": QUERY, "bounding_box_test": GALLERY}
    for part, names in parts.items():
        for i, name in enumerate(names):
            draw(folder / part / name, seed=i)
    (folder / "bounding_box_test" / "Thumbs.db").write_bytes(b"")
    (folder / "readme.txt").write_text("")
    return tmp_path


@pytest.fixture
def official(monkeypatch):
    """The official counts are those of the miniature."""
    monkeypatch.setattr(Market1501, "COUNTS", {"train": 3, "query": 2, "gallery": 4})


def test_names_become_tables(root, official):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load("market1501", root)
    assert dataset.train.pid.tolist() == [2, 2, 7]
    assert dataset.train.cam.tolist() == [1, 2, 3]
    assert dataset.train.frame.tolist() == [451, 776, 77419]
    assert dataset.query.pid.tolist() == [1, 3]
    assert dataset.query.cam.tolist() == [1, 6]
    assert dataset.gallery.pid.tolist() == [-1, 0, 1, 3]
    assert dataset.gallery.cam.tolist() == [1, 1, 2, 1]
    assert [path.rsplit("/", 1)[1] for path in dataset.gallery.path] == GALLERY
    assert dataset.summary().loc["gallery", ["distractors", "junk"]].tolist() == [1, 1]
    assert (dataset.name, dataset.protocol, dataset.embedded) == ("market1501", "market1501", False)


def test_the_root_may_be_the_folder_itself_or_come_from_the_environment(
    root, official, monkeypatch
):
    monkeypatch.setenv("REIDLIB_DATA", str(root))
    first = load("market1501")
    itself = load("market1501", root / "Market-1501-v15.09.15")
    (root / "Market-1501-v15.09.15").rename(root / "market1501")
    other = load("market1501", root)
    assert first.fingerprint == itself.fingerprint == other.fingerprint


def test_other_counts_are_said_with_both_numbers(root):
    with pytest.warns(UserWarning, match="Market-1501: train") as caught:
        load("market1501", root)
    (warning,) = caught
    for split, count, number in (
        ("train", 3, "12,936"),
        ("query", 2, "3,368"),
        ("gallery", 4, "19,732"),
    ):
        assert f"{split} has {count} images, officially {number}" in str(warning.message)


@pytest.mark.parametrize(
    "name",
    [
        "0002_c1_000451_03.jpg",  # no sequence
        "2_c1s1_000451_03.jpg",
        "0002_c1s1_000451_03.png",
        "0002_c1s1_000451_03.jpg.jpg.jpg",
        "-2_c1s1_000451_03.jpg",
        "x0002_c1s1_000451_03.jpg",
        "notes.txt",
    ],
)
def test_a_name_that_does_not_parse_is_named(root, official, draw, name):
    (root / "Market-1501-v15.09.15" / "query" / name).write_bytes(b"")
    with pytest.raises(
        ReidError, match=rf"query/{name} is not named as .*0002_c1s1_000451_03\.jpg"
    ):
        load("market1501", root)


def test_a_missing_part_is_named(root):
    (root / "Market-1501-v15.09.15" / "query").rename(root / "elsewhere")
    with pytest.raises(ReidError, match=r"lacks the folder .*Market-1501-v15\.09\.15/query"):
        load("market1501", root)


def test_an_empty_part_is_named(root):
    folder = root / "Market-1501-v15.09.15" / "query"
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(ReidError, match=r"query holds no images"):
        load("market1501", root)


def test_no_dataset_no_folder_no_environment(tmp_path, monkeypatch):
    expected = (
        r"no Market-1501 below .*: expected .*bounding_box_train/, query/, bounding_box_test/"
    )
    with pytest.raises(ReidError, match=expected):
        load("market1501", tmp_path)
    with pytest.raises(ReidError, match=r"root is .*nowhere, which is not a folder"):
        load("market1501", tmp_path / "nowhere")
    monkeypatch.setenv("REIDLIB_DATA", str(tmp_path / "gone"))
    with pytest.raises(ReidError, match=r"REIDLIB_DATA is .*gone, which is not a folder"):
        load("market1501")
    monkeypatch.delenv("REIDLIB_DATA")
    with pytest.raises(ReidError, match="set REIDLIB_DATA"):
        load("market1501")


def test_it_has_no_options(root):
    with pytest.raises(ReidError, match='market1501 has no option "views"'):
        load("market1501", root, views=3)


@pytest.mark.real_data
def test_the_real_set_has_the_official_counts(market1501_root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dataset = load("market1501", market1501_root)
    assert {k: len(v) for k, v in dataset.splits.items()} == {
        "train": 12936,
        "query": 3368,
        "gallery": 19732,
    }
    summary = dataset.summary()
    assert summary.ids.tolist() == [751, 750, 750]
    assert summary.cameras.tolist() == [6, 6, 6]
    assert summary.distractors.tolist() == [0, 0, 2798]
    assert summary.junk.tolist() == [0, 0, 3819]
    assert (dataset.gallery.pid > 0).sum() == 13115
    assert (dataset.gallery.pid != -1).sum() == 15913
    assert dataset.num_ids == 751
    assert set(dataset.query.pid) == set(dataset.gallery.pid) - {0, -1}
    assert not set(dataset.train.pid) & set(dataset.query.pid)
    # every query has a match in another camera
    keys = set(zip(dataset.gallery.pid, dataset.gallery.cam, strict=True))
    cams = {pid: {c for p, c in keys if p == pid} for pid in set(dataset.query.pid)}
    assert all(cams[p] - {c} for p, c in zip(dataset.query.pid, dataset.query.cam, strict=True))
