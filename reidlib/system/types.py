"""Strict values: a small check of a value against a type hint, for recipes, profiles, options."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from reidlib.errors import ReidError, nearest


def hints_of(thing: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations of a function or class."""
    return typing.get_type_hints(thing)


def describe(hint: Any) -> str:
    """How a hint is named in a message: ``int | None``, ``tuple[int, int]``."""
    return getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)


def _fit(value: Any, hint: Any) -> Any:
    """The value in the hint's type; raises TypeError if it does not fit."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        for option in args:
            try:
                return _fit(value, option)
            except TypeError:
                continue
        raise TypeError
    if origin is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in args):
            raise TypeError
        return value
    if origin is tuple:
        if not isinstance(value, tuple | list):
            raise TypeError
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_fit(item, args[0]) for item in value)
        if len(value) != len(args):
            raise TypeError
        return tuple(_fit(item, kind) for item, kind in zip(value, args, strict=True))
    if origin in (dict, collections.abc.Mapping) or hint is dict:
        if not isinstance(value, collections.abc.Mapping):
            raise TypeError
        kinds = args or (Any, Any)
        return {_fit(key, kinds[0]): _fit(item, kinds[1]) for key, item in value.items()}
    if hint is None or hint is type(None):
        if value is not None:
            raise TypeError
        return None
    if isinstance(value, bool) and hint is not bool:
        raise TypeError
    if hint is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, hint):
        raise TypeError
    return value


def check_type(value: Any, hint: Any, what: str) -> Any:
    """``value`` in the type of ``hint`` (a list becomes a tuple, an int a float where asked for).

    Nothing else is converted. Raises ReidError, which begins with ``what``.
    """
    try:
        return _fit(value, hint)
    except TypeError:
        if get_origin(hint) is Literal:
            choices = [str(choice) for choice in get_args(hint)]
            raise ReidError(f'{what}: unknown "{value}"{nearest(value, choices)}') from None
        tip = ""
        if isinstance(value, str):
            try:
                float(value)
                tip = " (YAML reads 1e-4 as text: write 1.0e-4)"
            except ValueError:
                pass
        kind = type(value).__name__
        raise ReidError(f"{what} is {value!r} ({kind}), not {describe(hint)}{tip}") from None


def frozen(value: Any) -> Any:
    """``value`` with every list in it a tuple, as options are kept."""
    if isinstance(value, collections.abc.Mapping):
        return {key: frozen(inner) for key, inner in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value
