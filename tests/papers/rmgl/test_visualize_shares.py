"""Stripe shares: one column a number of stripes, equal stripes drawn once."""

import pandas as pd

from reidlib.papers.rmgl import figures


def test_equal_stripes_are_one_line():
    rows = [
        {"stripes": n, "path": path, "partition": cut, "share": 0.5, "cut_spread": 0.1, "x": x}
        for n in (2, 3)
        for path in ("original", "receptive")
        for cut in ("uniform", "balanced")
        for x in (0.0, 0.1)
    ]
    figure = figures.stripe_shares(pd.DataFrame(rows))
    assert len(figure.axes) == 4
    assert [axis.get_title(loc="left") or axis.get_title() for axis in figure.axes] == [
        "2 stripes", "3 stripes", "", "",
    ]  # fmt: skip
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["equal stripes", "balanced, original path", "balanced, receptive path"]
    assert figure.axes[0].lines[1].get_ydata().tolist() == [50.0, 50.0]
