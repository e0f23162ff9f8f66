"""A package whose modules are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def modules(package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package: ``rmgl.figures`` imports that module of ``rmgl``."""

    def find(name: str) -> Any:
        module = f"{package}.{name}"
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None

    return find
