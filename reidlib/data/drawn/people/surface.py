"""What is printed on a body: the face and hair of a head, the cloth of a torso.

Both are looked up in body axes, x towards the person's left and z forwards, so one description
serves every viewing side: a logo is seen from the front, a face is not seen from behind.
"""

from __future__ import annotations

import numpy as np

from reidlib.data.drawn.people.palette import HAIR, SKIN
from reidlib.data.drawn.people.raster import Array, Colour, Paint, mix, soft
from reidlib.data.drawn.people.wardrobe import Person

# How far hair reaches: it grows where z + slope * v + offset < 0 (v: -1 top of the head, 1 chin).
HAIRLINE = {
    "short": (1.1, -0.05),
    "bald": (0.0, 2.0),
    "bob": (0.55, -0.12),
    "long": (0.5, -0.15),
    "ponytail": (1.0, -0.02),
    "bun": (1.0, 0.0),
    "curly": (0.95, -0.16),
}


def _around(u: Array, v: Array | float, c: float, s: float) -> tuple[Array, Array]:
    """Body axes x, z of the visible point at screen position u, on a round of radius 1."""
    w = np.sqrt(np.maximum(0.0, 1.0 - u * u - v * v))
    return u * c - w * s, u * s + w * c


def dark(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def head_paint(person: Person, c: float, s: float) -> Paint:
    """Paint for the head's blob; c, s: cosine and sine of the head's yaw."""
    skin, hair = SKIN[person.skin], HAIR[person.hair_colour]
    slope, offset = HAIRLINE[person.hair]

    def paint(u: Array, v: Array, pixel: float) -> Array:
        x, z = _around(u, v, c, s)
        front = soft(z - 0.15, pixel)
        colour = np.reshape(skin, (3, 1, 1)) * (1.0 - 0.1 * np.maximum(0.0, v))
        cheeks = soft(0.3 - np.abs(np.abs(x) - 0.45) - np.abs(v - 0.35), 0.5) * front * 0.35
        colour = mix(colour, cheeks, (skin[0], skin[1] * 0.82, skin[2] * 0.8))
        if person.beard:
            chin = soft(v - 0.36 + 0.25 * np.abs(x), pixel) * soft(z + 0.1, pixel)
            colour = mix(colour, chin * 0.9, hair)
        mouth = soft(0.22 - np.abs(x), pixel) * soft(0.07 - np.abs(v - 0.56), pixel) * front
        colour = mix(colour, mouth, (150, 62, 60))
        apart = np.abs(np.abs(x) - 0.38)
        eyes = soft(0.13 - apart, pixel) * soft(0.09 - np.abs(v - 0.08), pixel) * front
        colour = mix(colour, eyes * 0.95, (30, 26, 26))
        if person.glasses:
            lens = soft(0.3 - apart, pixel) * soft(0.2 - np.abs(v - 0.08), pixel) * front
            colour = mix(colour, lens * 0.75, (36, 36, 44))
        else:
            brows = soft(0.2 - apart, pixel) * soft(0.05 - np.abs(v + 0.16), pixel) * front
            colour = mix(colour, brows * 0.7, hair)
        grown = soft(-(z + slope * v + offset), 1.5 * pixel)
        return mix(colour, grown, hair)

    return paint


def torso_paint(person: Person, c: float, s: float) -> Paint:
    """Paint for the torso's surface; v: distance below the base of the neck."""
    base = person.rgb(person.upper_colour)
    print_rgb = person.rgb(person.logo_colour, 2)
    strap = dark(person.rgb(person.bag_colour, 2), 0.75)
    inner = person.rgb(person.inner_colour, 2)

    def paint(u: Array, v: Array, pixel: float) -> Array:
        x, z = _around(np.clip(u, -1.0, 1.0), 0.0, c, s)
        wide = 9.0 * pixel  # a pixel in units of u
        front, back = soft(z, wide), soft(-z, wide)
        crease = u * 0.8 + v * 9.0 + person.tint[0]
        folds = np.abs(crease - np.floor(crease) - 0.5) * 4.0 - 1.0
        colour = np.reshape(base, (3, 1, 1)) * (1.0 + 0.05 * folds * np.minimum(1.0, v * 5.0))
        colour = _logo(person.logo, colour, x, v, front, back, wide, pixel, print_rgb)
        if person.upper in ("jacket", "coat"):
            opening = soft(0.17 + 0.3 * v - np.abs(x), wide) * front
            colour = mix(colour, opening, inner)
            lapel = soft(0.1 - np.abs(np.abs(x) - 0.27 - 0.3 * v), wide) * front
            colour = mix(colour, lapel * 0.5, dark(base, 0.6))
        elif person.upper in ("hoodie", "shirt"):
            line = soft(0.05 - np.abs(x), wide) * front
            colour = mix(colour, line * 0.6, dark(base, 0.55))
        if person.upper == "shirt":
            colour = mix(colour, soft(0.03 - v, pixel), dark(base, 1.12))
        if person.upper == "hoodie":
            colour = mix(colour, soft(0.075 - v, pixel) * back, dark(base, 0.72))
        neck = soft((0.055 - v) * 6.0 - np.abs(x), wide) * front
        if person.upper in ("tee", "shirt"):
            colour = mix(colour, neck, SKIN[person.skin])
        if person.bag == "backpack":
            pair = soft(0.11 - np.abs(np.abs(x) - 0.5), wide) * soft(0.2 - v, pixel)
            colour = mix(colour, pair * front, strap)
        if person.bag == "shoulder":
            colour = mix(colour, soft(0.1 - np.abs(x - 0.45 + 4.0 * v), wide), strap)
        return colour

    return paint


def _logo(
    logo: str,
    colour: Array,
    x: Array,
    v: Array,
    front: Array,
    back: Array,
    wide: float,
    pixel: float,
    rgb: Colour,
) -> Array:
    if logo == "emblem":
        disc = (
            1.0
            - ((x - 0.42) / 0.2) * ((x - 0.42) / 0.2)
            - ((v - 0.1) / 0.026) * ((v - 0.1) / 0.026)
        )
        return mix(colour, soft(disc, 0.8) * front, rgb)
    if logo in ("print", "back print"):
        seen = front if logo == "print" else back
        patch = soft(0.5 - np.abs(x), wide) * soft(0.052 - np.abs(v - 0.13), pixel) * seen
        colour = mix(colour, patch, rgb)
        hole = soft(0.24 - np.abs(x), wide) * soft(0.018 - np.abs(v - 0.13), pixel) * seen
        return mix(colour, hole, dark(rgb, 0.45))
    if logo == "band":
        return mix(colour, soft(0.03 - np.abs(v - 0.14), pixel), rgb)
    if logo in ("stripes", "checks"):
        rows = np.abs(v / 0.055 - np.floor(v / 0.055) - 0.5)
        mask = soft(rows - 0.28, pixel / 0.055)
        if logo == "checks":
            columns = np.abs(x / 0.5 - np.floor(x / 0.5) - 0.5)
            mask = 0.6 * mask + 0.4 * soft(columns - 0.3, wide / 0.5)
        return mix(colour, mask * (v > 0.03), rgb)
    return colour
