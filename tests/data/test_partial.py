"""Partial images: what remains is known exactly, and drawn as the options say."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from reidlib.data import ImageBank
from reidlib.data.dataset import Dataset
from reidlib.data.partial import make_partial, partial_boxes
from reidlib.errors import ReidError

WHOLE = {"top": (-1, 1, 1), "bottom": (-1, -1, 1), "left": (-1, 1, 1), "right": (-1, -1, 1)}


@pytest.fixture
def dataset() -> Dataset:
    tables = [
        pd.DataFrame({"path": [f"{s}{i}.jpg" for i in range(n)], "pid": range(n), "cam": 1})
        for s, n in (("t", 4), ("q", 40), ("g", 60))
    ]
    return Dataset("people", *tables, fingerprint="f" * 16)


def share_and_side(box: tuple[float, ...]) -> tuple[float, str]:
    """What remains, and which side was removed; a box that two sides were cut from is an error."""
    x0, y0, x1, y1 = box
    cuts = {"left": x0 + 1, "top": y0 + 1, "right": 1 - x1, "bottom": 1 - y1}
    removed = [side for side, width in cuts.items() if width > 1e-9]
    assert len(removed) == 1
    return (x1 - x0) * (y1 - y0) / 4, removed[0]


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_one_side_is_removed_and_the_share_remains(side):
    shares, sides = zip(
        *map(share_and_side, partial_boxes(2000, ratio=(0.3, 0.9), side=side, seed=1)), strict=True
    )
    assert set(sides) == {side}
    assert min(shares) >= 0.3 - 1e-12
    assert max(shares) <= 0.9 + 1e-12
    assert stats.kstest(shares, stats.uniform(0.3, 0.6).cdf).pvalue > 1e-3


def test_any_side_is_each_as_often():
    boxes = partial_boxes(4000, ratio=(0.5, 0.5), side="any", seed=0)
    shares, sides = zip(*map(share_and_side, boxes), strict=True)
    assert set(np.round(shares, 12)) == {0.5}
    counts = [sides.count(side) for side in WHOLE]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_pixels_are_those_that_remain(tmp_path):
    """Quarters of an image in four colours; what is removed must not be seen."""
    pixels = np.zeros((40, 20, 3), np.uint8)
    pixels[:20, :10, 0] = pixels[:20, 10:, 1] = pixels[20:, :10, 2] = pixels[20:, 10:] = 200
    pixels[20:, 10:] = (0, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    table = pd.DataFrame({"path": [str(tmp_path / "x.png")], "pid": 1, "cam": 1})
    dataset = Dataset("x", table, table, table, "0")
    corner = {  # of the output: top left, bottom right
        "top": ((0, 0, 200), (0, 0, 0)),
        "bottom": ((200, 0, 0), (0, 200, 0)),
        "left": ((0, 200, 0), (0, 0, 0)),
        "right": ((200, 0, 0), (0, 0, 200)),
    }
    for side, expected in corner.items():
        query = make_partial(dataset, ratio=(0.5, 0.5), side=side).query
        raw = ImageBank.from_split(query, (40, 20)).raw(slice(None))[0]
        assert (tuple(raw[:, 0, 0].tolist()), tuple(raw[:, -1, -1].tolist())) == expected


@pytest.mark.parametrize(
    ("role", "cut"),
    [("query", {"query"}), ("gallery", {"gallery"}), ("both", {"query", "gallery"})],
)
def test_the_role_says_which_images_are_partial(dataset, role, cut):
    partial = make_partial(dataset, role=role)
    for name, table in partial.splits.items():
        assert ("box" in table.columns) == (name in cut)
        pd.testing.assert_frame_equal(table[["path", "pid", "cam"]], dataset.splits[name])
    assert partial.protocol == dataset.protocol
    assert "box" not in dataset.query.columns  # the original is left alone


def test_query_and_gallery_are_cut_independently(dataset):
    partial = make_partial(dataset.but(gallery=dataset.query), role="both")
    shares = [[share_and_side(box)[0] for box in t.box] for t in (partial.query, partial.gallery)]
    assert abs(np.corrcoef(shares)[0, 1]) < 0.5


def test_boxes_and_fingerprint_depend_on_the_options(dataset):
    def key(**options):
        partial = make_partial(dataset, **options)
        return partial.fingerprint, tuple(partial.query.box)

    assert key(seed=5) == key(seed=5)
    assert key(seed=5)[1] != key(seed=6)[1]
    options = [{}, {"seed": 6}, {"ratio": (0.4, 0.7)}, {"side": "top"}, {"role": "both"}]
    prints = [key(**option)[0] for option in options] + [dataset.fingerprint]
    assert len(set(prints)) == len(prints)
    other = make_partial(dataset.but(fingerprint="0" * 16))
    assert other.fingerprint not in prints
    assert "partial query 40%-80%" in make_partial(dataset).name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": (0.0, 0.5)}, r"ratio is \(0\.0, 0\.5\), not 0 < low <= high <= 1"),
        ({"ratio": (0.6, 0.5)}, "ratio"),
        ({"ratio": (0.5, 1.1)}, "ratio"),
        ({"role": "probe"}, 'role is "probe"'),
        ({"side": "front"}, 'side is "front"'),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_values(dataset, options, message):
    with pytest.raises(ReidError, match=f"partial: {message}"):
        make_partial(dataset, **options)


def test_what_is_cut_already_is_not_cut_again(dataset):
    with pytest.raises(ReidError, match="cut out of files already"):
        make_partial(make_partial(dataset))
