"""What is in a face: eyes, brows, nose, mouth, beard, marks and glasses."""

from __future__ import annotations

import numpy as np

from reidlib.data.drawn.faces.canvas import Canvas
from reidlib.data.drawn.faces.pose import Mood
from reidlib.data.drawn.faces.traits import IRIS, Face
from reidlib.data.drawn.people.raster import Array, Colour
from reidlib.data.drawn.people.surface import dark

EYES, MOUTH = -0.1, 0.56  # heights of their middles on the face
Oval = tuple[float, float, float, float]  # middle x, y, half width, half height


def toned(colour: Colour, red: float, green: float, blue: float) -> Colour:
    return colour[0] * red, colour[1] * green, colour[2] * blue


def eye_ovals(who: Face, mood: Mood) -> list[Oval]:
    high = 0.62 * who.eye_size * mood.eyes
    return [(side * who.eye_gap, EYES, who.eye_size, high) for side in (-1.0, 1.0)]


def nose_oval(who: Face) -> Oval:
    """From between the eyes to the tip."""
    return 0.0, EYES + 0.5 * who.nose_length + 0.04, who.nose_width, 0.5 * who.nose_length + 0.06


def mouth_oval(who: Face, mood: Mood) -> Oval:
    wide = who.mouth_width * (1.0 + 0.18 * max(mood.smile, 0.0))
    return 0.0, MOUTH, wide, who.lips + 0.09 * mood.mouth


def eyes(canvas: Canvas, who: Face, mood: Mood) -> None:
    skin = who.skin_rgb
    for side, (x, y, rx, ry) in zip((-1.0, 1.0), eye_ovals(who, mood), strict=True):
        tilt = -side * who.eye_tilt
        canvas.paint(canvas.oval(x, y - 0.01, rx * 1.35, ry * 1.9, tilt), dark(skin, 0.84), 0.55)
        white = canvas.oval(x, y, rx, ry, tilt)
        canvas.paint(white, (236, 234, 230))
        look = x + 0.3 * rx * mood.gaze
        round_ = 0.62 * who.eye_size
        canvas.paint(canvas.oval(look, y, round_, round_) * white, IRIS[who.eye_colour])
        canvas.paint(canvas.oval(look, y, 0.5 * round_, 0.5 * round_) * white, (18, 16, 18))
        shine = canvas.oval(look - 0.3 * round_, y - 0.3 * round_, 0.22 * round_, 0.22 * round_)
        canvas.paint(shine * white, (250, 250, 250), 0.9)
        lid = canvas.stroke(x - rx * 1.08, x + rx * 1.08, y, 0.028, -ry * 1.05, tilt)
        canvas.paint(lid, (40, 28, 26), 0.9 if who.lipstick else 0.7)
        lower = canvas.stroke(x - rx * 0.9, x + rx * 0.9, y, 0.012, ry, tilt)
        canvas.paint(lower, dark(skin, 0.55), 0.6)


def brows(canvas: Canvas, who: Face, mood: Mood) -> None:
    colour = dark(who.hair_rgb, 0.75)
    for side in (-1.0, 1.0):
        x, half = side * (who.eye_gap + 0.02), who.eye_size * 1.3
        y = EYES - 0.17 - 0.4 * who.eye_size - mood.brows
        arch = -who.brow_arch
        stroke = canvas.stroke(x - half, x + half, y - arch, who.brow, arch, -side * who.brow_tilt)
        canvas.paint(stroke, colour, 0.9)


def nose(canvas: Canvas, who: Face, light: float) -> None:
    skin, wide, tip = who.skin_rgb, who.nose_width, EYES + who.nose_length + 0.06
    shade = 1.0 if light < 0 else -1.0  # the side away from the light
    x, y = canvas.fx, canvas.fy
    t = np.clip((y - EYES) / (tip - EYES), 0.0, 1.0)
    ridge = 0.045 + (0.75 * wide - 0.045) * t * t
    along = canvas.step(y - EYES + 0.02, 3.0) * canvas.step(tip - y, 2.0)
    flank = canvas.step(0.045 - np.abs(x - shade * ridge), 2.0) * along
    canvas.paint(flank, dark(skin, 0.74), 0.75)
    bright = canvas.step(0.035 - np.abs(x + shade * 0.02), 2.0) * along
    canvas.paint(bright, toned(skin, 1.1, 1.1, 1.1), 0.6)
    canvas.paint(canvas.oval(0.0, tip - 0.04, wide, 0.09), toned(skin, 1.02, 0.95, 0.93), 0.6)
    for side in (-1.0, 1.0):
        hole = canvas.oval(side * 0.55 * wide, tip + 0.005, 0.3 * wide, 0.026, side * 0.2)
        canvas.paint(hole, dark(skin, 0.4), 0.85)
    under = canvas.stroke(-wide, wide, tip - 0.01, 0.016, 0.06)
    canvas.paint(under, dark(skin, 0.6), 0.7)


