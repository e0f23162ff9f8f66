"""One picture: a person before a camera inside a detector's box, with the truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reidlib.data.drawn.people.camera import Camera, camera, expose, look
from reidlib.data.drawn.people.figure import PARTS, figure
from reidlib.data.drawn.people.palette import DOMAINS
from reidlib.data.drawn.people.pose import Gait, View
from reidlib.data.drawn.people.raster import Array, Box, Frame, Shape, bounds, draw
from reidlib.data.drawn.people.scene import COLUMNS, HORIZON, UNIT
from reidlib.data.drawn.people.shapes import Blob
from reidlib.data.drawn.people.wardrobe import Person, person

# Where a perfect detector puts the body in the image: a margin of a twentieth of the height above
# and below. The body's box is as wide as 4/9 of its height, around the middle of the person.
NOMINAL: Box = (-0.8, -0.9, 0.8, 0.9)
STRANGER = 500_000  # identities from here on are passers-by


@dataclass(frozen=True)
class Shot:
    """Which picture: identity number, camera (from 0), occasion, frame of a walk; changing: whether
    that walk turns, passes through light and shade, and is crossed by somebody."""

    who: int
    cam: int
    occasion: int
    frame: int = 0
    junk: bool = False
    changing: bool = False


@dataclass(frozen=True)
class Truth:
    """Boxes (x0, y0, x1, y1) in [-1, 1] of the image, beyond it where cut off.

    body: the person's highest and lowest point, 4/9 of that as width, around the middle.
    parts: boxes of PARTS. head: with its hat, without long hair; torso: without the arms;
    legs: from the torso's hem down to the ankles; feet: the shoes, whose upper edge trousers hide.
    """

    body: Box
    parts: dict[str, Box]
    side: str
    person: Person


@dataclass(frozen=True)
class Change:
    """What a walk's frames differ in beside the step. turn: of the body since the first frame, in
    turns; light: factor of the brightness; passer: where somebody who crosses in front stands, in
    widths of the image from its middle, None: nobody is near."""

    turn: float = 0.0
    light: float = 1.0
    passer: float | None = None


def change(seed: int, code: int, shot: Shot) -> Change:
    """That of a frame. Twenty frames turn by a sixth to a half of a turn, become darker or brighter
    by up to two fifths, and in two walks of three somebody crosses within them."""
    if not shot.changing:
        return Change()
    rng = np.random.default_rng([seed, code, 10, shot.who, shot.cam, shot.occasion])
    way, shade = (1.0 if rng.random() < 0.5 else -1.0 for _ in range(2))
    turn = way * (0.008 + 0.017 * float(rng.random())) * shot.frame
    light = 1.0 + shade * (0.005 + 0.015 * float(rng.random())) * (shot.frame - 10)
    crossed, speed = 30.0 * float(rng.random()), 0.12 + 0.1 * float(rng.random())
    passer = way * speed * (shot.frame - crossed)
    return Change(turn, max(light, 0.4), passer if abs(passer) < 1.0 else None)


def _normal(rng: np.random.Generator) -> float:
    """Mean 0, standard deviation 1, within [-3, 3]: three uniform numbers."""
    a, b, c = float(rng.random()), float(rng.random()), float(rng.random())
    return 2.0 * ((a + b) + c) - 3.0


def _stance(
    rng: np.random.Generator, view: Camera, domain: str, frame: int
) -> tuple[Gait, View, float]:
    """Gait, view, and how far the person has walked (in turns of the walking cycle)."""
    walked = 0.085 * frame
    yaw = view.yaw + 0.075 * _normal(rng)
    if rng.random() < 0.15:  # somebody who comes the other way
        yaw += 0.5
    phase = float(rng.random()) + walked
    stride = (0.036 if domain == "a" else 0.05) + 0.018 * float(rng.random())
    busy = float(rng.random())
    habits = ("pocket", "phone", "folded")
    still = 0.14 if domain == "a" else 0.5
    arms = habits[int(3.0 * busy / still)] if busy < still else "swing"
    head = 0.04 * _normal(rng)
    return Gait(phase, stride, arms, head), View(yaw, view.pitch), walked


def _box_of(shapes: list[Shape]) -> Box:
    """The ideal box of a person, in person units."""
    x0, y0, x1, y1 = bounds(shapes)
    middle, half = 0.5 * (x0 + x1), (y1 - y0) * 2.0 / 9.0
    return middle - half, y0, middle + half, y1


def _detect(seed: int, code: int, shot: Shot, error: float) -> tuple[float, float, float]:
    """The detector's zoom and shift (x, y), the shift in widths and heights of its box."""
    slow = np.random.default_rng([seed, code, 5, shot.who, shot.cam, shot.occasion])
    fast = np.random.default_rng([seed, code, 6, shot.who, shot.cam, shot.occasion, shot.frame])
    zoom, x, y = (0.9 * _normal(slow) + 0.436 * _normal(fast) for _ in range(3))
    zoom = 1.0 + error * zoom if zoom > 0 else 1.0 / (1.0 - error * zoom)
    shift_x, shift_y = error * x, error * y
    if shot.junk:
        way = 1.0 if slow.random() < 0.5 else -1.0
        along = 0.5 + 0.25 * float(slow.random())
        if slow.random() < 0.6:
            shift_x += way * along
        else:
            shift_y += way * along
        zoom *= 0.8 + 0.5 * float(slow.random())
    return zoom, shift_x, shift_y


