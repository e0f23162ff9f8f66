"""How a head is held before a camera and what its face does, drawn anew for every picture."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from reidlib.data.drawn.people.raster import Array, Point, turn


@dataclass(frozen=True)
class Pose:
    """scale: pixels to a half face; x, y: pixel of the head's middle; roll: in the image's plane,
    yaw: to the side, both in turns; nod: how far the features are moved downwards (half faces)."""

    scale: float
    x: float
    y: float
    roll: float = 0.0
    yaw: float = 0.0
    nod: float = 0.0

    def head(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Pixels to the axes of the head's outline."""
        c, s = turn(self.roll)
        x, y = (x - self.x) / self.scale, (y - self.y) / self.scale
        return x * c + y * s, y * c - x * s

    def face(self, x: Array, y: Array, width: float) -> tuple[Array, Array]:
        """The head's axes to those of the face on it, a cylinder of radius ``width``."""
        c, s = turn(self.yaw)
        u = np.clip(x / width, -1.0, 1.0)
        return width * (u * c - np.sqrt(1.0 - u * u) * s) + (x - width * u), y - self.nod

    def pixel(self, point: Point, width: float | None = None) -> Point:
        """Where a point is seen: of the face, or without a ``width`` of the head's outline."""
        x, y = point
        if width is not None:
            c, s = turn(self.yaw)
            u = min(max(x / width, -1.0), 1.0)
            x, y = width * (u * c + sqrt(1.0 - u * u) * s) + (x - width * u), y + self.nod
        c, s = turn(self.roll)
        return self.scale * (x * c - y * s) + self.x, self.scale * (x * s + y * c) + self.y


@dataclass(frozen=True)
class Mood:
    """smile: -1 to 1; mouth, eyes: how far open (mouth 0 to 1, eyes 0.5 to 1); brows: how far up;
    gaze: where the irises are, -1 to 1."""

    smile: float = 0.3
    mouth: float = 0.0
    eyes: float = 1.0
    brows: float = 0.0
    gaze: float = 0.0


def drawn(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Pose, Mood]:
    """A pose and a mood for an image of ``size``; the head fills about three quarters of it."""

    def around(value: float, spread: float) -> float:
        return value + spread * (float(rng.random()) + float(rng.random()) - 1.0)

    height, width = size
    pose = Pose(
        scale=height / around(2.75, 0.3),
        x=width * around(0.5, 0.06),
        y=height * around(0.53, 0.05),
        roll=around(0.0, 0.035),
        yaw=around(0.0, 0.075),
        nod=around(0.0, 0.07),
    )
    talks = rng.random() < 0.35
    mood = Mood(
        smile=around(0.25, 0.75),
        mouth=0.2 + 0.8 * float(rng.random()) if talks else 0.0,
        eyes=1.0 - 0.5 * float(rng.random()) * float(rng.random()),
        brows=around(0.0, 0.05),
        gaze=around(0.0, 0.8),
    )
    return pose, mood
