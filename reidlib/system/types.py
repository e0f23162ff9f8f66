"""Strict values: a small check of a value against a type hint, for recipes, profiles, options."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from reidlib.errors import ReidError, nearest


def hints_of(thing: Callable[..., Any]) -> dict[str, Any]:
    """The resolved annotations of a function or class."""
    return typing.get_type_hints(thing)


class Option(NamedTuple):
    """The type and the default value of a parameter."""

    hint: Any
    default: Any


def options_of(function: Callable[..., Any], *without: str) -> dict[str, Option]:
    """The options of a function, by name: its parameters with a default, but for ``without``."""
    hints = hints_of(function)
    return {
        name: Option(hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty and name not in without
    }


def check_options(
    given: Mapping[str, Any], known: Mapping[str, Option], what: str
) -> dict[str, Any]:
    """``given`` in the types of the options ``known``.

    Raises ReidError, which begins with ``what``, for an unknown name and for a wrong type.
    """
    for name in given:
        if name not in known:
            raise ReidError(f'{what} has no option "{name}"{nearest(name, known)}')
    return {k: check_type(v, known[k].hint, f"{what}: option {k}") for k, v in given.items()}


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
