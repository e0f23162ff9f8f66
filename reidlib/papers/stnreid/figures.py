"""Partial probes beside whole images, and overlap against the strength of the ReID module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from torch import Tensor

from reidlib.data import Dataset
from reidlib.data.bank import denormalise
from reidlib.data.decode import decode
from reidlib.geometry import box_iou, sample, theta_to_box, transform_points
from reidlib.models.base import count_parameters
from reidlib.papers.stnreid.measure import Pairs, thetas
from reidlib.papers.stnreid.model import STNReID
from reidlib.train.build import build_model
from reidlib.train.recipe import Recipe
from reidlib.visualize.people import TILE
from reidlib.visualize.style import show

CUT = "#ffd166"


def partial_triples(dataset: Dataset, n: int = 6) -> Figure:
    """STNReID's Fig. 1: a gallery image of a person, the probe's whole image, the partial probe.

    dataset: with partial queries whose column ``box`` says what was cut out (yellow).
    """
    people = dataset.query.drop_duplicates("pid")
    people = people.iloc[:: max(1, len(people) // n)][:n]
    first = dataset.gallery.drop_duplicates("pid").set_index("pid").path
    figure, axes = plt.subplots(
        3, len(people), figsize=(1.15 * len(people), 6.4), layout="constrained", squeeze=False
    )
    height, width = TILE
    for column, row in enumerate(people.to_dict("records")):
        x0, y0, x1, y1 = row["box"]
        show(axes[0, column], decode(first[row["pid"]], TILE))
        show(axes[1, column], decode(row["path"], TILE))
        show(axes[2, column], decode(row["path"], TILE, row["box"]))
        corner = ((x0 + 1) * width / 2, (y0 + 1) * height / 2)
        size = ((x1 - x0) * width / 2, (y1 - y0) * height / 2)
        axes[1, column].add_patch(Rectangle(corner, *size, fill=False, ec=CUT, lw=2.5))
    for axis, label in zip(axes[:, 0], ("gallery", "probe, whole", "probe, partial"), strict=True):
        axis.text(-0.1, 0.5, label, rotation=90, ha="right", va="center", transform=axis.transAxes)
    return figure


def overlap_by_row(table: pd.DataFrame) -> Figure:
    """Mean overlap with the true patch, one line for each kind of pairs, against the rows.

    table: of ``measure.overlap_table``. Dashed: the identity transform, which reads all of it. Bars
    are the 95 % interval over pairs, faint bands the standard deviation over seeds.
    """
    figure, axis = plt.subplots(figsize=(8.4, 4), layout="constrained")
    kinds = list(dict.fromkeys(table["of"]))
    for k, (of, colour) in enumerate(zip(kinds, sns.color_palette("deep"), strict=False)):
        some = table[table["of"] == of]
        line = some[some["row"] != "identity"].reset_index(drop=True)
        x = line.index + 0.06 * (k - (len(kinds) - 1) / 2)
        bars = [line["mean"] - line["low"], line["high"] - line["mean"]]
        axis.errorbar(x, line["mean"], yerr=bars, fmt="o-", color=colour, capsize=3, label=of)
        if line["sd"].notna().all():
            low, high = line["mean"] - line["sd"], line["mean"] + line["sd"]
            axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        same = some.loc[some["row"] == "identity", "mean"].item()
        axis.axhline(same, color=colour, ls="--", lw=1)
        axis.set_xticks(line.index, line["row"])
    axis.plot([], [], "--", color="#555555", lw=1, label="identity transform")
    axis.set(ylabel="overlap (IoU) with the true patch", title="Does the STN find the patch?")
    axis.legend(title="holistic image of the", loc="center left", bbox_to_anchor=(1, 0.5),
                frameon=False)  # fmt: skip
    return figure


TRUE, READ = "#2a9d4a", "#d1352b"
SMALL_TILE = 0.95  # inches of width


def affined_by_row(models: Mapping[str, STNReID], pairs: Pairs) -> Figure:
    """Fig. 4: a pair a row, a model a column: what its STN shows of the holistic image.

    First the holistic image with the true patch (green), then the partial image, then the affined
    images with their overlap (IoU) with the true patch.
    """
    columns = ["holistic", "partial", *models]
    figure, axes = _grid(len(pairs), len(columns), pairs.holistic)
    found = {name: thetas(model, pairs) for name, model in models.items()}
    for r in range(len(pairs)):
        _image(axes[r, 0], pairs.holistic[r])
        _box(axes[r, 0], pairs.true[r], pairs.holistic)
        _image(axes[r, 1], pairs.partial[r])
        for c, theta in enumerate(found.values(), start=2):
            _image(axes[r, c], sample(pairs.holistic[r : r + 1], theta[r : r + 1])[0])
            overlap = box_iou(theta_to_box(theta[r]), pairs.true[r])
            axes[r, c].set_title(f"IoU {overlap:.2f}", fontsize="x-small", weight="normal",
                                 loc="center", pad=2)  # fmt: skip
    for axis, name in zip(axes[-1], columns, strict=True):
        axis.text(0.5, -0.04, name, transform=axis.transAxes, ha="center", va="top",
                  fontsize="small", weight="bold")  # fmt: skip
    return figure


def affined_grid(
    model: STNReID, partial: Tensor, holistic: Tensor, names: Sequence[str] = ()
) -> Figure:
    """Fig. 5: every partial image (columns) with every holistic one (rows).

    partial [P, 3, H, W], holistic [N, 3, H, W] normalised. In the margins the images themselves;
    within, the affined image, and on the holistic one, in the first column, all that is read of it.
    names: of the holistic images.
    """
    rows, columns = len(holistic), len(partial)
    figure, axes = _grid(rows + 1, columns + 1, holistic)
    axes[0, 0].set_axis_off()
    axes[0, 0].text(0.5, 0.5, "partial \u2192\nholistic \u2193", ha="center", va="center",
                    transform=axes[0, 0].transAxes, fontsize="small")  # fmt: skip
    for c in range(columns):
        _image(axes[0, c + 1], partial[c])
    for r in range(rows):
        pairs = Pairs(partial, holistic[r].expand_as(partial), torch.zeros(columns, 4))
        theta = thetas(model, pairs)
        affined = sample(pairs.holistic, theta)
        _image(axes[r + 1, 0], holistic[r])
        if names:
            axes[r + 1, 0].text(-0.08, 0.5, names[r], rotation=90, ha="right", va="center",
                                transform=axes[r + 1, 0].transAxes, fontsize="small")  # fmt: skip
        for c in range(columns):
            _image(axes[r + 1, c + 1], affined[c])
            _outline(axes[r + 1, 0], theta[c], holistic)
    return figure


def _grid(rows: int, columns: int, images: Tensor) -> tuple[Figure, np.ndarray]:
    height, width = images.shape[-2:]
    size = (columns * SMALL_TILE, rows * (SMALL_TILE * height / width + 0.18))
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def _image(axis: Axes, image: Tensor) -> None:
    show(axis, denormalise(image).permute(1, 2, 0).cpu().numpy())


def _pixels(points: Tensor, images: Tensor) -> np.ndarray:
    """Points [P, 2] in [-1, 1] as pixel positions on an image that is drawn."""
    height, width = images.shape[-2:]
    scale = torch.tensor([width, height])
    found: np.ndarray = ((points.cpu() + 1) * scale / 2 - 0.5).numpy()
    return found


def _box(axis: Axes, box: Tensor, images: Tensor) -> None:
    low, high = _pixels(box.reshape(2, 2).clamp(-1, 1), images)
    axis.add_patch(Rectangle(tuple(low), *(high - low), fill=False, ec=TRUE, lw=2))


def _outline(axis: Axes, theta: Tensor, images: Tensor) -> None:
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    points = _pixels(transform_points(theta.cpu(), corners), images)
    axis.add_patch(Polygon(points.tolist(), fill=False, ec=READ, lw=1, clip_on=True))


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
