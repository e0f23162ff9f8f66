"""Evaluation: encode, rank, score, compare."""

from reidlib.evaluate.compare import compare
from reidlib.evaluate.encode import encode_split
from reidlib.evaluate.metrics import Metrics, hardest_queries, score
from reidlib.evaluate.retrieval import evaluate
from reidlib.system.lazy import modules

__all__ = ["Metrics", "compare", "encode_split", "evaluate", "hardest_queries", "score"]

__getattr__ = modules(__name__)
