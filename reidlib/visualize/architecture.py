"""What a built model is made of, stage by stage: as a table, and as boxes with real shapes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reidlib.models import ReIDModel
from reidlib.models.backbone import STAGES, Backbone
from reidlib.models.base import count_parameters, device_of, evaluating

COLUMNS = ("stage", "call", "output", "parameters (M)", "GMACs")
STEP, LANE = 1.75, 1.75  # inches from stage to stage, from lane to lane
WIDE, HIGH = 0.55, 0.95  # of a box; a map of the first stage's height is HIGH, others sqrt of it
INPUT, UNUSED = "#8d99ae", "#cccccc"


def units(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The named modules that count as one stage: containers and backbones are opened."""
    for name, child in module.named_children():
        opened = isinstance(child, Backbone | nn.ModuleDict | nn.ModuleList)
        if isinstance(child, nn.Sequential) and name not in STAGES:  # a row of stages, or one?
            opened = any(isinstance(inner, nn.Sequential) for inner in child)
        if opened:
            yield from units(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def stages(model: ReIDModel, image_size: tuple[int, int] | None = None) -> pd.DataFrame:
    """One row for each time that ``encode`` calls a stage, in that order, for one image.

    image_size: (H, W), default the model's. Columns: stage (its name in the model), call (1, 2,
    ...: weights are shared between calls; 0: not used by ``encode``), output ("CxHxW", with the
    number of stripes before it where they are in the batch dimension), parameters (M) (millions,
    at the first call), GMACs (billions of multiply-accumulates; the papers call them FLOPs).
    """
    image = torch.zeros(1, 3, *(image_size or model.size), device=device_of(model))
    return called(model, lambda: model.encode(image))


def called(model: nn.Module, run: Callable[[], object]) -> pd.DataFrame:
    """The stages of any module as ``stages`` lists them, in the order in which ``run`` calls
    them."""
    rows: list[tuple[str, int, str, float, float]] = []
    calls: dict[str, int] = {}
    counter = FlopCounterMode(display=False)
    started: list[int] = []
    hooks = []

    def before(*_: object) -> None:
        started.append(counter.get_total_flops())

    def after(name: str, module: nn.Module, output: object) -> None:
        calls[name] = calls.get(name, 0) + 1
        size = count_parameters(module) / 1e6 if calls[name] == 1 else 0.0
        cost = (counter.get_total_flops() - started.pop()) / 2e9
        rows.append((name, calls[name], shape_of(output), size, cost))

    for name, module in units(model):
        hooks.append(module.register_forward_pre_hook(before))
        call = lambda unit, _, output, name=name: after(name, unit, output)  # noqa: E731
        hooks.append(module.register_forward_hook(call))
    try:
        with evaluating(model), counter:
            run()
    finally:
        for hook in hooks:
            hook.remove()
    for name, module in units(model):
        if name not in calls:
            rows.append((name, 0, "", count_parameters(module) / 1e6, 0.0))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def shape_of(output: object) -> str:
    """``"256x96x32"`` of one image, ``"2 x 256x48x32"`` of two stripes of it; of several tensors
    the first."""
    if isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        return type(output).__name__
    number, *shape = output.shape
    text = "x".join(str(length) for length in shape)
    return text if number == 1 else f"{number} x {text}"


@dataclass(frozen=True)
class Box:
    """A stage as it is drawn: where (column, lane; lanes grow downwards), in how many pieces."""

    column: int
    lane: float
    name: str
    lines: tuple[str, ...]
    rows: int  # of its map, all pieces together
    pieces: int
    colour: Any


Sources = Callable[[Sequence[Box], Box], list[Box]]


def architecture(
    model: ReIDModel,
    image_size: tuple[int, int] | None = None,
    *,
    title: str = "",
    lanes: Mapping[str, int] | None = None,
) -> Figure:
    """The model's stages with output shapes, parameters and multiply-accumulates of one image.

    A lane for each of its ``branches``, if there are any, with arrows in the order of the calls.
    image_size: (H, W), default the model's. title: its name, default that of its class. lanes: of
    other modules than ``branches``, by name, from 0 on.
    """
    table, size = stages(model, image_size), image_size or model.size
    boxes = boxes_of(table, size, lanes or {})
    return draw_boxes(boxes, f"{title or type(model).__name__}, {totals(table, size)}")


def totals(table: pd.DataFrame, size: tuple[int, int]) -> str:
    """What stands in the title: image size, parameters and cost of all ``stages``."""
    total, cost = table["parameters (M)"].sum(), table["GMACs"].sum()
    return f"{size[0]}x{size[1]}: {total:.2f} M parameters, {cost:.3g} GMACs an image"


def draw_boxes(boxes: Sequence[Box], title: str, sources: Sources | None = None) -> Figure:
    """Boxes in their columns and lanes, with arrows from those that each one reads.

    sources: which these are, given all boxes and one; default: the one before in its lane, or where
    a lane begins in that of the image.
    """
    sources = sources or _before
    columns = max(box.column for box in boxes) + 1
    low, high = (f(box.lane for box in boxes) for f in (min, max))
    width, height = columns * STEP, (high - low) * LANE + 2.3
    figure, axis = plt.subplots(figsize=(width, height), layout="constrained")
    scale = HIGH / max(box.rows for box in boxes if box.column == 1) ** 0.5
    for box in boxes:
        _draw(axis, box, scale)
        for start in sources(boxes, box) if box.column and box.colour != UNUSED else []:
            _arrow(axis, start, box)
    axis.set(xlim=(-0.6, columns * STEP - 0.6), ylim=(-(high * LANE + 1.15), -(low * LANE - 0.85)))
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set_title(title)
    return figure


def _before(boxes: Sequence[Box], box: Box) -> list[Box]:
    before = [other for other in boxes if other.column == box.column - 1]
    own = [other for other in before if other.lane == box.lane]
    return (own or [other for other in before if other.lane == boxes[0].lane])[-1:]


def lines_of(row: Any) -> tuple[str, ...]:
    """What stands below a box: shape, parameters, cost."""
    millions, cost = row["parameters (M)"], row["GMACs"]
    size = f"{millions:.2f} M" if millions >= 0.01 else f"{1000 * millions:.1f} k"
    if not row["call"]:
        return ("in training only", size)
    size = "same weights" if row["call"] > 1 else size if millions else ""
    macs = f"{cost:.2f} GMACs" if cost >= 0.1 else f"{1000 * cost:.1f} MMACs"
    if cost < 1e-4:
        macs = f"{1e6 * cost:.0f} kMACs" if cost else ""
    return tuple(line for line in (row["output"].replace("x", "×"), size, macs) if line)


def rows_of(output: str) -> int:
    """Rows of a map, all its pieces together: "2 x 256x6x4" has 12; a vector has 1."""
    *number, shape = output.split(" x ")
    lengths = shape.split("x")
    return (int(number[0]) if number else 1) * (int(lengths[1]) if len(lengths) == 3 else 1)


def image_box(size: tuple[int, int], lane: float) -> Box:
    """The image, from which all begins."""
    return Box(0, lane, "image", (f"3×{size[0]}×{size[1]}",), size[0], 1, INPUT)


def boxes_of(table: Any, size: tuple[int, int], lanes: Mapping[str, int]) -> list[Box]:
    """What is shared in the middle, then a lane for each branch; in grey, what training alone uses.

    table: of ``stages``. Branches are told by their names: branches.0.conv5, heads.0, or in lanes.
    """
    palette, rows = sns.color_palette("deep"), table.to_dict("records")
    found = [re.match(r"(?:branches|heads)\.(\d+)", row["stage"]) for row in rows]
    branches = [
        int(match[1]) if match else lanes.get(row["stage"])
        for match, row in zip(found, rows, strict=True)
    ]
    shared = max((b for b in branches if b is not None), default=0) / 2
    boxes = [image_box(size, shared)]
    columns: dict[int | None, int] = {None: 1}
    for row, branch in zip(rows, branches, strict=True):
        column = columns.setdefault(branch, columns[None])
        columns[branch] += 1
        colour = palette[0] if branch is None else palette[(branch + 1) % 10]
        lane = shared if branch is None else branch
        name, colour = row["stage"].removeprefix("backbone."), colour if row["call"] else UNUSED
        boxes.append(Box(column, lane, name, lines_of(row), rows_of(row["output"]), 1, colour))
    return boxes


def _draw(axis: Axes, box: Box, scale: float) -> None:
    """The map as one box or in pieces, its name above, what is to be known of it below."""
    x, y = box.column * STEP, -box.lane * LANE
    high = max(0.3, 0.13 * box.pieces, min(HIGH * 1.15, scale * box.rows**0.5))
    gap = 0.05
    piece = (high - gap * (box.pieces - 1)) / box.pieces
    for k in range(box.pieces):
        low = y + high / 2 - (k + 1) * piece - k * gap
        axis.add_patch(
            Rectangle((x - WIDE / 2, low), WIDE, piece, fc=box.colour, ec="white", lw=0.5, zorder=2)
        )
    axis.text(x, y + high / 2 + 0.05, box.name, ha="center", va="bottom", fontsize=9, weight="bold")
    axis.text(x, y - high / 2 - 0.06, "\n".join(box.lines), ha="center", va="top", fontsize=8)


def _arrow(axis: Axes, start: Box, end: Box) -> None:
    """From the right edge of one box to the left edge of the other."""
    a = (start.column * STEP + WIDE / 2 + 0.03, -start.lane * LANE)
    b = (end.column * STEP - WIDE / 2 - 0.03, -end.lane * LANE)
    axis.add_patch(
        FancyArrowPatch(
            a, b, arrowstyle="-|>", mutation_scale=10, color="#888888", lw=1.1, zorder=1
        )
    )
