"""Training: recipes, the loop, the run store, many runs side by side."""

from reidlib.train.build import build_model
from reidlib.train.loop import fit
from reidlib.train.recipe import Recipe
from reidlib.train.store import Run

__all__ = ["Recipe", "Run", "build_model", "fit"]