def mouth(canvas: Canvas, who: Face, mood: Mood) -> None:
    _, y, wide, high = mouth_oval(who, mood)
    lip = toned(who.skin_rgb, 0.9, 0.66, 0.64)
    if who.lipstick:
        lip = (176.0, 46.0, 62.0)
    gap, bend = 0.09 * mood.mouth, 0.11 * mood.smile
    y -= 0.5 * bend
    canvas.paint(canvas.stroke(-wide, wide, y, high, bend), lip)
    if gap:
        inside = canvas.stroke(-0.85 * wide, 0.85 * wide, y, gap, bend)
        canvas.paint(inside, (74, 24, 28))
        teeth = canvas.step(y + 0.6 * bend - canvas.fy, 1.5) * (mood.smile > -0.2)
        canvas.paint(inside * teeth, (238, 234, 226))
    else:
        canvas.paint(canvas.stroke(-wide, wide, y, 0.016, bend), dark(lip, 0.5), 0.9)
    shadow = canvas.stroke(-0.5 * wide, 0.5 * wide, y + high + 0.06, 0.03, bend)
    canvas.paint(shadow, dark(who.skin_rgb, 0.8), 0.5)


def beard(canvas: Canvas, who: Face, inside: Array) -> None:
    """Drawn before the mouth. inside: mask of the head."""
    if who.beard == "none":
        return
    x, y = np.abs(canvas.fx), canvas.fy
    jaw = canvas.step(y - 0.34 + 0.55 * (who.width - x), 4.0)
    free = 1.0 - canvas.oval(0.0, MOUTH, who.mouth_width * 1.05, who.lips + 0.07)
    lip = canvas.stroke(-0.34, 0.34, MOUTH - 0.1, 0.075, -0.05)
    tuft = canvas.oval(0.0, MOUTH + 0.26, 0.24, 0.22)
    mask = {"moustache": lip, "goatee": np.maximum(lip * 0.9, tuft)}.get(who.beard)
    if mask is None:
        mask = np.maximum(jaw * canvas.step(y - 0.12, 4.0) * free, lip)
    grain = x * 13.0 + y * 8.0
    texture = 1.0 + 0.08 * (np.abs(grain - np.floor(grain) - 0.5) * 4.0 - 1.0)
    colour = np.reshape(dark(who.hair_rgb, 0.85), (3, 1, 1)) * texture
    canvas.paint(mask * inside, colour, 0.38 if who.beard == "stubble" else 0.92)


def marks(canvas: Canvas, who: Face) -> None:
    skin = who.skin_rgb
    cheek = 0.55 if who.mark == "blush" else 0.2
    for side in (-1.0, 1.0):
        u, v = (canvas.fx - side * 0.42) / 0.26, (canvas.fy - 0.28) / 0.2
        soft_spot = np.clip(1.0 - (u * u + v * v), 0.0, 1.0)
        canvas.paint(soft_spot, toned(skin, 1.0, 0.76, 0.76), cheek)
    if who.mark == "freckles":
        rng = np.random.default_rng([22, who.look, int(1000 * who.width)])
        for _ in range(22):
            x, y = 1.1 * float(rng.random()) - 0.55, 0.08 + 0.3 * float(rng.random())
            canvas.paint(canvas.oval(x, y, 0.028, 0.028), toned(skin, 0.72, 0.6, 0.52), 0.8)
    elif who.mark.startswith("mole"):
        x, y = (-0.33, 0.42) if who.mark == "mole left" else (0.4, 0.2)
        canvas.paint(canvas.oval(x, y, 0.045, 0.045), toned(skin, 0.42, 0.34, 0.32))
    elif who.mark == "lines":
        for y in (-0.52, -0.44):
            canvas.paint(canvas.stroke(-0.38, 0.38, y, 0.014, -0.03), dark(skin, 0.68), 0.8)
        for side in (-1.0, 1.0):
            fold = canvas.step(0.016 - np.abs(side * canvas.fx - 0.2 - 0.35 * (canvas.fy - 0.26)))
            near = canvas.step(canvas.fy - 0.26) * canvas.step(0.56 - canvas.fy)
            canvas.paint(fold * near, dark(skin, 0.66), 0.7)


def glasses(canvas: Canvas, who: Face) -> None:
    if who.glasses == "none":
        return
    rim = (30.0, 28.0, 32.0) if who.glasses != "round" else (120.0, 84.0, 44.0)
    x, y = canvas.fx, canvas.fy
    gap, y0, wide = who.eye_gap, EYES + 0.02, 0.42 * who.eye_gap + 0.12
    for side in (-1.0, 1.0):
        if who.glasses == "round":
            u, v = x - side * gap, y - y0
            inner = wide - np.sqrt(u * u + v * v)
        else:
            inner = np.minimum(wide - np.abs(x - side * gap), 0.17 - np.abs(y - y0))
        frame = canvas.step(0.024 - np.abs(inner))
        if who.glasses == "half":
            frame = frame * canvas.step(y0 - 0.02 - y)
        canvas.paint(canvas.step(inner), (226, 234, 240), 0.16)
        canvas.paint(frame, rim, 0.95)
        arm = canvas.step(0.022 - np.abs(y - y0 + 0.05)) * canvas.step(side * x - gap - wide)
        canvas.paint(arm * canvas.step(who.width - side * canvas.x), rim, 0.9)
    canvas.paint(canvas.stroke(wide - gap, gap - wide, y0 - 0.03, 0.022, -0.02), rim, 0.95)
