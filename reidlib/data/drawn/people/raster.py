"""Putting smooth-edged shapes on a canvas: frames, windows, coverage, colour.

A shape lives in person units: x to the right, y downwards, about 1 from head to foot. A ``Frame``
maps them to pixels. Coverage is the signed distance to the outline, clipped to one pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Point = tuple[float, float]
Colour = tuple[float, float, float]  # red, green, blue in [0, 255]
Box = tuple[float, float, float, float]  # x0, y0, x1, y1
# (u, v, pixel): local coordinates and the size of a pixel in them -> colour [3,h,w]
Paint = Callable[[Array, Array, float], Array]


def turn(turns: float) -> tuple[float, float]:
    """Cosine and sine of an angle in full turns, to 0.002, without libm (Bhaskara's formula)."""

    def sine(x: float) -> float:
        x = 2.0 * (x - floor(x))
        hump = x * (1.0 - x) if x < 1.0 else (x - 1.0) * (2.0 - x)
        value = 16.0 * hump / (5.0 - 4.0 * hump)
        return value if x < 1.0 else -value

    c, s = sine(turns + 0.25), sine(turns)
    norm = sqrt(c * c + s * s)
    return c / norm, s / norm


def soft(x: Array, pixel: float) -> Array:
    """A step from 0 to 1 at x = 0, one ``pixel`` wide."""
    return np.clip(x / pixel + 0.5, 0.0, 1.0)


def mix(colour: Array, mask: Array, other: Colour) -> Array:
    """``colour`` [3,h,w] where ``mask`` is 0, ``other`` where it is 1."""
    return colour + mask * (np.reshape(other, (3, 1, 1)) - colour)


@dataclass(frozen=True)
class Frame:
    """pixel = scale * unit + offset; ``light`` is the direction the light comes from."""

    scale: float
    x: float
    y: float
    light: Point = (-0.6, -0.6)

    def point(self, p: Point) -> Point:
        return self.scale * p[0] + self.x, self.scale * p[1] + self.y

    def box(self, box: Box) -> Box:
        return *self.point(box[:2]), *self.point(box[2:])


class Shape(Protocol):
    @property
    def part(self) -> str: ...

    def bounds(self) -> Box: ...

    def draw(self, canvas: Array, frame: Frame) -> None: ...


def window(canvas: Array, box: Box) -> tuple[Array, Array, Array] | None:
    """The pixels a box touches: a view [3,h,w] and the centres x [1,w], y [h,1]."""
    x0, y0 = max(floor(box[0]) - 1, 0), max(floor(box[1]) - 1, 0)
    x1, y1 = min(ceil(box[2]) + 1, canvas.shape[2]), min(ceil(box[3]) + 1, canvas.shape[1])
    if x0 >= x1 or y0 >= y1:
        return None
    x, y = np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5
    return canvas[:, y0:y1, x0:x1], x[None, :], y[:, None]


def blend(view: Array, distance: Array, colour: Array, shade: Array, opacity: float) -> None:
    """Paints ``colour * shade`` where the signed ``distance`` to an outline (pixels) is below 0."""
    cover = np.clip(0.5 - distance, 0.0, 1.0) * opacity
    view += cover * (colour * shade - view)


def rim(distance: Array) -> Array:
    """A thin dark rim, which parts an arm from a torso of the same colour."""
    return 1.0 - 0.26 * np.clip(1.5 + distance, 0.0, 1.0)


def draw(shapes: Iterable[Shape], canvas: Array, frame: Frame) -> None:
    """Paints shapes on a canvas [3,H,W] (float64), the first farthest away."""
    for shape in shapes:
        shape.draw(canvas, frame)


def bounds(shapes: Iterable[Shape], part: str | None = None) -> Box:
    """The box around all shapes, or around those of one part."""
    boxes = [shape.bounds() for shape in shapes if part in (None, shape.part)]
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
