"""STNReID's figures: probes (Fig. 1), the two modules (Fig. 2), where weights come from (Fig. 3),
affined images (Figs. 4 and 5), and overlap against the strength of the ReID module."""

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
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from reidlib.data import Dataset
from reidlib.data.decode import decode
from reidlib.geometry import sample, theta_iou, transform_points
from reidlib.models.base import count_parameters, evaluating
from reidlib.papers.stnreid.costs import localization_table
from reidlib.papers.stnreid.measure import CONTROLS, Pairs, thetas
from reidlib.papers.stnreid.model import STNReID
from reidlib.train.build import build_model
from reidlib.train.recipe import Recipe
from reidlib.visualize.architecture import INPUT, Box, draw_boxes
from reidlib.visualize.curves import BESIDE
from reidlib.visualize.images import TILE, image_grid, outline, pictures, polygon, spread

CUT = "#ffd166"


def partial_triples(dataset: Dataset, n: int = 6) -> Figure:
    """STNReID's Fig. 1: a gallery image of a person, the probe's whole image, the partial probe.

    dataset: with partial queries whose column ``box`` says what was cut out (yellow).
    """
    people = spread(dataset.query.drop_duplicates("pid"), n)
    first = dataset.gallery.drop_duplicates("pid").set_index("pid").path
    paths, boxes = people.path, people["box"].tolist()
    rows = [
        [decode(first[pid], TILE) for pid in people.pid],
        [decode(path, TILE) for path in paths],
        [decode(path, TILE, box) for path, box in zip(paths, boxes, strict=True)],
    ]
    figure, axes = image_grid(rows, sides=("gallery", "probe, whole", "probe, partial"))
    for axis, box in zip(axes[1], boxes, strict=True):
        outline(axis, box, CUT, lw=2.5)
    return figure


def overlap_by_row(table: pd.DataFrame) -> Figure:
    """Mean overlap with the true patch, one line for each kind of pairs, against the rows.

    table: of ``measure.overlap_table``. Dashed: the identity transform, which reads all of it;
    dotted: a box that knows only from which side was cut. Bars are the 95 % interval over pairs,
    faint bands the standard deviation over seeds.
    """
    figure, axis = plt.subplots(figsize=(8.4, 4), layout="constrained")
    kinds = list(dict.fromkeys(table["of"]))
    for k, (of, colour) in enumerate(zip(kinds, sns.color_palette("deep"), strict=False)):
        some = table[table["of"] == of]
        line = some[~some["row"].isin(CONTROLS)].reset_index(drop=True)
        x = line.index + 0.06 * (k - (len(kinds) - 1) / 2)
        bars = [line["mean"] - line["low"], line["high"] - line["mean"]]
        axis.errorbar(x, line["mean"], yerr=bars, fmt="o-", color=colour, capsize=3, label=of)
        if line["sd"].notna().all():
            low, high = line["mean"] - line["sd"], line["mean"] + line["sd"]
            axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        for name, style in zip(CONTROLS, ("--", ":"), strict=True):
            control = some.loc[some["row"] == name, "mean"].item()
            axis.axhline(control, color=colour, ls=style, lw=1)
        axis.set_xticks(line.index, line["row"])
        axis.set_xlim(-0.5, len(line) - 0.5)
    for name, style in zip(CONTROLS, ("--", ":"), strict=True):
        axis.plot([], [], style, color="#555555", lw=1, label=name)
    axis.set(ylabel="overlap (IoU) with the true patch", title="Does the STN find the patch?")
    axis.legend(title="holistic image of the", **BESIDE)
    words = "bars: 95 % interval over pairs, band: standard deviation over seeds"
    figure.supxlabel(words, fontsize="small")
    return figure


TRUE = "#2a9d4a"
CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
SMALL_TILE = 0.95  # inches of width


def affined_by_row(
    models: Mapping[str, STNReID], pairs: Pairs, sides: Sequence[str] = ()
) -> Figure:
    """Fig. 4: a pair a row, a model a column: what its STN shows of the holistic image.

    First the holistic image with the true patch (green), then the partial image, then the affined
    images with their overlap (IoU) with the true patch, where it is known. sides: what stands at
    the left of the rows.
    """
    found = [thetas(model, pairs) for model in models.values()]
    affined = [pictures(sample(pairs.holistic, theta)) for theta in found]
    grid = zip(pictures(pairs.holistic), pictures(pairs.partial), *affined, strict=True)
    figure, axes = image_grid(list(grid), sides=sides, width=SMALL_TILE)
    for r, line in enumerate(axes):
        if pairs.true[r].isfinite().all():
            outline(line[0], pairs.true[r], TRUE)
        for axis, theta in zip(line[2:], found, strict=True):
            _overlap(axis, theta[r], pairs.true[r])
    for axis, name in zip(axes[-1], ["holistic", "partial", *models], strict=True):
        axis.text(0.5, -0.04, name, transform=axis.transAxes, ha="center", va="top",
                  fontsize="small", weight="bold")  # fmt: skip
    return figure


def _overlap(axis: Axes, theta: Tensor, true: Tensor) -> None:
    if true.isfinite().all():
        axis.set_title(f"IoU {theta_iou(theta, true):.2f}", fontsize="x-small",
                       weight="normal", loc="center", pad=2)  # fmt: skip


