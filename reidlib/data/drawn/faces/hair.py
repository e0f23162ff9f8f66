"""Hair: what hangs behind the head, and what grows on it down to a hairline."""

from __future__ import annotations

import numpy as np

from reidlib.data.drawn.faces.canvas import Canvas
from reidlib.data.drawn.faces.traits import Face
from reidlib.data.drawn.people.raster import Array, turn

TOP, CHIN = 1.04, 1.0  # from the middle of a face to the top of the head and to the chin


def outline(canvas: Canvas, who: Face, grown: float = 0.0, drop: float = 0.0) -> Array:
    """How far inside of the head a pixel is, in half faces; ``grown`` adds hair around it.

    The jaw runs from pointed to square: x^2 / w^2 + (1 - j) t^2 + j t^4 = 1 below the middle.
    drop: how much farther down the shape reaches.
    """
    wide = who.width + grown
    u = canvas.x / wide
    low = canvas.y > 0.0
    t = canvas.y / np.where(low, CHIN + drop, TOP + grown)
    j = np.where(low, who.jaw, 0.1)
    shape = u * u + (1.0 - j) * t * t + j * t * t * t * t - 1.0
    across = 2.0 * u / wide
    down = (2.0 * (1.0 - j) * t + 4.0 * j * t * t * t) / np.where(low, CHIN + drop, TOP + grown)
    return -shape / (np.sqrt(across * across + down * down) + 1e-6)


def _colour(canvas: Canvas, who: Face, coarse: float) -> Array:
    """Strands: the hair's colour, lighter and darker along lines, with a shine near the top."""
    x, y = canvas.fx, canvas.y
    strand = coarse * (7.0 * x + 1.5 * x * y) + 0.7 * y
    waves = np.abs(strand - np.floor(strand) - 0.5) * 4.0 - 1.0
    shine = np.clip(1.0 - np.abs(y + 0.85 - 0.3 * x * x) / 0.18, 0.0, 1.0)
    colour: Array = np.reshape(who.hair_rgb, (3, 1, 1)) * (1.0 + 0.13 * waves + 0.22 * shine)
    return colour


def behind(canvas: Canvas, who: Face) -> None:
    """Drawn before neck and head."""
    style, x, y = who.hair, np.abs(canvas.x), canvas.y
    if style in ("long", "wavy", "bob"):
        end = {"long": 1.75, "wavy": 1.6, "bob": 0.82}[style]
        wide = who.width + 0.16 + 0.05 * y
        if style == "wavy":
            wave = y * 2.2
            wide = wide + 0.1 * (np.abs(wave - np.floor(wave) - 0.5) * 4.0 - 1.0) + 0.04
        inside = np.minimum(np.minimum(wide - x, end - y), y + 0.3)
        cap = outline(canvas, who, 0.17, 0.2)
        canvas.paint(
            np.maximum(canvas.step(inside), canvas.step(cap)), 0.78 * _colour(canvas, who, 1.0)
        )
    elif style == "bun":
        canvas.paint(canvas.oval(0.0, -1.2, 0.3, 0.25, on="head"), _colour(canvas, who, 1.5))
    elif style in ("curls", "afro"):
        big, small = (0.22, 0.19) if style == "afro" else (0.04, 0.18)
        oval = canvas.oval(0.0, -0.3, who.width + big, 0.85 + big, on="head")
        canvas.paint(oval, _colour(canvas, who, 2.5))
        first, count = (-1, 17) if style == "afro" else (0, 13)  # curls from ear to ear
        for k in range(first, count - first):
            c, s = turn(0.5 + 0.5 * k / (count - 1))
            x0, y0 = c * (who.width + big), s * (0.85 + big) - 0.3
            curl = canvas.oval(x0, y0, small, small, on="head")
            canvas.paint(curl, _colour(canvas, who, 2.5) * (0.9 + 0.1 * (k % 2)))


def _hairline(who: Face, x: Array) -> Array:
    """The height down to which hair grows on the forehead, at a place x of the face."""
    square = x * x / (who.width * who.width)
    if who.hair == "parted":
        return -0.7 + 0.34 * np.abs(x + 0.26) + 0.12 * square
    if who.hair == "receding":
        lobes = np.abs(np.abs(x) - 0.36)
        return -0.98 + 0.5 * np.clip(0.3 - lobes, -1.0, 0.0) * -1.0
    if who.hair in ("fringe", "bob"):
        return -0.3 + 0.12 * square
    if who.hair in ("long", "wavy"):
        return -0.8 + 0.62 * np.abs(x) + 0.1 * square
    level: Array = {"short": -0.62, "buzz": -0.66, "curls": -0.55, "bun": -0.72, "afro": -0.6}[
        who.hair
    ] + 0.24 * square
    return level


def front(canvas: Canvas, who: Face) -> None:
    """Drawn on the face, before the glasses."""
    if who.hair == "bald":
        return
    x, y = canvas.fx, canvas.fy
    grown = {"buzz": 0.015, "receding": 0.03, "bun": 0.05}.get(who.hair, 0.11)
    side = np.abs(canvas.x) / who.width
    line = _hairline(who, x)
    drop = {"long": 0.95, "wavy": 0.9, "bob": 0.75, "fringe": 0.3, "bun": -0.1}.get(who.hair, 0.08)
    locks = np.minimum(10.0 * (side - 0.9) * who.width * 0.3, drop - y)  # beside the cheeks
    if who.hair in ("long", "wavy", "bob"):
        locks = np.minimum((side - 0.8) * who.width, drop - y)
    grows = np.maximum(line - y, locks)
    mask = canvas.step(outline(canvas, who, grown)) * canvas.step(grows, 1.5)
    shadow = canvas.step(outline(canvas, who)) * canvas.step(grows + 0.07, 3.0)
    canvas.paint(shadow, tuple(0.7 * v for v in who.skin_rgb), 0.4)  # type: ignore[arg-type]
    fine = 2.5 if who.hair in ("curls", "afro") else 1.0
    thin = 0.72 if who.hair == "buzz" else 1.0
    canvas.paint(mask, _colour(canvas, who, fine), thin)
