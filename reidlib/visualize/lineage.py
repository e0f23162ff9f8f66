"""Which runs a run starts from, drawn from its recipe (STNReID, Fig. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from reidlib.models.base import count_parameters
from reidlib.recipe import Recipe
from reidlib.train import build_model

WIDE, HIGH, ACROSS, DOWN = 2.7, 1.05, 3.7, 1.45  # inches: a box, and from box to box
TRAINS, FROZEN, OLDER = "#f3a66a", "#9cc4e4", "#d8d8d8"


@dataclass(frozen=True)
class _Node:
    recipe: Recipe
    column: int
    lane: float


def lineage(recipes: Mapping[str, Recipe], names: Mapping[str, Recipe] | None = None) -> Figure:
    """A panel a recipe: on the right its run, to its left the runs that its weights come from.

    names: what other recipes are called. Each box says what trains (orange), what is frozen or only
    put together (blue), and how many parameters train, counted on the built model.
    """
    known = {recipe.training(): name for name, recipe in (names or {}).items()}
    known |= {recipe.training(): name for name, recipe in recipes.items()}
    panels = [_nodes(recipe.training()) for recipe in recipes.values()]
    depth = max(node.column for nodes in panels for node in nodes)
    lanes = [max(node.lane for node in nodes) + 1 for nodes in panels]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=((depth + 1) * ACROSS - 0.6, sum(lanes) * DOWN + 0.6 * len(panels)),
        height_ratios=lanes, layout="constrained", squeeze=False,
    )  # fmt: skip
    for axis, title, nodes, lane in zip(axes[:, 0], recipes, panels, lanes, strict=True):
        for node in nodes:
            _draw(axis, node, depth, known.get(node.recipe, node.recipe.model))
            for earlier in nodes:
                if earlier.recipe in node.recipe.start and earlier.column == node.column + 1:
                    _arrow(axis, earlier, node, depth)
        axis.set(
            xlim=(-0.2, depth * ACROSS + WIDE + 0.2),
            ylim=(-(lane - 1) * DOWN - 0.6 * HIGH, 0.6 * HIGH),
        )
        axis.set_title(title)
        axis.set_axis_off()
    return figure


def _nodes(recipe: Recipe, column: int = 0, lane: float = 0.0) -> list[_Node]:
    found: list[_Node] = []
    below = lane
    for start in recipe.start:
        branch = _nodes(start, column + 1, below)
        found += branch
        below = max(node.lane for node in branch) + 1
    starts = [node.lane for node in found if node.column == column + 1]
    return [_Node(recipe, column, sum(starts) / len(starts) if starts else lane), *found]


def _parts(recipe: Recipe) -> list[tuple[str, str]]:
    """What a model consists of, and whether it trains: ("STN", "frozen")."""
    done = "as it is" if recipe.steps == 0 else "trains"
    if recipe.model != "stnreid":
        return [("ReID module", done)]
    stn = "frozen" if recipe.options.get("frozen_stn") else done
    return [("STN", stn), ("ReID module", done)]


def _losses(recipe: Recipe) -> str:
    if recipe.steps == 0:
        return "no training"
    smoothing = recipe.options.get("label_smoothing", 0.1)
    parts = ["ID" + (", smoothed" if smoothing else "")]
    parts += ["triplet"] if recipe.options.get("triplet", 1.0) else []
    parts += ["STN"] if recipe.model == "stnreid" else []
    return "losses: " + " + ".join(parts)


def _draw(axis: Axes, node: _Node, depth: int, name: str) -> None:
    x, y = (depth - node.column) * ACROSS, -node.lane * DOWN
    axis.add_patch(FancyBboxPatch((x, y - HIGH / 2), WIDE, HIGH, boxstyle="round,pad=0.06",
                                  fc="white", ec="#444444"))  # fmt: skip
    parts = _parts(node.recipe)
    for i, (part, state) in enumerate(parts):
        width = WIDE / len(parts)
        colour = {"trains": TRAINS, "frozen": FROZEN}.get(state, FROZEN)
        axis.add_patch(FancyBboxPatch((x + i * width + 0.06, y - 0.14), width - 0.12, 0.34,
                                      boxstyle="round,pad=0.02", fc=colour, ec="none"))  # fmt: skip
        axis.text(x + (i + 0.5) * width, y + 0.03, f"{part}: {state}", ha="center", va="center",
                  fontsize=7.5)  # fmt: skip
    axis.text(x + WIDE / 2, y + 0.37, name, ha="center", va="center", weight="bold", fontsize=9)
    trained = 0 if node.recipe.steps == 0 else _trainable(node.recipe)
    axis.text(x + WIDE / 2, y - 0.36, f"{_losses(node.recipe)}\n{trained / 1e6:.2f} M parameters "
              "train", ha="center", va="center", fontsize=7.5)  # fmt: skip


def _trainable(recipe: Recipe) -> int:
    return count_parameters(build_model(recipe.but(weights=None), 1))


def _arrow(axis: Axes, earlier: _Node, node: _Node, depth: int) -> None:
    a = ((depth - earlier.column) * ACROSS + WIDE + 0.08, -earlier.lane * DOWN)
    b = ((depth - node.column) * ACROSS - 0.08, -node.lane * DOWN)
    axis.add_patch(FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=12, color="#444444"))
    taken = "STN" if earlier.recipe.model == "stnreid" else "ReID module"
    axis.text((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, taken, ha="center", va="center", fontsize=7.5,
              bbox={"fc": "white", "ec": "none", "pad": 1})  # fmt: skip
