"""How somebody stands: joints of a walking body in three dimensions, and their projection.

Body axes: x towards the person's left, y downwards, z forwards; origin between the hips; unit: the
person's height. Angles are in full turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from reidlib.data.drawn.people.raster import Point, turn
from reidlib.data.drawn.people.wardrobe import Person

Joint = tuple[float, float, float]
SIDES = {"left": 1.0, "right": -1.0}


@dataclass(frozen=True)
class View:
    """Where the camera sees the body from. yaw 0: facing the camera, 0.25: walking to the right of
    the image, 0.5: from behind. pitch: how far the camera looks down (nearer is lower)."""

    yaw: float
    pitch: float

    @property
    def cs(self) -> Point:
        return turn(self.yaw)

    def at(self, joint: Joint) -> Point:
        c, s = self.cs
        x, y, z = joint
        return x * c + z * s, y + self.pitch * (z * c - x * s)

    def depth(self, joint: Joint) -> float:
        """How much nearer to the camera than the body's axis."""
        c, s = self.cs
        return joint[2] * c - joint[0] * s

    def half(self, width: float, deep: float) -> float:
        """Half the projected width of an ellipse with half axes ``width`` (x) and ``deep`` (z)."""
        c, s = self.cs
        return sqrt((width * c) * (width * c) + (deep * s) * (deep * s))

    @property
    def side(self) -> str:
        """What is seen of the person: front, back, or the left or right flank."""
        c, s = self.cs
        if abs(c) >= abs(s):
            return "front" if c > 0 else "back"
        return "left" if s < 0 else "right"


@dataclass(frozen=True)
class Gait:
    """phase in turns of the walking cycle; stride: the widest hip angle; arms: "swing", "pocket",
    "phone" or "folded"; head: yaw of the head against the body."""

    phase: float
    stride: float
    arms: str = "swing"
    head: float = 0.0


def _chain(start: Joint, out: float, links: tuple[tuple[float, float], ...]) -> list[Joint]:
    """Joints of a limb: each link is (length, angle forwards); ``out``: sideways per length."""
    joints = [start]
    for length, angle in links:
        x, y, z = joints[-1]
        c, s = turn(angle)
        joints.append((x + out * length, y + length * c, z + length * s))
    return joints


def legs(person: Person, gait: Gait) -> dict[str, list[Joint]]:
    """For both sides: hip, knee, ankle, heel, toe."""
    result = {}
    for name, side in SIDES.items():
        phase = gait.phase + (0.0 if side > 0 else 0.5)
        swing = turn(phase)[1] * gait.stride
        lift = max(0.0, turn(phase + 0.09)[0])  # the knee bends while the leg comes forwards
        shin = swing - 0.012 - lift * (0.03 + 0.75 * gait.stride)
        joints = _chain(
            (side * 0.05 * person.stout, 0.0, 0.0),
            side * 0.01,
            ((0.235 * person.legs, swing), (0.215 * person.legs, shin)),
        )
        (x, y, z), (c, s) = joints[-1], turn(max(-0.12, min(0.02, 1.1 * shin)))
        heel = (x, y + 0.022 * c, z - 0.022 - 0.02 * s)
        toe = (x + side * 0.012, y + 0.026 * c - 0.1 * s, z + 0.088 * c)
        result[name] = [*joints, heel, toe]
    return result


def arms(person: Person, gait: Gait) -> dict[str, list[Joint]]:
    """For both sides: shoulder, elbow, hand."""
    result = {}
    for name, side in SIDES.items():
        swing = -turn(gait.phase + (0.0 if side > 0 else 0.5))[1] * gait.stride * 0.9
        shoulder = (side * 0.093 * person.shoulders * person.stout, -0.287, 0.005)
        upper, fore, out = swing, swing + 0.05, 0.12
        if gait.arms == "pocket":
            upper, fore, out = -0.06, 0.07, 0.16
        elif gait.arms == "phone" and side < 0:
            upper, fore, out = 0.05, 0.36, 0.02
        elif gait.arms == "folded":
            upper, fore = 0.03, 0.24
        elbow = _chain(shoulder, side * out, ((0.158, upper),))[-1]
        inwards = {"folded": -0.8, "pocket": -0.35}.get(gait.arms, 0.02)
        hand = _chain(elbow, side * inwards, ((0.145, fore),))[-1]
        result[name] = [shoulder, elbow, hand]
    return result