def _others(
    rng: np.random.Generator, seed: int, domain: str, view: Camera, frame: Frame, ground: float
) -> tuple[list[tuple[list[Shape], Frame]], list[tuple[list[Shape], Frame]]]:
    """Passers-by behind and in front of the person, each with its own frame."""
    kind, who = float(rng.random()), STRANGER + int(rng.integers(10_000))
    gait, stance, _ = _stance(rng, view, domain, 0)
    way = 1.0 if rng.random() < 0.5 else -1.0
    off = way * (0.24 + 0.16 * float(rng.random()))
    if kind > 0.22:
        return [], []
    near = kind < 0.06
    shapes = figure(person(seed, domain, who), gait, stance)
    scale = frame.scale * (1.08 if near else 0.86)
    feet = ground + frame.scale * (0.07 if near else -0.08)
    x = frame.x + off * frame.scale * (1.15 if near else 1.0)
    other = [(shapes, Frame(scale, x, feet - scale * bounds(shapes)[3], frame.light))]
    return ([], other) if near else (other, [])


def _crossing(
    seed: int, domain: str, shot: Shot, view: Camera, frame: Frame, ground: float, x: float
) -> tuple[list[Shape], Frame]:
    """Somebody who crosses in front of a walk, at ``x`` pixels."""
    rng = np.random.default_rng([seed, 11, shot.who, shot.cam, shot.occasion])
    who = person(seed, domain, STRANGER + int(rng.integers(10_000)))
    gait, stance, _ = _stance(rng, view, domain, shot.frame)
    shapes = figure(who, gait, stance)
    scale, feet = 1.08 * frame.scale, ground + 0.07 * frame.scale
    return shapes, Frame(scale, x, feet - scale * bounds(shapes)[3], frame.light)


def picture(
    seed: int,
    domain: str,
    shot: Shot,
    *,
    size: tuple[int, int] = (128, 64),
    error: float = 0.08,
    plain: bool = False,
) -> tuple[Array, Truth]:
    """Draws a shot: uint8 RGB [H, W, 3] with H = 2 W, and its truth.

    error: standard deviation of the detector's shift (in widths and heights of its box) and zoom.
    plain: the person alone on black, unspoilt by camera and passers-by.
    """
    code = DOMAINS.index(domain)
    height, width = size
    who, view = person(seed, domain, shot.who), camera(seed, domain, shot.cam)
    key = [seed, code, 7, shot.who, shot.cam, shot.occasion]
    rng = np.random.default_rng(key)
    gait, stance, walked = _stance(rng, view, domain, shot.frame)
    changed = change(seed, code, shot)
    stance = View(stance.yaw + changed.turn, stance.pitch)
    shapes = figure(who, gait, stance)
    ideal = _box_of(shapes)

    zoom, shift_x, shift_y = _detect(seed, code, shot, error)
    scale = 0.9 * height / (ideal[3] - ideal[1]) * zoom
    x = width * (0.5 + shift_x * zoom) - scale * 0.5 * (ideal[0] + ideal[2])
    y = height * (0.5 + shift_y * zoom) - scale * 0.5 * (ideal[1] + ideal[3])
    frame = Frame(scale, x, y, view.light)
    ground = scale * ideal[3] + y

    if plain:
        canvas = np.zeros((3, height, width))
        draw(shapes, canvas, frame)
        image = np.rint(np.clip(canvas, 0.0, 255.0)).astype(np.uint8).transpose(1, 2, 0)
    else:
        step = UNIT / scale  # scene pixels to an image pixel
        stands = HORIZON + 60.0 + 110.0 * float(rng.random())  # scene row of the feet
        start = COLUMNS * float(rng.random()) + 0.55 * UNIT * walked * stance.cs[1]
        corner = start - step * (x - 0.5 * width), stands - step * ground
        canvas = look(view.scene, corner, step, size)
        brightness = (0.92 + 0.16 * float(rng.random())) * changed.light
        behind, before = _others(rng, seed, domain, view, frame, ground)
        if changed.passer is not None:
            x = (0.5 + changed.passer) * width
            before = [*before, _crossing(seed, domain, shot, view, frame, ground, x)]
        for others, its in behind:
            draw(others, canvas, its)
        shadow = (x - 0.1 * scale * view.light[0], ground - 0.015 * scale)
        Blob("", shadow, 0.2 * scale, 0.035 * scale, (40, 40, 44), opacity=0.4).draw(
            canvas, Frame(1.0, 0.0, 0.0)
        )
        draw(shapes, canvas, frame)
        for others, its in before:
            draw(others, canvas, its)
        image = expose(view, canvas, brightness, np.random.default_rng([*key, shot.frame]))

    def normalised(box: Box) -> Box:
        x0, y0, x1, y1 = frame.box(box)
        return (
            2.0 * x0 / width - 1.0,
            2.0 * y0 / height - 1.0,
            2.0 * x1 / width - 1.0,
            2.0 * y1 / height - 1.0,
        )

    tight = {part: bounds(shapes, part) for part in PARTS}
    hem, (x0, _, x1, y1) = tight["torso"][3], tight["legs"]
    tight["legs"] = (x0, hem, x1, y1)  # what a coat covers is torso
    parts = {part: normalised(box) for part, box in tight.items()}
    return image, Truth(normalised(ideal), parts, stance.side, who)
