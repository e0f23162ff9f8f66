"""The three tables, their fingerprint, and loading by name."""

import warnings

import pytest

from reidlib import data
from reidlib.data.dataset import Dataset, fingerprint_files, warn_counts
from reidlib.errors import ReidError


@pytest.fixture
def dataset(split) -> Dataset:
    gallery = split.assign(pid=[-1, -1, 0, 7, 7, 3, 3, 3, 20, 20, 9, 9])
    return Dataset("drawn", split, split.head(4), gallery, "abc")


def test_summary_counts_by_split(dataset):
    summary = dataset.summary()
    assert summary.index.tolist() == ["train", "query", "gallery"]
    assert summary.loc["train"].tolist() == [12, 4, 3, 0, 0]
    assert summary.loc["query"].tolist() == [4, 2, 3, 0, 0]
    assert summary.loc["gallery"].tolist() == [12, 4, 3, 1, 2]
    assert summary.columns.tolist() == ["images", "ids", "cameras", "distractors", "junk"]
    assert dataset.num_ids == 4
    assert repr(dataset) == "Dataset(drawn: 12 train, 4 query, 12 gallery)"


def test_but_changes_a_copy(dataset):
    other = dataset.but(name="other", protocol="partial")
    assert (other.name, other.protocol, dataset.name) == ("other", "partial", "drawn")
    assert other.train is dataset.train


def test_a_table_without_a_column_is_named(split):
    with pytest.raises(ReidError, match=r"drawn: its query table lacks the columns \['cam'\]"):
        Dataset("drawn", split, split.drop(columns="cam"), split, "abc")


def test_the_fingerprint_sees_names_sizes_labels_and_order(split, tmp_path):
    def key(table, name="drawn", root=tmp_path):
        return fingerprint_files(name, [table, table.head(2)], root)

    base = key(split)
    assert len(base) == 16
    assert base == key(split.copy())
    changed = [
        key(split, "other"),
        key(split.iloc[::-1]),
        key(split.head(11)),
        key(split.assign(pid=split.pid + 1)),
        key(split.assign(cam=split.cam + 1)),
    ]
    with open(split.path[3], "ab") as file:
        file.write(b"x")
    changed.append(key(split))
    assert len({base, *changed}) == 7


def test_the_fingerprint_is_the_same_in_another_place(split, tmp_path):
    before = fingerprint_files("drawn", [split], tmp_path)
    moved = (tmp_path / "images").rename(tmp_path / "b")
    (tmp_path / "root").mkdir()
    moved.rename(tmp_path / "root" / "images")
    paths = split.path.str.replace("images", "root/images", n=1, regex=False)
    table = split.assign(path=paths)
    assert fingerprint_files("drawn", [table], tmp_path / "root") == before


def test_a_warning_names_both_counts():
    with pytest.warns(UserWarning, match=r"M: train has 1,234 images, officially 12,936$"):
        warn_counts("M", {"train": 1234, "query": 5}, {"train": 12936, "query": 5})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_counts("M", {"query": 5}, {"query": 5})


@pytest.fixture
def registered(monkeypatch, dataset):
    """A dataset "drawn" whose loader has options."""
    import sys
    import types

    def load(root=None, *, views: int = 2, size: tuple[int, int] = (8, 4)) -> Dataset:
        return dataset.but(name=f"drawn {root} {views} {size}")

    module = types.ModuleType("drawn_dataset")
    module.load = load
    monkeypatch.setitem(sys.modules, "drawn_dataset", module)
    monkeypatch.setitem(data.LOADERS, "drawn", "drawn_dataset")


def test_load_passes_checked_options(registered, tmp_path):
    assert data.load("drawn").name == "drawn None 2 (8, 4)"
    found = data.load("drawn", str(tmp_path), views=3, size=[6, 3])
    assert found.name == f"drawn {tmp_path} 3 (6, 3)"


def test_load_cuts_partial_images(registered):
    found = data.load("drawn", partial={"ratio": [0.5, 0.5], "side": "top"})
    assert found.query.box.tolist() == [(-1.0, 0.0, 1.0, 1.0)] * 4
    assert "box" not in found.gallery.columns
    # a list, as YAML and JSON give it, is the same dataset as a tuple
    same = data.load("drawn", partial={"ratio": (0.5, 0.5), "side": "top"})
    assert same.fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": 3}, 'dataset drawn has no option "view", did you mean "views"'),
        ({"views": "3"}, r"dataset drawn: option views is '3' \(str\), not int"),
        ({"size": [8]}, "dataset drawn: option size"),
        (
            {"partial": {"ratios": (0.5, 0.6)}},
            'partial has no option "ratios", did you mean "ratio"',
        ),
        ({"partial": {"ratio": 0.5}}, "partial: option ratio is 0.5"),
        ({"partial": {"role": "querry"}}, 'partial: option role: unknown "querry", did you mean'),
    ],
)
def test_load_refuses_what_it_does_not_know(registered, options, message):
    with pytest.raises(ReidError, match=message):
        data.load("drawn", **options)


def test_an_unknown_dataset_gets_the_nearest_name():
    with pytest.raises(ReidError, match='unknown dataset "market", did you mean "market1501"'):
        data.load("market")
    with pytest.raises(ReidError, match=r"choose from: .*synthetic"):
        data.load("zzz")
