"""One portrait: a face before a background in some light, with the truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlib.data.drawn.faces import features, hair
from reidlib.data.drawn.faces.canvas import Canvas
from reidlib.data.drawn.faces.pose import Mood, Pose, drawn
from reidlib.data.drawn.faces.traits import Face, face
from reidlib.data.drawn.people.camera import Camera, camera, expose, look
from reidlib.data.drawn.people.palette import PALETTE
from reidlib.data.drawn.people.raster import Array, Box, Colour, Point, turn
from reidlib.data.drawn.people.scene import COLUMNS
from reidlib.data.drawn.people.surface import dark

PARTS = ("eyes", "nose", "mouth")
BOXES = ("face", *PARTS)


@dataclass(frozen=True)
class Truth:
    """Boxes (x0, y0, x1, y1) in [-1, 1] of the image, beyond it where cut off, by name of BOXES.

    face: from the top of the head, without its hair, to the chin, without the ears; eyes: both,
    without the brows; nose: from between the eyes to the nostrils; mouth: the lips.
    """

    boxes: dict[str, Box]
    person: Face


def _points(oval: features.Oval, tilt: float = 0.0) -> list[Point]:
    """Points around an ellipse."""
    x, y, rx, ry = oval
    angles = (turn(k / 16) for k in range(16))
    return [(x + rx * c, y + ry * s + tilt * rx * c) for c, s in angles]


def _truth(who: Face, pose: Pose, mood: Mood, size: tuple[int, int]) -> dict[str, Box]:
    eyes = [
        point
        for side, oval in zip((-1.0, 1.0), features.eye_ovals(who, mood), strict=True)
        for point in _points(oval, -side * who.eye_tilt)
    ]
    on_face = {
        "eyes": eyes,
        "nose": _points(features.nose_oval(who)),
        "mouth": _points(features.mouth_oval(who, mood)),
    }
    head = [
        pose.pixel((who.width * c, (hair.CHIN if s > 0 else hair.TOP) * s))
        for c, s in (turn(k / 32) for k in range(32))
    ]
    seen = {name: [pose.pixel(p, who.width) for p in points] for name, points in on_face.items()}
    found = {}
    for name, points in {"face": head, **seen}.items():
        xs, ys = zip(*points, strict=True)
        corners = (min(xs), min(ys), max(xs), max(ys))
        x0, y0, x1, y1 = (2 * v / size[1 - i % 2] - 1 for i, v in enumerate(corners))
        found[name] = (x0, y0, x1, y1)
    return found


def _bust(canvas: Canvas, who: Face, cloth: Colour, open_: float) -> None:
    """Neck, shoulders and ears: all that lies between the hair behind and the face."""
    skin = dark(who.skin_rgb, 0.82)
    x, y = canvas.x, canvas.y
    neck = np.minimum(0.36 + 0.06 * who.jaw + 0.1 * y * y * (y > 1.2) - np.abs(x), y - 0.4)
    canvas.paint(canvas.step(neck), skin)
    canvas.paint(canvas.step(neck) * canvas.step(1.16 - y, 4.0), dark(skin, 0.75), 0.6)
    body = canvas.oval(0.0, 2.2, 1.5, 0.98, on="head")
    collar = canvas.step(np.abs(x) - 0.36 + open_ * (y - 1.2), 1.0)
    canvas.paint(body * np.maximum(collar, canvas.step(y - 1.2 - 0.36 / open_)), cloth)
    for side in (-1.0, 1.0):
        at = side * (who.width + 0.02)
        canvas.paint(canvas.oval(at, 0.04, 0.12, 0.2, on="head"), dark(who.skin_rgb, 0.9))
        canvas.paint(canvas.oval(at, 0.05, 0.05, 0.11, on="head"), dark(who.skin_rgb, 0.68), 0.7)
        if who.earrings:
            ring = canvas.oval(side * (who.width + 0.04), 0.28, 0.055, 0.075, on="head")
            canvas.paint(ring, (230, 200, 96))


def _head(canvas: Canvas, who: Face, mood: Mood, light: Point) -> None:
    inside = canvas.step(hair.outline(canvas, who))
    u, v = canvas.x / who.width, canvas.y
    lit = 1.05 + 0.17 * (u * light[0] + v * light[1]) - 0.16 * (u * u + 0.5 * v * v)
    canvas.paint(inside, np.reshape(who.skin_rgb, (3, 1, 1)) * np.clip(lit, 0.5, 1.3))
    before = canvas.pixels.copy()
    features.marks(canvas, who)
    features.beard(canvas, who, inside)
    features.nose(canvas, who, light[0])
    features.mouth(canvas, who, mood)
    features.eyes(canvas, who, mood)
    features.brows(canvas, who, mood)
    canvas.pixels[:] = before + inside * (canvas.pixels - before)  # features end at the outline


def portrait(
    seed: int, who: int, occasion: int, *, size: tuple[int, int] = (64, 64), plain: bool = False
) -> tuple[Array, Truth]:
    """Draws identity ``who`` on an occasion: uint8 RGB [H, W, 3], and its truth.

    plain: on mid-grey, before a camera that adds nothing.
    """
    person = face(seed, who)
    rng = np.random.default_rng([seed, 23, who, occasion])
    pose, mood = drawn(rng, size)

    def around(value: float, spread: float) -> float:
        return value + spread * (2.0 * float(rng.random()) - 1.0)

    light = (around(0.0, 0.9), around(-0.4, 0.4))
    cloth = tuple(PALETTE.values())[int(rng.integers(len(PALETTE)))]
    open_ = 0.6 + 0.9 * float(rng.random())
    scene = camera(seed, "ab"[int(rng.integers(2))], int(rng.integers(4))).scene
    corner = COLUMNS * float(rng.random()), 130.0 * float(rng.random())
    step = (0.35 + 0.5 * float(rng.random())) * 64.0 / size[0]
    wash: Colour = (around(132.0, 70.0), around(132.0, 60.0), around(132.0, 70.0))
    canvas = Canvas(np.full((3, *size), 128.0), pose, person.width)
    if not plain:
        canvas.pixels += 0.55 * (look(scene, corner, step, size) - canvas.pixels)
        canvas.pixels += 0.45 * (np.reshape(wash, (3, 1, 1)) - canvas.pixels)
    hair.behind(canvas, person)
    _bust(canvas, person, cloth, open_)
    _head(canvas, person, mood, light)
    hair.front(canvas, person)
    features.glasses(canvas, person)
    view = Camera(
        scene=scene,
        yaw=0.0,
        pitch=0.0,
        gain=around(1.0, 0.18),
        contrast=around(0.98, 0.16),
        cast=(around(1.0, 0.07), around(1.0, 0.03), around(1.0, 0.09)),
        blur=(1.0 + 1.4 * float(rng.random())) * 128.0 / size[0],
        noise=int(rng.integers(1, 6)),
        light=light,
    )
    truth = Truth(_truth(person, pose, mood, size), person)
    if plain:
        flat = np.rint(np.clip(canvas.pixels, 0.0, 255.0)).astype(np.uint8)
        return np.ascontiguousarray(flat.transpose(1, 2, 0)), truth
    return expose(view, canvas.pixels, 1.0, rng), truth
