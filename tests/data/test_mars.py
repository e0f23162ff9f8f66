"""MARS: tracklets, junk, distractors, queries."""

import fixtures
import numpy as np
import pytest
from scipy.io import savemat

from reidlib.data import load
from reidlib.errors import ReidError

pytestmark = pytest.mark.filterwarnings("ignore:MARS")


@pytest.fixture
def root(tmp_path):
    fixtures.mars(tmp_path)
    return tmp_path


def test_tracklets_keep_their_number_in_query_and_gallery(root):
    dataset = load("mars", root)
    assert dataset.train.tracklet.tolist() == [1, 1, 2, 2, 3, 3]
    assert dataset.query.tracklet.tolist() == [3, 3, 5, 5]
    assert dataset.gallery.tracklet.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert dataset.gallery.frame.tolist() == [1, 7] * 5
    assert dataset.summary().loc["gallery", ["distractors", "junk"]].tolist() == [2, 2]


def test_queries_leave_the_gallery_only_if_asked(root):
    official = load("mars", root)
    other = load("mars", root, gallery="without queries")
    assert set(official.query.path) <= set(official.gallery.path)
    assert other.gallery.tracklet.tolist() == [1, 1, 2, 2, 4, 4]
    assert other.query.equals(official.query)
    assert official.fingerprint != other.fingerprint


def test_without_queries_the_gallery_has_no_official_count(root):
    with pytest.warns(UserWarning, match="MARS") as caught:
        load("mars", root, gallery="without queries")
    assert all("gallery" not in str(w.message) for w in caught)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 2, 1, 1], [3, 4, 1, 2], [5, 7, 65, 1]], "tracklet 3 is frames 5 to 7 of 6"),
        ([[1, 2, 1, 1], [2, 4, 1, 2]], "tracklet 2 is frames 2 to 4 of 6"),
        ([[0, 2, 1, 1]], "tracklet 1 is frames 0 to 2"),
        ([[2, 1, 1, 1]], "tracklet 1 is frames 2 to 1"),
        ([[1, 3, 1, 1]], r"tracklet 1 is id 1, camera 1, but holds 0001/0001C2T0001F001\.jpg"),
        ([[1, 2, 9, 1]], "tracklet 1 is id 9, camera 1"),
        ([[1, 2, 1]], r"is \(1, 3\), not \(tracklets, 4\)"),
        ([[1, 2.5, 1, 1]], "numbers that are not whole"),
        ([[1, np.nan, 1, 1]], "no whole numbers"),
        (np.zeros((0, 4)), "no whole numbers"),
        ("text", "no whole numbers"),
    ],
)
def test_lists_that_do_not_fit_are_named(root, rows, message):
    file = root / "MARS" / "info" / "tracks_train_info.mat"
    content = rows if isinstance(rows, str) else np.array(rows)
    savemat(file, {"track_train_info": content})
    with pytest.raises(ReidError, match=rf"tracks_train_info\.mat.*{message}"):
        load("mars", root)


@pytest.mark.parametrize("queries", [[0], [6], [1, 99]])
def test_queries_outside_of_the_test_tracklets(root, queries):
    savemat(root / "MARS" / "info" / "query_IDX.mat", {"query_IDX": np.array(queries)})
    with pytest.raises(ReidError, match=r"query_IDX\.mat names tracklets .* has 5"):
        load("mars", root)


def test_a_mat_file_with_other_variables(root):
    savemat(root / "MARS" / "info" / "query_IDX.mat", {"queries": np.array([1])})
    with pytest.raises(ReidError, match=r'query_IDX\.mat has no variable "query_IDX"'):
        load("mars", root)


@pytest.mark.real_data
def test_the_fixture_of_edge_drawings(mars_root):
    with pytest.warns(UserWarning, match="train has 87 tracklets, officially 8,298"):
        dataset = load("mars", mars_root)
    summary = dataset.summary()
    assert summary.images.loc[["train", "gallery"]].tolist() == [1204, 865]
    assert summary.ids.loc[["train", "gallery"]].tolist() == [12, 12]
    assert [t.tracklet.nunique() for t in dataset.splits.values()] == [87, 22, 59]
    # with the queries taken out, three of them have no match in another camera (see the README)
    rest = load("mars", mars_root, gallery="without queries").gallery
    for gallery, missing in ((dataset.gallery, 0), (rest, 3)):
        alone = 0
        for _, query in dataset.query.groupby("tracklet").first().iterrows():
            good = (gallery.pid == query.pid) & (gallery.cam != query.cam)
            alone += not good.any()
        assert alone == missing
