"""Evaluation: encode, rank, score, compare.

``score`` and what it stands on need torch, NumPy and pandas alone; what encodes images is imported
when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reidlib.evaluate.compare import compare
from reidlib.evaluate.metrics import Metrics, hardest_queries, score
from reidlib.system.lazy import modules

if TYPE_CHECKING:
    from reidlib.evaluate.encode import encode_split
    from reidlib.evaluate.retrieval import evaluate

__all__ = ["Metrics", "compare", "encode_split", "evaluate", "hardest_queries", "score"]

_LATER = {"encode_split": "encode", "evaluate": "retrieval"}
_modules = modules(__name__)


def __getattr__(name: str) -> Any:
    return getattr(_modules(_LATER[name]), name) if name in _LATER else _modules(name)
