"""The architecture of a built model, with its real shapes (for RMGL its Figs. 1 to 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from reidlib.models import ReIDModel
from reidlib.models.backbone import STAGES
from reidlib.papers.rmgl.model import RMGL, SHARED
from reidlib.papers.rmgl.receptive import SPLITS
from reidlib.papers.scr.model import SCR
from reidlib.visualize.stages import stages

STEP, LANE = 1.75, 1.75  # inches from stage to stage, from lane to lane
WIDE, HIGH = 0.55, 0.95  # of a box; a map of the first stage's height is HIGH, others sqrt of it
LANES = {"global_branch": 0, "transformer": 1, "spatial_head": 1, "spatial_branch": 1}  # of a VCN
INPUT, GREY, UNUSED = "#8d99ae", "#555555", "#cccccc"


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


def architecture(model: ReIDModel, image_size: tuple[int, int] | None = None) -> Figure:
    """The model's stages with output shapes, parameters and multiply-accumulates of one image.

    An RMGL has a lane for each branch and path, with the map in pieces from its cut on. Others have
    a lane for each of their ``branches``, if there are any, with arrows in the order of the calls;
    an SCR's show how each is partitioned.
    image_size: (H, W), default the model's.
    """
    table = stages(model, image_size)
    size = image_size or model.size
    boxes = _rmgl(model, table, size) if isinstance(model, RMGL) else _general(table, size)
    if isinstance(model, SCR):
        boxes = _scr(model, boxes)
    columns = max(box.column for box in boxes) + 1
    low, high = (f(box.lane for box in boxes) for f in (min, max))
    width, height = columns * STEP, (high - low) * LANE + 2.3
    figure, axis = plt.subplots(figsize=(width, height), layout="constrained")
    scale = HIGH / max(box.rows for box in boxes if box.column == 1) ** 0.5
    for box in boxes:
        _draw(axis, box, scale)
        for start in _sources(model, boxes, box):
            _arrow(axis, start, box)
    axis.set(xlim=(-0.6, columns * STEP - 0.6), ylim=(-(high * LANE + 1.15), -(low * LANE - 0.85)))
    axis.set_aspect("equal")
    axis.set_axis_off()
    total, cost = table["parameters (M)"].sum(), table["GMACs"].sum()
    axis.set_title(
        f"{type(model).__name__}, {size[0]}x{size[1]}: {total:.2f} M parameters, "
        f"{cost:.3g} GMACs an image"
    )
    return figure


def _lines(row: Any) -> tuple[str, ...]:
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


def _rows_of(output: str) -> int:
    """Rows of a map, all its pieces together: "2 x 256x6x4" has 12; a vector has 1."""
    *number, shape = output.split(" x ")
    lengths = shape.split("x")
    return (int(number[0]) if number else 1) * (int(lengths[1]) if len(lengths) == 3 else 1)


def _image(size: tuple[int, int], lane: float, pieces: int = 1) -> Box:
    return Box(0, lane, "image", (f"3×{size[0]}×{size[1]}",), size[0], pieces, INPUT)


def _general(table: Any, size: tuple[int, int]) -> list[Box]:
    """What is shared in the middle, then a lane for each branch; in grey, what training alone uses.

    Branches are told by their names: branches.0.conv5, heads.0, or those of LANES.
    """
    palette, rows = sns.color_palette("deep"), table.to_dict("records")
    found = [re.match(r"(?:branches|heads)\.(\d+)", row["stage"]) for row in rows]
    branches = [
        int(match[1]) if match else LANES.get(row["stage"])
        for match, row in zip(found, rows, strict=True)
    ]
    shared = max((b for b in branches if b is not None), default=0) / 2
    boxes = [_image(size, shared)]
    columns: dict[int | None, int] = {None: 1}
    for row, branch in zip(rows, branches, strict=True):
        column = columns.setdefault(branch, columns[None])
        columns[branch] += 1
        colour = palette[0] if branch is None else palette[(branch + 1) % 10]
        lane = shared if branch is None else branch
        name, colour = row["stage"].removeprefix("backbone."), colour if row["call"] else UNUSED
        boxes.append(Box(column, lane, name, _lines(row), _rows_of(row["output"]), 1, colour))
    return boxes


def _scr(model: SCR, boxes: list[Box]) -> list[Box]:
    """An SCR's boxes with the paper's names and, before the heads, what is pooled (SCR Fig. 3)."""
    found = []
    for box in boxes:
        stage, *rest = box.name.split(".")
        if stage not in ("branches", "heads"):
            found.append(replace(box, name=box.name.removeprefix("trunk.")))
            continue
        partition = model.partitions[int(rest[0])]
        if stage == "branches":
            found.append(replace(box, name=f"{partition.name} {rest[1]}"))
            continue
        lengths = partition.lengths(model.channels)
        pooled: tuple[str, ...] = (f"{lengths[0]}",)
        if partition.rows > 1:
            pooled += (f"s{partition.rows}: {partition.rows} × {lengths[0]}",)
        if partition.channels > 1:
            groups = " + ".join(str(length) for length in lengths[-partition.channels :])
            pooled += (f"c{partition.channels}: {groups}",)
        high = next(b.rows for b in reversed(found) if b.lane == box.lane)
        found.append(
            replace(box, name="max pooling", lines=pooled, rows=high, pieces=partition.rows)
        )
        pieces = len(partition.parts)
        found.append(
            replace(
                box, column=box.column + 1, name=f"{pieces} head{'s' * (pieces > 1)}", pieces=pieces
            )
        )
    return found


def calls(model: RMGL) -> Iterator[tuple[int | None, str, str]]:
    """(branch or None, path, stage) in the order in which RMGL's ``maps`` calls its stages."""
    cut = SPLITS.index(model.split)
    whole = "original" in model.paths
    for stage in SHARED:
        if whole or SPLITS.index(stage) <= cut:
            yield None, "original", stage
    for branch in range(len(model.stripes)):
        for stage in STAGES:
            if stage not in SHARED and (whole or SPLITS.index(stage) <= cut):
                yield branch, "original", stage
        for stage in STAGES:
            if "receptive" in model.paths and SPLITS.index(stage) > cut:
                yield branch, "receptive", stage


