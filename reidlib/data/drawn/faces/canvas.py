"""The sheet a portrait is drawn on: pixels, where they lie on head and face, and smooth masks."""

from __future__ import annotations

import numpy as np

from reidlib.data.drawn.faces.pose import Pose
from reidlib.data.drawn.people.raster import Array, Colour, soft


class Canvas:
    """pixels: float64 [3, H, W]. x, y: of every pixel on the head, fx, fy: on the face [H, W].

    pixel: the size of a pixel, in half faces.
    """

    def __init__(self, pixels: Array, pose: Pose, width: float) -> None:
        self.pixels = pixels
        rows, columns = np.arange(pixels.shape[1]) + 0.5, np.arange(pixels.shape[2]) + 0.5
        self.x, self.y = pose.head(columns[None, :], rows[:, None])
        self.fx, self.fy = pose.face(self.x, self.y, width)
        self.pixel = 1.0 / pose.scale

    def paint(self, mask: Array, colour: Colour | Array, opacity: float = 1.0) -> None:
        """Covers what ``mask`` [H, W] in [0, 1] says with a colour, or with one for every pixel."""
        shade = np.reshape(colour, (3, 1, 1)) if isinstance(colour, tuple) else colour
        self.pixels += (mask * opacity) * (shade - self.pixels)

    def step(self, distance: Array, blur: float = 1.0) -> Array:
        """1 where ``distance`` (half faces) is above 0, 0 below; ``blur`` pixels wide."""
        return soft(distance, self.pixel * blur)

    def oval(
        self, cx: float, cy: float, rx: float, ry: float, tilt: float = 0.0, *, on: str = "face"
    ) -> Array:
        """An ellipse on the face or on the head (``on``); tilt: how much y grows with x."""
        x, y = (self.fx, self.fy) if on == "face" else (self.x, self.y)
        u, v = (x - cx) / rx, (y - cy - tilt * (x - cx)) / ry
        norm = np.sqrt(u * u + v * v) + 1e-9
        slope = np.sqrt((u / rx) * (u / rx) + (v / ry) * (v / ry)) + 1e-9
        return self.step(norm * (1.0 - norm) / slope)

    def stroke(
        self, x0: float, x1: float, y: float, thick: float, bend: float = 0.0, tilt: float = 0.0
    ) -> Array:
        """A line of the face from x0 to x1 that tapers: ``bend`` is how far its middle is below its
        ends, ``tilt`` how much y grows with x; thick: half its width in the middle."""
        middle, half = 0.5 * (x0 + x1), 0.5 * (x1 - x0)
        t = (self.fx - middle) / half
        line = y + bend * (1.0 - t * t) + tilt * (self.fx - middle)
        wide = thick * np.sqrt(np.clip(1.0 - t * t, 0.0, 1.0))
        return self.step(wide - np.abs(self.fy - line)) * (np.abs(t) < 1.0)
