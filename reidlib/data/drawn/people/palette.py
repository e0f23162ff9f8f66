"""The colours there are, and how often things are worn: in domain a (summer), in b (winter)."""

from __future__ import annotations

from reidlib.data.drawn.people.raster import Colour

PALETTE: dict[str, Colour] = {
    "black": (38, 38, 42),
    "white": (232, 232, 228),
    "grey": (136, 138, 142),
    "navy": (38, 50, 92),
    "blue": (52, 98, 178),
    "sky": (136, 182, 220),
    "teal": (38, 132, 132),
    "green": (62, 132, 72),
    "olive": (106, 108, 62),
    "yellow": (228, 192, 68),
    "orange": (222, 122, 48),
    "red": (190, 46, 46),
    "burgundy": (108, 32, 50),
    "pink": (226, 142, 164),
    "purple": (112, 70, 142),
    "brown": (108, 74, 50),
    "beige": (204, 184, 150),
}
HAIR: dict[str, Colour] = {
    "black": (34, 29, 29),
    "brown": (84, 56, 38),
    "chestnut": (128, 72, 40),
    "blond": (208, 172, 104),
    "grey": (164, 164, 162),
}
SKIN: tuple[Colour, ...] = (
    (238, 196, 166),
    (226, 176, 142),
    (204, 150, 112),
    (168, 114, 80),
    (124, 82, 58),
    (92, 60, 44),
)
# name: weight in domain a, weight in domain b
Choice = dict[str, tuple[int, int]]
UPPER: Choice = {
    "tee": (6, 1),
    "shirt": (3, 1),
    "hoodie": (2, 3),
    "jacket": (2, 5),
    "coat": (1, 5),
}
LOWER: Choice = {"trousers": (6, 9), "shorts": (3, 0), "skirt": (3, 2)}
UPPER_COLOUR: Choice = {
    name: (6 if name in ("white", "black", "grey") else 3, dark)
    for name, dark in zip(
        PALETTE, (12, 2, 6, 9, 3, 0, 1, 2, 5, 1, 1, 2, 4, 1, 2, 5, 4), strict=True
    )
}
LOWER_COLOUR: Choice = {
    "black": (6, 12),
    "navy": (6, 8),
    "blue": (5, 3),
    "grey": (4, 4),
    "beige": (4, 1),
    "olive": (2, 2),
    "brown": (2, 4),
    "white": (2, 0),
    "burgundy": (1, 2),
    "red": (1, 0),
}
BAG: Choice = {"none": (6, 4), "backpack": (5, 3), "shoulder": (4, 3), "hand": (3, 5)}
HAT: Choice = {"none": (11, 6), "cap": (4, 1), "beanie": (1, 6)}
LOGO: Choice = {
    "none": (5, 9),
    "emblem": (2, 2),
    "print": (3, 1),
    "back print": (2, 1),
    "band": (2, 2),
    "stripes": (2, 1),
    "checks": (1, 1),
}
HAIR_STYLE: Choice = {
    "short": (6, 6),
    "bald": (1, 1),
    "bob": (3, 3),
    "long": (3, 3),
    "ponytail": (3, 2),
    "bun": (2, 2),
    "curly": (2, 2),
}
HAIR_COLOUR: Choice = {
    "black": (4, 6),
    "brown": (4, 4),
    "chestnut": (2, 1),
    "blond": (3, 1),
    "grey": (1, 2),
}
BRIGHT: Choice = {name: (2, 1 + (name in ("black", "brown", "grey")) * 3) for name in PALETTE}
DOMAINS = ("a", "b")