def _lane(model: RMGL, branch: int | None, path: str) -> float:
    """Lanes of branch 0, of branch 1, ...; the trunk in the middle of them."""
    if branch is None:
        if "original" in model.paths and model.split in ("input", "stem"):
            return -1  # the middle is not free: the receptive paths run beside the trunk
        return (len(model.stripes) * len(model.paths) - 1) / 2
    number = model.paths.index(path) if path in model.paths else 0
    return branch * len(model.paths) + number


def _rmgl(model: RMGL, table: Any, size: tuple[int, int]) -> list[Box]:
    palette = sns.color_palette("deep")
    rows = table.to_dict("records")
    heads = rows[-len(model.stripes) :]
    boxes = [_image(size, _lane(model, None, ""))]
    where = list(calls(model))
    for (branch, path, stage), row in zip(where, rows[: -len(heads)], strict=True):
        n = model.stripes[branch] if branch is not None and path == "receptive" else 1
        colour = GREY if branch is None else palette[branch % 10]
        lane, column = _lane(model, branch, path), 1 + STAGES.index(stage)
        if not row["stage"].endswith(stage):
            raise AssertionError(f"{row['stage']} is called where {stage} was expected")
        boxes.append(Box(column, lane, stage, _lines(row), _rows_of(row["output"]), n, colour))
    for branch, (n, head) in enumerate(zip(model.stripes, heads, strict=True)):
        reduction: Tensor = model.heads[branch].reduction  # type: ignore[assignment]
        parts, channels = reduction.shape[:2]
        for path in model.paths:
            lane, colour = _lane(model, branch, path), palette[branch % 10]
            high = next(box.rows for box in boxes if box.column == 5)
            name = f"{path}, {n} stripe{'s' * (n > 1)}"
            lines = (f"1 global + {n} × {channels}",)
            boxes.append(Box(6, lane, name, lines, high, n, colour))
        middle = sum(_lane(model, branch, path) for path in model.paths) / len(model.paths)
        boxes.append(Box(7, middle, "heads", _lines(head), 1, parts, palette[branch % 10]))
    return boxes


def _sources(model: ReIDModel, boxes: list[Box], box: Box) -> list[Box]:
    """The boxes that a box reads."""
    if box.column == 0 or box.colour == UNUSED:
        return []
    before = [other for other in boxes if other.column == box.column - 1]
    own = [other for other in before if other.lane == box.lane]
    if not isinstance(model, RMGL):  # where a lane begins, it reads the last of the shared ones
        return (own or [other for other in before if other.lane == boxes[0].lane])[-1:]
    if box.column == 7:  # all paths of the branch
        return [other for other in before if abs(other.lane - box.lane) < 1]
    if own:
        return own[-1:]
    original = box.lane // len(model.paths) * len(model.paths)  # of this branch: the map at the cut
    return [other for other in before if other.lane in (original, boxes[0].lane)][-1:]


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
