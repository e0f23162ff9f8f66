"""The papers, one folder each: model, recipe, measure, figures, and ``published/`` its tables.

A folder is found because it lies here. Its ``__init__`` names its models by module and class,
``MODELS = {"rmgl": "model:RMGL"}``, and ``__getattr__ = modules(__name__)`` (``system.lazy``) lets
``rmgl.figures`` be written after ``from reidlib.papers import rmgl``. Nothing here imports torch.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path


def folders() -> dict[str, Path]:
    """Name and folder of every paper, sorted."""
    found = (
        (entry.name, Path(entry.module_finder.path, entry.name))  # type: ignore[union-attr]
        for entry in pkgutil.iter_modules(__path__)
        if entry.ispkg
    )
    return dict(sorted(found))


def models() -> dict[str, tuple[str, str]]:
    """Name, module and class of every paper's models; their modules are not imported."""
    found: dict[str, tuple[str, str]] = {}
    for paper in folders():
        package = importlib.import_module(f"{__name__}.{paper}")
        for name, place in getattr(package, "MODELS", {}).items():
            module, _, cls = place.partition(":")
            found[name] = (f"{package.__name__}.{module}", cls)
    return found
