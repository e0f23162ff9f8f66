"""The three shapes a person is made of: limb, blob and surface, in person units."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from reidlib.data.drawn.people.raster import (
    Array,
    Box,
    Colour,
    Frame,
    Paint,
    Point,
    blend,
    rim,
    window,
)


@dataclass(frozen=True)
class Limb:
    """A cylinder from a (radius ra) to b (radius rb) with round ends."""

    part: str
    a: Point
    ra: float
    b: Point
    rb: float
    colour: Colour

    def bounds(self) -> Box:
        (ax, ay), (bx, by), ra, rb = self.a, self.b, self.ra, self.rb
        return (
            min(ax - ra, bx - rb),
            min(ay - ra, by - rb),
            max(ax + ra, bx + rb),
            max(ay + ra, by + rb),
        )

    def draw(self, canvas: Array, frame: Frame) -> None:
        seen = window(canvas, frame.box(self.bounds()))
        if seen is None:
            return
        view, x, y = seen
        (ax, ay), (bx, by) = frame.point(self.a), frame.point(self.b)
        dx, dy = bx - ax, by - ay
        x, y = x - ax, y - ay
        square = dx * dx + dy * dy + 1e-9
        along = (x * dx + y * dy) / square
        across = (x * dy - y * dx) / sqrt(square)
        t = np.clip(along, 0.0, 1.0)
        x, y = x - t * dx, y - t * dy
        radius = frame.scale * (self.ra + t * (self.rb - self.ra))
        away = np.sqrt(x * x + y * y)
        # shaded as if it went on: a joint of two limbs shows no seam
        bulge = across / radius
        lit = bulge * (dy * frame.light[0] - dx * frame.light[1]) / sqrt(square)
        shade = (1.04 + 0.22 * lit - 0.14 * bulge * bulge) * rim(np.abs(across) - radius)
        blend(view, away - radius, np.reshape(self.colour, (3, 1, 1)), shade, 1.0)


@dataclass(frozen=True)
class Blob:
    """An ellipse; ``paint`` sees u, v in [-1, 1] inside it."""

    part: str
    centre: Point
    rx: float
    ry: float
    colour: Colour
    paint: Paint | None = None
    opacity: float = 1.0

    def bounds(self) -> Box:
        (x, y), rx, ry = self.centre, self.rx, self.ry
        return x - rx, y - ry, x + rx, y + ry

    def draw(self, canvas: Array, frame: Frame) -> None:
        seen = window(canvas, frame.box(self.bounds()))
        if seen is None:
            return
        view, x, y = seen
        cx, cy = frame.point(self.centre)
        rx, ry = frame.scale * self.rx, frame.scale * self.ry
        u, v = (x - cx) / rx, (y - cy) / ry
        norm = np.sqrt(u * u + v * v) + 1e-9
        slope = np.sqrt((u / rx) * (u / rx) + (v / ry) * (v / ry)) + 1e-9
        lit = u * frame.light[0] + v * frame.light[1]
        shade = 1.04 + 0.2 * lit - 0.2 * norm * norm
        colour = np.reshape(self.colour, (3, 1, 1))
        if self.paint is not None:
            colour = self.paint(u, v, 1.0 / rx)
        blend(view, norm * (norm - 1.0) / slope, colour, shade, self.opacity)


@dataclass(frozen=True)
class Surface:
    """An upright body given by rows (y, middle, half width), linear in between.

    ``paint`` sees u in [-1, 1] from the left to the right outline and v, the distance below the top
    in person units.
    """

    part: str
    rows: tuple[tuple[float, float, float], ...]
    colour: Colour
    paint: Paint | None = None

    def bounds(self) -> Box:
        left = min(middle - half for _, middle, half in self.rows)
        right = max(middle + half for _, middle, half in self.rows)
        return left, self.rows[0][0], right, self.rows[-1][0]

    def draw(self, canvas: Array, frame: Frame) -> None:
        seen = window(canvas, frame.box(self.bounds()))
        if seen is None:
            return
        view, x, y = seen
        rows = np.asarray(self.rows)
        height = (y[:, 0] - frame.y) / frame.scale
        i = np.clip(np.searchsorted(rows[:, 0], height) - 1, 0, len(rows) - 2)
        t = np.clip((height - rows[i, 0]) / (rows[i + 1, 0] - rows[i, 0]), 0.0, 1.0)
        middle = frame.scale * (rows[i, 1] + t * (rows[i + 1, 1] - rows[i, 1])) + frame.x
        half = frame.scale * (rows[i, 2] + t * (rows[i + 1, 2] - rows[i, 2]))
        across = x - middle[:, None]
        u = across / half[:, None]
        top, bottom = frame.scale * rows[0, 0] + frame.y, frame.scale * rows[-1, 0] + frame.y
        distance = np.maximum(np.abs(across) - half[:, None], np.maximum(top - y, y - bottom))
        shade = (1.04 + 0.2 * u * frame.light[0] - 0.16 * u * u) * rim(distance)
        colour = np.reshape(self.colour, (3, 1, 1))
        if self.paint is not None:
            colour = self.paint(u, height[:, None] - rows[0, 0], 1.0 / frame.scale)
        blend(view, distance, colour, shade, 1.0)
