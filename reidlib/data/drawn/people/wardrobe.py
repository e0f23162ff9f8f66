"""Who somebody is: the attributes of an identity, drawn from a seed.

Three people share each outfit (garments and their colours, the large areas) and often a small thing
or two, yet differ in at least two of them: bag, shoes, hair, hat, print on the chest. So a method
that looks at parts has something to find that the mean colour does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from reidlib.data.drawn.people.palette import (
    BAG,
    BRIGHT,
    DOMAINS,
    HAIR_COLOUR,
    HAIR_STYLE,
    HAT,
    LOGO,
    LOWER,
    LOWER_COLOUR,
    PALETTE,
    SKIN,
    UPPER,
    UPPER_COLOUR,
    Choice,
)
from reidlib.data.drawn.people.raster import Colour

SHARING = 3  # people to an outfit
USUAL = 0.5  # how often a small thing is the one that goes with the outfit


@dataclass(frozen=True)
class Person:
    """An identity. Names are keys of the palette's tables; the numbers are factors around 1."""

    outfit: int
    upper: str
    upper_colour: str
    sleeves: str
    lower: str
    lower_colour: str
    inner_colour: str
    shoes: str
    hair: str
    hair_colour: str
    hat: str
    hat_colour: str
    bag: str
    bag_colour: str
    logo: str
    logo_colour: str
    glasses: bool
    beard: bool
    skin: int
    stout: float
    shoulders: float
    legs: float
    fit: float
    tint: tuple[float, ...]

    def rgb(self, name: str, garment: int = 0) -> Colour:
        """A palette colour in this person's own dye lot: 0 upper, 1 lower, 2 everything small."""
        r, g, b = PALETTE[name]
        return (
            min(max(r + self.tint[3 * garment], 0.0), 255.0),
            min(max(g + self.tint[3 * garment + 1], 0.0), 255.0),
            min(max(b + self.tint[3 * garment + 2], 0.0), 255.0),
        )

    def details(self) -> tuple[object, ...]:
        """The small things that tell apart people in the same outfit."""
        hat = (self.hat, self.hat_colour) if self.hat != "none" else "none"
        bag = (self.bag, self.bag_colour) if self.bag != "none" else "none"
        logo = (self.logo, self.logo_colour) if self.logo != "none" else "none"
        return bag, self.shoes, (self.hair, self.hair_colour), hat, logo


def _pick(rng: np.random.Generator, choice: Choice, domain: int) -> str:
    left = int(rng.integers(sum(weights[domain] for weights in choice.values())))
    for name, weights in choice.items():
        left -= weights[domain]
        if left < 0:
            return name
    raise AssertionError("weights are integers")


def _details(rng: np.random.Generator, domain: int, ground: str) -> list[dict[str, Any]]:
    """The small things, in groups that go together."""
    return [
        {"shoes": _pick(rng, BRIGHT, domain)},
        {"hair": _pick(rng, HAIR_STYLE, domain), "hair_colour": _pick(rng, HAIR_COLOUR, domain)},
        {"hat": _pick(rng, HAT, domain), "hat_colour": _pick(rng, BRIGHT, domain)},
        {"bag": _pick(rng, BAG, domain), "bag_colour": _pick(rng, BRIGHT, domain)},
        {
            "logo": _pick(rng, LOGO, domain),
            "logo_colour": _contrast(_pick(rng, BRIGHT, domain), ground),
        },
        {"skin": int(rng.integers(len(SKIN)))},
    ]


def _draw(seed: int, domain: int, outfit: int, who: int, attempt: int) -> Person:
    large = np.random.default_rng([seed, domain, 0, outfit])
    small = np.random.default_rng([seed, domain, 1, who, attempt])
    upper = _pick(large, UPPER, domain)
    short = upper == "tee" or (upper == "shirt" and large.random() < 0.4)
    upper_colour = _pick(large, UPPER_COLOUR, domain)
    lower = _pick(large, LOWER, domain)
    if lower == "shorts" and upper in ("jacket", "coat"):
        lower = "trousers"
    lower_colour = _pick(large, LOWER_COLOUR, domain)
    tint = [24.0 * large.random() - 12.0 for _ in range(6)]
    inner = ("white", "grey", "black", "sky")[int(large.integers(4))]
    fit = 0.88 + 0.3 * large.random()
    usual, own = _details(large, domain, upper_colour), _details(small, domain, upper_colour)
    details: dict[str, Any] = {}
    for theirs, mine in zip(usual, own, strict=True):
        details |= theirs if small.random() < USUAL else mine
    shaven = details["hair"] not in ("short", "bald") or lower == "skirt"
    return Person(
        outfit=outfit,
        upper=upper,
        upper_colour=upper_colour,
        sleeves="short" if short else "long",
        lower=lower,
        lower_colour=lower_colour,
        inner_colour="red" if inner == upper_colour else inner,
        glasses=bool(small.random() < 0.2),
        beard=bool(small.random() < 0.3 and not shaven),
        stout=0.9 + 0.25 * small.random() * small.random() + 0.05 * small.random(),
        shoulders=0.95 + 0.1 * small.random(),
        legs=0.97 + 0.06 * small.random(),
        fit=fit,
        tint=(*tint, *(20.0 * small.random() - 10.0 for _ in range(3))),
        **details,
    )


def _contrast(colour: str, ground: str) -> str:
    """``colour``, or black or white where it would not be seen on ``ground``."""
    (r, g, b), (r2, g2, b2) = PALETTE[colour], PALETTE[ground]
    if abs(r - r2) + abs(g - g2) + abs(b - b2) > 150:
        return colour
    return "white" if r2 + g2 + b2 < 380 else "black"


def outfit_of(who: int) -> int:
    """Numbers 4 and 8 apart within a dozen share an outfit, so neighbours do not."""
    return who // (4 * SHARING) * 4 + who % 4


@lru_cache(maxsize=4096)
def person(seed: int, domain: str, who: int) -> Person:
    """Identity number ``who`` >= 0 of a domain ("a": summer, "b": winter) and seed."""
    code, mate = DOMAINS.index(domain), who - 4
    mates = []
    while mate >= 0 and outfit_of(mate) == outfit_of(who):
        mates.append(person(seed, domain, mate).details())
        mate -= 4
    for attempt in range(100):
        found = _draw(seed, code, outfit_of(who), who, attempt)
        own = found.details()
        if all(sum(a != b for a, b in zip(own, m, strict=True)) >= 2 for m in mates):
            break
    return found
