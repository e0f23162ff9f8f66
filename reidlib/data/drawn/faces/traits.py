"""Who somebody is: the traits of a face, drawn from a seed.

Three people share each look (shape of the face, skin, hair: the large areas) and often a feature or
two, yet differ in at least three of eyes, brows, nose, mouth, beard, glasses and marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from reidlib.data.drawn.people.palette import SKIN
from reidlib.data.drawn.people.raster import Colour
from reidlib.data.drawn.people.wardrobe import outfit_of as look_of

USUAL = 0.4  # how often a feature is the one that goes with the look
APART = 3  # features in which people of one look differ at least

HAIR: dict[str, Colour] = {
    "black": (38, 32, 32),
    "dark brown": (70, 46, 34),
    "brown": (104, 68, 44),
    "red": (156, 78, 42),
    "blond": (212, 176, 108),
    "grey": (168, 168, 166),
}
IRIS: dict[str, Colour] = {
    "brown": (88, 54, 32),
    "hazel": (128, 104, 50),
    "green": (72, 128, 84),
    "blue": (70, 124, 186),
    "grey": (128, 140, 150),
}
SHORT = ("short", "parted", "buzz", "receding", "bald", "curls")
STYLES = (*SHORT, "fringe", "long", "wavy", "bob", "bun", "afro")
BEARDS = ("none", "none", "none", "stubble", "moustache", "goatee", "full")
GLASSES = ("none", "none", "none", "none", "round", "square", "half")
MARKS = ("none", "none", "freckles", "mole left", "mole right", "blush", "lines")


@dataclass(frozen=True)
class Face:
    """An identity. Names are keys of the tables above; lengths are in half faces.

    jaw: from pointed (-0.4) to square (0.8). eye_gap: from the middle to an eye. tilt: of eyes and
    brows, how far the outer end is up. lips: their fullness. lipstick: whether they are painted.
    """

    look: int
    width: float
    jaw: float
    skin: int
    hair: str
    hair_colour: str
    lipstick: bool
    eye_colour: str
    eye_gap: float
    eye_size: float
    eye_tilt: float
    brow: float
    brow_arch: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lips: float
    beard: str
    glasses: str
    mark: str
    earrings: bool
    tint: tuple[float, ...]

    @property
    def skin_rgb(self) -> Colour:
        r, g, b = SKIN[self.skin]
        return r + self.tint[0], g + self.tint[1], b + self.tint[2]

    @property
    def hair_rgb(self) -> Colour:
        r, g, b = HAIR[self.hair_colour]
        return r + self.tint[3], g + self.tint[3], b + self.tint[3]

    def features(self) -> tuple[object, ...]:
        """What tells apart people of one look."""
        return (
            (self.eye_colour, self.eye_gap, self.eye_size, self.eye_tilt),
            (self.brow, self.brow_arch, self.brow_tilt),
            (self.nose_length, self.nose_width),
            (self.mouth_width, self.lips),
            self.beard,
            self.glasses,
            self.mark,
        )


def _one(rng: np.random.Generator, values: Any) -> Any:
    names = tuple(values)
    return names[int(rng.integers(len(names)))]


def _features(rng: np.random.Generator, shaven: bool) -> list[dict[str, Any]]:
    """The features, in groups that go together; levels far enough apart to be seen."""
    return [
        {
            "eye_colour": _one(rng, IRIS),
            "eye_gap": _one(rng, (0.30, 0.34, 0.38)),
            "eye_size": _one(rng, (0.135, 0.16, 0.185)),
            "eye_tilt": _one(rng, (-0.12, 0.0, 0.12, 0.22)),
        },
        {
            "brow": _one(rng, (0.025, 0.042, 0.065)),
            "brow_arch": _one(rng, (0.0, 0.05, 0.1)),
            "brow_tilt": _one(rng, (-0.15, 0.0, 0.18)),
        },
        {
            "nose_length": _one(rng, (0.24, 0.31, 0.38)),
            "nose_width": _one(rng, (0.10, 0.135, 0.175)),
        },
        {"mouth_width": _one(rng, (0.2, 0.26, 0.32)), "lips": _one(rng, (0.045, 0.07, 0.1))},
        {"beard": "none" if shaven else _one(rng, BEARDS)},
        {"glasses": _one(rng, GLASSES)},
        {"mark": _one(rng, MARKS)},
    ]


def _draw(seed: int, who: int, attempt: int) -> Face:
    large = np.random.default_rng([seed, 20, look_of(who)])
    small = np.random.default_rng([seed, 21, who, attempt])
    hair = _one(large, STYLES)
    shaven = hair not in SHORT or large.random() < 0.25
    usual, own = _features(large, shaven), _features(small, shaven)
    found: dict[str, Any] = {}
    for theirs, mine in zip(usual, own, strict=True):
        found |= theirs if small.random() < USUAL else mine
    grown = [16.0 * large.random() - 8.0 for _ in range(4)]
    return Face(
        look=look_of(who),
        width=0.68 + 0.14 * large.random() + 0.03 * small.random(),
        jaw=-0.4 + 1.0 * large.random() + 0.2 * small.random(),
        skin=int(large.integers(len(SKIN))),
        hair=hair,
        hair_colour=_one(large, HAIR),
        lipstick=bool(shaven and large.random() < 0.5),
        earrings=bool(shaven and small.random() < 0.4),
        tint=tuple(value + 6.0 * small.random() - 3.0 for value in grown),
        **found,
    )


@lru_cache(maxsize=4096)
def face(seed: int, who: int) -> Face:
    """Identity number ``who`` >= 0 of a seed."""
    mates, mate = [], who - 4
    while mate >= 0 and look_of(mate) == look_of(who):
        mates.append(face(seed, mate).features())
        mate -= 4
    for attempt in range(100):
        found = _draw(seed, who, attempt)
        own = found.features()
        if all(sum(a != b for a, b in zip(own, m, strict=True)) >= APART for m in mates):
            break
    return found
