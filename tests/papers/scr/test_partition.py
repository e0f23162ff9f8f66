"""Partitions: the notation, where maps and channels are cut, what is pooled."""

import pytest
import torch

from reidlib.errors import ReidError
from reidlib.papers.scr.model import Partition, parse_branches, spans


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p1", [("p1", 1, 1)]),
        ("p2(s2)", [("p2", 2, 1)]),
        ("p2(c2)", [("p2", 1, 2)]),
        ("p1+p2(s2c2)+p3(s3c3)", [("p1", 1, 1), ("p2", 2, 2), ("p3", 3, 3)]),
        ("p1+p2(c2)+p3(c3)+p4(s4c2)", [("p1", 1, 1), ("p2", 1, 2), ("p3", 1, 3), ("p4", 4, 2)]),
        ("p12(s10)", [("p12", 10, 1)]),
    ],
)
def test_the_papers_notation(text, expected):
    assert [(b.name, b.rows, b.channels) for b in parse_branches(text)] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" is not a branch'),
        ("p1 + p2", '"p1 " is not a branch'),
        ("p2()", r'"p2\(\)" is not a branch'),
        ("p2(c2s2)", "is not a branch"),
        ("p2(s2", "is not a branch"),
        ("q2(s2)", "is not a branch"),
        ("p1+", '"" is not a branch'),
        ("p2(s0)", "fewer than 2 parts"),
        ("p2(s1c2)", "fewer than 2 parts"),
        ("p2(w1)", "fewer than 2 parts"),
        ("p2(s2)+p2(c2)", "p2 twice"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(text, message):
    with pytest.raises(ReidError, match=message) as caught:
        parse_branches(text)
    assert "\n" not in str(caught.value)


def test_channel_groups_of_the_paper():
    assert [end - start for start, end in spans(2048, 3)] == [683, 683, 682]
    for length, n in ((2048, 3), (6, 4), (5, 5), (7, 2)):
        rows = torch.arange(length)
        parts = rows.tensor_split(n)
        assert [(int(p[0]), int(p[-1]) + 1) for p in parts] == spans(length, n)


def test_pooling_equals_a_loop_over_parts():
    maps = torch.randn(3, 8, 7, 2)
    partition = Partition("p3", 3, 3)
    pooled = partition.pool(maps)
    assert [part.name for part in partition.parts] == [
        "p3", "p3.s1", "p3.s2", "p3.s3", "p3.c1", "p3.c2", "p3.c3",
    ]  # fmt: skip
    assert partition.lengths(8) == [8, 8, 8, 8, 3, 3, 2]
    for part, vector in zip(partition.parts, pooled, strict=True):
        top, bottom = part.rows(7)
        first, last = part.channels(8)
        for n in range(3):
            expected = [maps[n, c, top:bottom].max() for c in range(first, last)]
            assert torch.equal(vector[n], torch.stack(expected))


def test_the_control_sees_the_whole_map_as_often_as_others_see_parts():
    maps = torch.randn(3, 8, 7, 2)
    (control,), (cut,) = parse_branches("p2(w4)"), parse_branches("p2(s2c2)")
    assert [part.name for part in control.parts] == ["p2", "p2.w1", "p2.w2", "p2.w3", "p2.w4"]
    assert control.lengths(8) == [8] * 5 == [8] * len(cut.parts)
    for part, vector in zip(control.parts, control.pool(maps), strict=True):
        assert (part.rows(7), part.channels(8)) == ((0, 7), (0, 8))
        assert torch.equal(vector, maps.amax((2, 3)))


def test_a_map_with_too_few_rows():
    with pytest.raises(ReidError, match="2 rows cannot be cut into the 3 spatial parts of p3"):
        Partition("p3", 3).pool(torch.zeros(1, 4, 2, 2))
