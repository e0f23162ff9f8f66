"""Strict values: what fits a type hint, what is converted, what the message says."""

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from reidlib.errors import ReidError, nearest
from reidlib.system.types import check_options, check_type, describe, hints_of, options_of

FITS = [
    (3, int, 3),
    (3, float, 3.0),
    (0.5, float, 0.5),
    (True, bool, True),
    ("a", str, "a"),
    (None, int | None, None),
    (4, int | None, 4),
    (True, int | bool, True),
    (1, float | None, 1.0),
    ([1, 2], tuple[int, int], (1, 2)),
    ((1, 2), tuple[int, int], (1, 2)),
    ([1, 2.5, 3], tuple[float, ...], (1.0, 2.5, 3.0)),
    ([], tuple[float, ...], ()),
    ([[1, 2], [3, 4]], tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
    ("avg", Literal["avg", "max"], "avg"),
    (2, Literal[1, 2], 2),
    ("max", Literal["avg", "max"] | None, "max"),
    ({"a": 1}, dict[str, float], {"a": 1.0}),
    ({"a": [1]}, Mapping[str, Any], {"a": [1]}),
    ({1: "x"}, dict, {1: "x"}),
    (object, Any, object),
]
MISFITS = [
    (True, int),
    (True, float),
    (1, bool),
    (0, bool),
    (1.0, int),
    ("1", int),
    (None, int),
    (0, type(None)),
    (1, str),
    ([1], tuple[int, int]),
    ([1, 2, 3], tuple[int, int]),
    ([1.5, 2], tuple[int, int]),
    ("ab", tuple[str, str]),
    (3, tuple[int, ...]),
    ([1, "2"], tuple[float, ...]),
    ("mean", Literal["avg", "max"]),
    (True, Literal[1, 2]),
    (1.0, Literal[1, 2]),
    ({"a": "b"}, dict[str, int]),
    ({1: 1}, dict[str, int]),
    ([("a", 1)], dict[str, int]),
    ("x", int | float | None),
]


@pytest.mark.parametrize(("value", "hint", "expected"), FITS)
def test_what_fits_comes_back_in_the_type_of_the_hint(value, hint, expected):
    found = check_type(value, hint, "it")
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        assert [type(item) for item in found] == [type(item) for item in expected]


@pytest.mark.parametrize(("value", "hint"), MISFITS)
def test_what_does_not_fit_is_one_sentence_that_begins_with_the_name(value, hint):
    with pytest.raises(ReidError, match=r"^profile demo: lr") as caught:
        check_type(value, hint, "profile demo: lr")
    assert str(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_message_names_value_type_and_hint():
    with pytest.raises(ReidError) as caught:
        check_type("abc", int | None, "recipe: steps")
    assert str(caught.value) == "recipe: steps is 'abc' (str), not int | None"


def test_a_number_that_yaml_read_as_text_is_explained():
    with pytest.raises(ReidError, match=r"lr is '1e-4' \(str\), not float .*write 1\.0e-4"):
        check_type("1e-4", float, "lr")
    with pytest.raises(ReidError) as caught:
        check_type("fast", float, "lr")
    assert "YAML" not in str(caught.value)


def test_a_wrong_choice_gets_the_nearest_right_one():
    with pytest.raises(ReidError, match='schedule: unknown "cosin", did you mean "cosine"'):
        check_type("cosin", Literal["step", "cosine"], "schedule")
    with pytest.raises(ReidError, match="choose from: cosine, step"):
        check_type("zzz", Literal["step", "cosine"], "schedule")


def test_nearest():
    assert nearest("basline", ["rmgl", "baseline"]) == ', did you mean "baseline"?'
    assert nearest("q", ["rmgl", "baseline"]) == ", choose from: baseline, rmgl"
    assert nearest("q", []) == ""


def test_hints_are_resolved_and_described():
    def function(a: "int | None", *, b: "tuple[float, ...]" = ()) -> "str": ...

    assert hints_of(function) == {"a": int | None, "b": tuple[float, ...], "return": str}
    assert [describe(h) for h in (int, int | None, tuple[int, int])] == [
        "int",
        "int | None",
        "tuple[int, int]",
    ]


def test_options_are_what_has_a_default():
    def function(root: str, n: int = 3, *, flip: bool = False, must: str) -> None: ...

    found = options_of(function, "flip")
    assert found == {"n": (int, 3)}
    assert check_options({"n": 4}, found, "it") == {"n": 4}
    with pytest.raises(ReidError, match=r'^it has no option "flip", choose from: n$'):
        check_options({"flip": True}, found, "it")
    with pytest.raises(ReidError, match=r"^it: option n is 'a'"):
        check_options({"n": "a"}, found, "it")