def affined_grid(
    model: STNReID, partial: Tensor, holistic: Tensor, true: Tensor, names: Sequence[str] = ()
) -> Figure:
    """Fig. 5: every partial image (columns) with every holistic one (rows).

    partial [P, 3, H, W], holistic [N, 3, H, W] normalised, true [N, P, 4]: the patch of each, NaN
    where it is not known. In the margins the images themselves; within, the affined image with its
    overlap, and on the holistic one, in the first column, all that is read of it, in the colour of
    the partial image's frame: one colour a column. names: of the holistic images.
    """
    columns, palette = len(partial), sns.color_palette("deep").as_hex()
    rows: list[list[np.ndarray | None]] = [[None, *pictures(partial)]]
    read = []
    for image, patch in zip(holistic, true, strict=True):
        pairs = Pairs(partial, image.expand_as(partial), patch)
        read.append(thetas(model, pairs))
        rows.append([pictures(image), *pictures(sample(pairs.holistic, read[-1]))])
    figure, axes = image_grid(rows, sides=["", *names], width=SMALL_TILE)
    axes[0, 0].text(0.5, 0.5, "partial \u2192\nholistic \u2193", ha="center", va="center",
                    transform=axes[0, 0].transAxes, fontsize="small")  # fmt: skip
    for c in range(columns):
        colour = palette[c % 10]
        outline(axes[0, c + 1], (-1, -1, 1, 1), colour, lw=2)
        for r, theta in enumerate(read):
            polygon(axes[r + 1, 0], transform_points(theta[c].cpu(), CORNERS), colour, lw=1.2)
            _overlap(axes[r + 1, c + 1], theta[c].cpu(), true[r, c])
    return figure


LOWER = 1.3  # the lane of the STN, below the arrow from the holistic image to the affined one


def framework(model: STNReID) -> Figure:
    """Fig. 2: the STN and the ReID module with the shapes of one pair, from the built model.

    The localization network layer by layer, the affined image that is sampled of the holistic one,
    and what Eqs. 4 to 6 make of the three images' features.
    """
    table = localization_table(model.localization).set_index("layer")
    with evaluating(model):
        maps = model.reid.backbone(torch.zeros(1, 3, *model.size))
    weights = sum(p.numel() for p in model.reid.backbone.parameters()) / 1e6
    palette, (height, width) = sns.color_palette("deep"), model.size
    image = (f"3×{height}×{width}",)
    stn = palette[1]
    boxes = [Box(0, lane, name, image, height, 1, INPUT)
             for lane, name in ((0, "$I_h$: holistic"), (2, "$I_p$: partial"))]  # fmt: skip
    boxes.append(Box(1, LOWER, "$I_{h,p}$", (f"6×{height}×{width}",), height, 1, INPUT))
    for c, (layer, shape) in enumerate(table["output"][:4].items(), 2):
        counted = table.iloc[c - 2]
        values = counted["weights"] + counted["biases"]
        size = (f"{values / 1000:.1f} k",) if values else ()
        rows, columns, channels = shape.split("x")
        lines = (f"{channels}×{rows}×{columns}", *size)
        boxes.append(Box(c, LOWER, str(layer), lines, int(rows), 1, stn))
    linear = table.loc["Flatten":]
    values = (linear["weights"] + linear["biases"]).sum() / 1e6
    chain = "→".join(linear["output"])
    boxes.append(Box(6, LOWER, "FC1 … FC4: $\\theta$", (chain, f"{values:.2f} M"), 1, 1, stn))
    boxes.append(Box(7, 1, "$I_a$: affined", (*image, "read by $\\theta$"), height, 1, INPUT))
    shape = "×".join(str(n) for n in maps.shape[1:])
    for lane, kind in enumerate("hap"):
        lines = (shape, f"{weights:.2f} M" if lane == 0 else "same weights")
        boxes.append(Box(8, lane, "backbone", lines, maps.shape[2], 1, palette[0]))
        boxes.append(Box(9, lane, f"$f_{kind}$", (f"{maps.shape[1]}",), 1, 1, palette[0]))
        boxes.append(Box(10, lane, f"$L_R(I_{kind})$", ("Eq. 4",), 1, 1, palette[3]))
    boxes.append(Box(10, 1.5, "$L_{STN}$", ("Eq. 5",), 1, 1, palette[3]))

    other: dict[tuple[int, float], list[tuple[int, float]]]
    other = {(1, LOWER): [(0, 0), (0, 2)], (7, 1): [(6, LOWER), (0, 0)], (8, 0): [(0, 0)],
             (8, 2): [(0, 2)], (10, 1.5): [(9, 1), (9, 2)]}  # fmt: skip

    def sources(known: Sequence[Box], box: Box) -> list[Box]:
        of = {(one.column, one.lane): one for one in known}
        places = other.get((box.column, box.lane), [(box.column - 1, box.lane)])
        return [of[place] for place in places]

    total = count_parameters(model.localization) / 1e6
    return draw_boxes(boxes, f"STN module ({total:.2f} M parameters) and ReID module", sources)


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
    panels = [_once(_nodes(recipe.training())) for recipe in recipes.values()]
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


def _once(nodes: Sequence[_Node]) -> list[_Node]:
    """A run that two others begin as, drawn once, between them."""
    lanes: dict[tuple[Recipe, int], list[float]] = {}
    for node in nodes:
        lanes.setdefault((node.recipe, node.column), []).append(node.lane)
    return [_Node(*key, sum(found) / len(found)) for key, found in lanes.items()]


def _parts(recipe: Recipe) -> list[tuple[str, str]]:
    """What a model consists of, and whether it trains: ("STN", "frozen")."""
    done = "as it is" if recipe.steps == 0 else "trains"
    if recipe.model != "stnreid":
        return [("ReID module", done)]
    stn, reid = ("frozen" if recipe.options.get(f"frozen_{x}") else done for x in ("stn", "reid"))
    return [("STN", stn), ("ReID module", reid)]


def _losses(recipe: Recipe) -> str:
    if recipe.steps == 0:
        return "no training"
    if recipe.options.get("frozen_reid"):
        return "losses: STN"
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
