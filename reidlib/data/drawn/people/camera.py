"""Who watches: a camera's viewing side, light, colour cast, sharpness and noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reidlib.data.drawn.people.palette import DOMAINS
from reidlib.data.drawn.people.raster import Array, Point
from reidlib.data.drawn.people.scene import COLUMNS, ROWS, scene


@dataclass(frozen=True, eq=False)
class Camera:
    """yaw: in turns, how most people are seen (0 from the front); pitch: how far it looks down;
    gain, contrast, cast (per channel): of the colours; blur: pixels of the image (of 128 rows) to
    one of the sensor; noise: in grey levels; light: the direction the light comes from."""

    scene: Array
    yaw: float
    pitch: float
    gain: float
    contrast: float
    cast: tuple[float, float, float]
    blur: float
    noise: int
    light: Point


# yaw, gain, contrast, cast, blur, noise: the means of the first four cameras; more repeat them
_KINDS = {
    "a": (
        (0.00, 1.02, 1.04, (1.00, 1.00, 1.00), 1.0, 4),
        (0.50, 0.94, 0.96, (0.98, 1.02, 0.97), 1.5, 6),
        (0.27, 1.00, 1.06, (1.04, 1.00, 0.95), 1.9, 8),
        (0.73, 0.95, 0.94, (0.96, 1.00, 1.05), 1.3, 6),
    ),
    "b": (
        (0.45, 1.00, 0.90, (1.05, 1.01, 0.92), 1.5, 5),
        (0.80, 0.88, 0.98, (0.95, 1.00, 1.08), 1.2, 8),
        (0.05, 1.04, 0.86, (0.98, 1.00, 1.05), 1.9, 6),
        (0.22, 0.90, 0.92, (1.05, 0.98, 0.95), 2.1, 7),
    ),
}


@lru_cache(maxsize=64)
def camera(seed: int, domain: str, index: int) -> Camera:
    """Camera ``index`` (from 0) of a domain."""
    rng = np.random.default_rng([seed, DOMAINS.index(domain), 4, index])

    def around(value: float, spread: float) -> float:
        return value + spread * (2.0 * float(rng.random()) - 1.0)

    yaw, gain, contrast, cast, blur, noise = _KINDS[domain][index % 4]
    spread = 0.03 if index < 4 else 0.12
    low = 0.1 if domain == "a" else 0.2
    side = -0.65 if rng.random() < 0.5 else 0.65
    return Camera(
        scene=scene(rng, domain, index),
        yaw=around(yaw, spread),
        pitch=low + 0.12 * float(rng.random()),
        gain=around(gain, spread),
        contrast=around(contrast, spread),
        cast=(around(cast[0], spread), around(cast[1], spread), around(cast[2], spread)),
        blur=around(blur, spread),
        noise=noise,
        light=(side, around(-0.5, 0.2)),
    )


def look(scene: Array, corner: Point, step: float, size: tuple[int, int]) -> Array:
    """A part [3, *size] of a scene from ``corner`` (x, y) on, in steps of scene pixels.

    Beyond the right end comes the left one; above and below the last rows go on.
    """
    x, y = corner
    rows = np.clip(y + step * (np.arange(size[0]) + 0.5), 0.0, ROWS - 1.001)
    columns = x + step * (np.arange(size[1]) + 0.5)
    columns = columns - np.floor(columns / COLUMNS) * COLUMNS
    return _bilinear(scene, rows, columns)


def _bilinear(image: Array, rows: Array, columns: Array) -> Array:
    """Values at (rows, columns), rows ascending; beyond the right end comes the left one."""
    i, j = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    fy, fx = (rows - i)[:, None], (columns - j)[None, :]
    below, right = np.minimum(i + 1, image.shape[1] - 1), (j + 1) % image.shape[2]
    first, last = int(i[0]), int(below[-1]) + 1
    left = image[:, first:last, j]
    band = left + fx * (image[:, first:last, right] - left)
    top = band[:, i - first]
    return top + fy * (band[:, below - first] - top)


def _coarse(image: Array, blur: float) -> Array:
    """The image [3,H,W] seen by a sensor with ``blur`` times fewer rows and columns."""
    if blur <= 1.02:
        return image
    height, width = image.shape[1:]
    padded = np.concatenate([image[:, :1], image, image[:, -1:]], 1)
    image = (padded[:, :-2] + 2.0 * image + padded[:, 2:]) / 4.0
    padded = np.concatenate([image[:, :, :1], image, image[:, :, -1:]], 2)
    image = (padded[:, :, :-2] + 2.0 * image + padded[:, :, 2:]) / 4.0
    h, w = max(8, int(height / blur)), max(4, int(width / blur))

    def grid(source: int, target: int) -> Array:
        centres = (np.arange(target) + 0.5) * source / target - 0.5
        return np.clip(centres, 0.0, source - 1.0)

    small = _bilinear(image, grid(height, h), grid(width, w))
    return _bilinear(small, grid(h, height), grid(w, width))


def expose(view: Camera, image: Array, brightness: float, rng: np.random.Generator) -> Array:
    """What the sensor makes of an image [3,H,W] of float64: uint8 [H,W,3]."""
    image = _coarse(image, view.blur * image.shape[1] / 128.0)
    cast = np.reshape(view.cast, (3, 1, 1)) * (view.gain * brightness)
    image = (view.contrast * (image - 118.0) + 118.0) * cast
    low = -view.noise
    noise = rng.integers(low, -low + 1, image.shape) + rng.integers(low, -low + 1, image.shape)
    levels = np.clip(np.rint(image + noise), 0.0, 255.0)
    return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))
