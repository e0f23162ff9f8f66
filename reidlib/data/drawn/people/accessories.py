"""What somebody carries and wears on the head: hats and bags, hung on the body's joints."""

from __future__ import annotations

from collections.abc import Callable

from reidlib.data.drawn.people.pose import Joint, View
from reidlib.data.drawn.people.raster import Point, Shape
from reidlib.data.drawn.people.shapes import Limb, Surface
from reidlib.data.drawn.people.surface import dark
from reidlib.data.drawn.people.wardrobe import Person


def hat(person: Person, at: Callable[[float, float, float], Point], rx: float) -> list[Shape]:
    """A cap or beanie. ``at`` projects a point of the head, in head axes about its centre."""
    colour = person.rgb(person.hat_colour, 2)
    x, y = at(0.0, 0.0, 0.0)
    if person.hat == "beanie":
        rows = ((-0.088, 0.35), (-0.080, 0.68), (-0.062, 0.96), (-0.034, 1.1), (-0.018, 1.1))
        dome = Surface("head", tuple((y + dy, x, rx * w) for dy, w in rows), colour)
        fold = ((-0.036, 1.12), (-0.012, 1.12))
        band = Surface("head", tuple((y + dy, x, rx * w) for dy, w in fold), dark(colour, 0.75))
        return [dome, band]
    if person.hat == "cap":
        rows = ((-0.080, 0.45), (-0.070, 0.78), (-0.052, 1.0), (-0.026, 1.08), (-0.020, 1.06))
        dome = Surface("head", tuple((y + dy, x, rx * w) for dy, w in rows), colour)
        rim = dark(colour, 0.7)
        tip = Limb("head", at(0.0, -0.026, 0.050), 0.011, at(0.0, -0.020, 0.094), 0.008, rim)
        wide = Limb("head", at(-0.03, -0.021, 0.082), 0.009, at(0.03, -0.021, 0.082), 0.009, rim)
        faces = at(0.0, 0.0, 1.0)[1] >= at(0.0, 0.0, -1.0)[1]
        return [dome, tip, wide] if faces else [tip, wide, dome]
    return []


def bag(person: Person, arm: dict[str, list[Joint]], view: View) -> tuple[list[Shape], list[Shape]]:
    """Shapes behind the body, shapes in front of it."""
    colour = person.rgb(person.bag_colour, 2)
    if person.bag == "backpack":
        middle = (0.0, -0.2, -0.105 * person.stout)
        half = view.half(0.086, 0.05)
        sack = _sack(view.at(middle), half, 0.105, colour)
        lid = _sack(view.at((0.0, -0.155, middle[2] - 0.01)), half * 0.72, 0.042, dark(colour, 0.8))
    elif person.bag == "shoulder":
        middle = (-0.122 * person.stout, 0.0, 0.01)
        half = view.half(0.03, 0.072)
        sack = _sack(view.at(middle), half, 0.056, colour)
        lid = _sack(view.at((middle[0], -0.024, middle[2])), half * 0.9, 0.03, dark(colour, 0.8))
    elif person.bag == "hand":
        x, y, z = arm["left"][-1]
        middle = (x + 0.012, max(y, -0.05) + 0.095, z)
        half = view.half(0.032, 0.074)
        px, py = view.at(middle)
        sack = _sack((px, py), half, 0.054, colour)
        hand, strap = view.at((x, y, z)), dark(colour, 0.7)
        straps = [
            Limb("bag", hand, 0.006, (px + way * half * 0.6, py - 0.045), 0.006, strap)
            for way in (-1, 1)
        ]
        lid = _sack((px, py - 0.03), half * 0.9, 0.022, dark(colour, 0.8))
        return (
            ([], [*straps, sack, lid])
            if view.depth(middle) > -0.02
            else (
                [*straps, sack, lid],
                [],
            )
        )
    else:
        return [], []
    near = view.depth(middle) > -0.02 if person.bag != "backpack" else view.depth(middle) > 0.0
    return ([], [sack, lid]) if near else ([sack, lid], [])


def _sack(centre: Point, half: float, tall: float, colour: tuple[float, float, float]) -> Surface:
    x, y = centre
    rows = ((-1.0, 0.55), (-0.86, 0.84), (-0.6, 0.96), (0.5, 1.0), (0.85, 0.92), (1.0, 0.72))
    return Surface("bag", tuple((y + tall * dy, x, half * w) for dy, w in rows), colour)
