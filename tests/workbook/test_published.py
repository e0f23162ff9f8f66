"""Printed tables: read as they are, a value is one or none."""

import pytest

from reidlib.errors import ReidError
from reidlib.workbook import published


def test_values_are_those_printed():
    values = published.values("rmgl_table5", "market1501")
    assert values["2+3-stripe+RP+ABP+RSA", "mAP"] == 90.0
    assert len(values) == 42
    assert published.values(None) == {}


def test_a_table_keeps_quoted_rows():
    table = published.table("rmgl_table1", "market1501")
    assert set(table.source) == {"quoted", "reproduced"}
    assert set(table.dataset) == {"market1501"}


def test_an_unknown_published_table_names_the_nearest():
    with pytest.raises(ReidError, match='did you mean "vcn_table3"'):
        published.values("vcn_tabel3", None)


@pytest.mark.parametrize(
    ("name", "dataset", "message"),
    [
        ("vcn_table3", "market", 'prints nothing on "market", did you mean "market1501"'),
        ("vcn_table1", None, "several times: choose one of the datasets"),
        ("ppcl_table1b", None, "several times: give each of these rows a name of its own"),
        ("stnreid_table1", None, "holds no results"),
    ],
)
def test_a_published_value_is_one_or_none(name, dataset, message):
    with pytest.raises(ReidError, match=message):
        published.values(name, dataset)
