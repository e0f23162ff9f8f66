"""Where somebody walks: one textured background a camera, a wall or hedge above a ground.

A scene is [3, ROWS, COLUMNS] float64 in [0, 255], UNIT pixels to a person's height. It is drawn
once and every picture looks at another part of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reidlib.data.drawn.people.raster import Array, Colour, mix, soft

ROWS, COLUMNS, UNIT = 288, 512, 115
HORIZON = 96  # row where the ground begins
_Y = np.arange(ROWS, dtype=np.float64)[:, None]
_X = np.arange(COLUMNS, dtype=np.float64)[None, :]
Rng = np.random.Generator


def value_noise(rng: Rng, cell_y: int, cell_x: int) -> Array:
    """Smooth noise in [-1, 1], [ROWS, COLUMNS], with bumps of cell_y x cell_x pixels."""
    grid = 2.0 * rng.random((ROWS // cell_y + 2, COLUMNS // cell_x + 2)) - 1.0
    y, x = _Y[:, 0] / cell_y, _X[0] / cell_x
    i, j = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    fy, fx = (y - i)[:, None], (x - j)[None, :]
    fy, fx = fy * fy * (3.0 - 2.0 * fy), fx * fx * (3.0 - 2.0 * fx)
    top = grid[i][:, j] + fx * (grid[i][:, j + 1] - grid[i][:, j])
    bottom = grid[i + 1][:, j] + fx * (grid[i + 1][:, j + 1] - grid[i + 1][:, j])
    return top + fy * (bottom - top)


def _flat(rng: Rng, upper: Colour, lower: Colour, rough: float) -> Array:
    """Two plain areas with stains."""
    stains = value_noise(rng, 24, 48) * rough + value_noise(rng, 3, 4) * rough * 0.6
    colour = np.zeros((3, ROWS, COLUMNS)) + np.reshape(upper, (3, 1, 1))
    return mix(colour, soft(_Y - HORIZON, 2.0), lower) * (1.0 + stains)


def _rect(scene: Array, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> Array:
    inside = soft(np.minimum(_X - x0, x1 - _X), 2.0) * soft(np.minimum(_Y - y0, y1 - _Y), 2.0)
    return mix(scene, inside, colour)


def _joints(scene: Array, size: float, slant: float, colour: Colour, strength: float) -> Array:
    """Paving: rows that widen towards the viewer, and columns that run to a far point."""
    down = np.maximum(_Y - HORIZON, 0.0) + 30.0
    deep, wide = 480.0 * size, 0.42 * size * down
    rows, columns = deep / down, (_X - COLUMNS * (0.5 + slant)) / wide
    line = np.minimum(
        np.abs(rows - np.floor(rows) - 0.5) * down * down / deep,
        np.abs(columns - np.floor(columns) - 0.5) * wide,
    )
    fade = np.clip(down * down / deep / 6.0 - 0.5, 0.0, 1.0) * (_Y > HORIZON)
    return mix(scene, soft(1.0 - line, 2.0) * fade * strength, colour)


def plaza(rng: Rng) -> Array:
    scene = _flat(rng, (134, 132, 128), (150, 146, 139), 0.05)
    scene = _joints(scene, 1.0, 0.2 * rng.random(), (120, 115, 110), 0.7)
    for k in range(5):
        x = 40 + 105 * k + 30 * rng.random()
        scene = _rect(scene, x, 10, x + 52, HORIZON - 8, (92, 104, 116))
        scene = _rect(scene, x + 4, 14, x + 24, HORIZON - 12, (126, 142, 154))
    return _rect(scene, 300, 66, 318, 122, (74, 86, 74))


def lawn(rng: Rng) -> Array:
    scene = _flat(rng, (98, 116, 90), (134, 145, 112), 0.09)
    blades = soft(value_noise(rng, 5, 2) - 0.1, 0.8)
    scene = mix(scene, blades * 0.25, (104, 128, 82))
    path = soft(26.0 + 0.25 * _Y - np.abs(_X - 330.0 + 0.7 * _Y), 6.0) * (_Y > HORIZON)
    scene = mix(scene, path, (166, 156, 136))
    for k in range(4):
        x = 30 + 130 * k + 50 * rng.random()
        scene = _rect(scene, x, 0, x + 12, HORIZON + 14, (88, 70, 52))
    return scene


def street(rng: Rng) -> Array:
    scene = _flat(rng, (144, 122, 110), (134, 133, 133), 0.06)
    brick = np.abs(_Y / 8.0 - np.floor(_Y / 8.0) - 0.5)
    scene = mix(scene, soft(0.12 - brick, 0.2) * (_Y < HORIZON) * 0.6, (168, 150, 138))
    scene = _rect(scene, 0, HORIZON, COLUMNS, HORIZON + 18, (160, 158, 152))
    start = 120 * rng.random()
    for k in range(7):
        x = start + 64 * k + 0.35 * (_Y - HORIZON)
        inside = soft(np.minimum(_X - x, x + 30.0 - _X), 2.0) * (_Y > HORIZON + 50)
        scene = mix(scene, inside * (_Y < HORIZON + 128) * 0.7, (190, 190, 186))
    return _rect(scene, 210, 14, 262, HORIZON, (70, 62, 58))


def wall(rng: Rng) -> Array:
    scene = _flat(rng, (160, 155, 145), (145, 140, 135), 0.06)
    scene = _joints(scene, 0.6, -0.3 * rng.random(), (112, 106, 102), 0.5)
    scene = _rect(scene, 0, HORIZON - 10, COLUMNS, HORIZON, (142, 132, 118))
    for k in range(4):
        x = 20 + 128 * k + 40 * rng.random()
        scene = _rect(scene, x, 20, x + 44, 70, (112, 92, 76) if k % 2 else (88, 96, 108))
    return _rect(scene, 420, 60, 446, 130, (62, 96, 118))


def hall(rng: Rng) -> Array:
    scene = _flat(rng, (178, 180, 182), (160, 158, 158), 0.03)
    scene = _joints(scene, 1.4, 0.1, (132, 132, 136), 0.8)
    for k in range(6):
        x = 85 * k + 20 * rng.random()
        scene = _rect(scene, x, 0, x + 60, HORIZON - 4, (120, 138, 150))
        scene = _rect(scene, x + 64, 0, x + 80, HORIZON + 12, (168, 166, 164))
    return scene


def platform(rng: Rng) -> Array:
    scene = _flat(rng, (100, 104, 110), (132, 132, 136), 0.05)
    scene = _rect(scene, 0, HORIZON + 40, COLUMNS, HORIZON + 56, (204, 176, 72))
    scene = _rect(scene, 0, 20, COLUMNS, HORIZON - 24, (70, 92, 132))
    for k in range(8):
        x = 14 + 66 * k
        scene = _rect(scene, x, 30, x + 40, HORIZON - 44, (148, 158, 164))
    return scene


def snow(rng: Rng) -> Array:
    scene = _flat(rng, (128, 132, 140), (176, 180, 188), 0.05)
    tracks = soft(value_noise(rng, 8, 60) - 0.35, 0.5) * (_Y > HORIZON)
    scene = mix(scene, tracks * 0.5, (140, 144, 154))
    for k in range(5):
        x = 20 + 110 * k + 40 * rng.random()
        scene = _rect(scene, x, 0, x + 7, HORIZON + 10, (66, 60, 58))
    return scene


def car_park(rng: Rng) -> Array:
    scene = _flat(rng, (118, 116, 112), (112, 113, 116), 0.08)
    for k in range(8):
        lane = _X - 30 - 75 * k + 0.6 * (_Y - HORIZON)
        inside = soft(2.5 - np.abs(lane), 1.5) * (_Y > HORIZON)
        scene = mix(scene, inside * 0.8, (182, 180, 172))
    colours: tuple[Colour, ...] = ((120, 44, 44), (54, 70, 98), (176, 178, 180))
    for k in range(3):
        x = 40 + 165 * k + 40 * rng.random()
        scene = _rect(scene, x, 52, x + 110, 100, colours[k])
        scene = _rect(scene, x + 18, 34, x + 88, 56, (50, 56, 64))
    return scene


SCENES: dict[str, tuple[Callable[[Rng], Array], ...]] = {
    "a": (plaza, lawn, street, wall),
    "b": (hall, platform, snow, car_park),
}


def scene(rng: Rng, domain: str, index: int) -> Array:
    """The scene of camera ``index`` (from 0); the kinds repeat after four, drawn anew."""
    kinds = SCENES[domain]
    return np.clip(kinds[index % len(kinds)](rng), 0.0, 255.0)
