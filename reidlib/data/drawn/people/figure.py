"""What somebody looks like: shapes, farthest first, from a person, a gait and a view."""

from __future__ import annotations

from reidlib.data.drawn.people.accessories import bag, hat
from reidlib.data.drawn.people.palette import HAIR, SKIN
from reidlib.data.drawn.people.pose import SIDES, Gait, Joint, View, arms, legs
from reidlib.data.drawn.people.raster import Colour, Shape
from reidlib.data.drawn.people.shapes import Blob, Limb, Surface
from reidlib.data.drawn.people.surface import dark, head_paint, torso_paint
from reidlib.data.drawn.people.wardrobe import Person

PARTS = ("head", "torso", "legs", "feet")
NECK = -0.345  # base of the neck, below it the torso
# y, half width (x), half depth (z) of a torso
TORSO = (
    (-0.345, 0.044, 0.040),
    (-0.328, 0.078, 0.050),
    (-0.308, 0.108, 0.058),
    (-0.275, 0.116, 0.066),
    (-0.205, 0.106, 0.076),
    (-0.120, 0.088, 0.066),
    (-0.030, 0.098, 0.074),
    (0.030, 0.104, 0.078),
)


def figure(person: Person, gait: Gait, view: View) -> list[Shape]:
    """All shapes of a person. Each belongs to one of PARTS, or to "arm", "neck", "hair", "bag" or
    "ankle" (hidden in trousers)."""
    both = list(SIDES)
    leg, arm = legs(person, gait), arms(person, gait)
    both.sort(key=lambda side: view.depth(leg[side][0]))
    far_arms: list[Shape] = []
    near_arms: list[Shape] = []
    for side in sorted(SIDES, key=lambda side: view.depth(arm[side][1])):
        far = view.depth(arm[side][1]) < -0.03
        (far_arms if far else near_arms).extend(_arm(person, arm[side], view))
    behind, before = bag(person, arm, view)
    hair_behind, head = _head(person, gait, view)
    lower = [shape for side in both for shape in _leg(person, leg[side], view)]
    return [
        *behind,
        *far_arms,
        *lower,
        *_hips(person, leg, view),
        *hair_behind,
        *_torso(person, view),
        *head,
        *near_arms,
        *before,
    ]


def _leg(person: Person, joints: list[Joint], view: View) -> list[Shape]:
    hip, knee, ankle, heel, toe = (view.at(joint) for joint in joints)
    shoe = person.rgb(person.shoes, 2)
    stout, cloth, skin = person.stout, person.rgb(person.lower_colour, 1), SKIN[person.skin]
    sole: Colour = (226, 224, 218) if sum(shoe) < 500 else (92, 88, 84)
    drop = 0.014
    foot: list[Shape] = [
        Limb("feet", (heel[0], heel[1] + drop), 0.017, (toe[0], toe[1] + drop), 0.013, sole),
        Limb("feet", heel, 0.023, toe, 0.017, shoe),
        Limb("ankle" if person.lower == "trousers" else "feet", ankle, 0.023, heel, 0.023, shoe),
    ]
    if person.lower == "trousers":
        fit = person.fit
        thigh = Limb("legs", hip, 0.052 * stout, knee, 0.040 * stout * fit, cloth)
        shin = Limb("legs", knee, 0.040 * stout * fit, ankle, 0.031 * fit, cloth)
        return [*foot, shin, thigh]
    bare = [
        Limb("legs", knee, 0.034 * stout, ankle, 0.022 * stout, skin),
        Limb("legs", hip, 0.046 * stout, knee, 0.034 * stout, skin),
    ]
    if person.lower == "shorts":
        end = hip[0] + 0.82 * (knee[0] - hip[0]), hip[1] + 0.82 * (knee[1] - hip[1])
        bare.append(Limb("legs", hip, 0.052 * stout, end, 0.047 * stout * person.fit, cloth))
    return [*foot, *bare]


def _hips(person: Person, leg: dict[str, list[Joint]], view: View) -> list[Shape]:
    cloth, stout = person.rgb(person.lower_colour, 1), person.stout
    waist = view.half(0.088 * stout, 0.068 * stout)
    hip = view.half(0.101 * stout, 0.078 * stout)
    rows = [(-0.06, 0.0, waist), (0.0, 0.0, hip)]
    if person.lower != "skirt":
        return [Surface("legs", (*rows, (0.045, 0.0, hip * 0.96)), cloth)]
    knees = [view.at(joints[1])[0] for joints in leg.values()]
    left, right = min(*knees, -hip * 0.9) - 0.045 * stout, max(*knees, hip * 0.9) + 0.045 * stout
    hem = (0.21 * person.legs, 0.5 * (left + right), 0.5 * (right - left))
    return [Surface("legs", (*rows, hem), cloth)]


def _torso(person: Person, view: View) -> list[Shape]:
    c, s = view.cs
    rows = []
    for y, width, deep in TORSO:
        width *= person.stout * (person.shoulders if y < -0.2 else 1.0)
        rows.append((y, 0.02 * s * -y, view.half(width, deep * person.stout)))
    if person.upper == "coat":
        rows.append((0.155, 0.0, view.half(0.112 * person.stout, 0.092 * person.stout)))
    if person.upper == "hoodie":
        rows[0] = (NECK - 0.012, rows[0][1] - 0.01 * s, rows[0][2] * 1.35)
    skin = dark(SKIN[person.skin], 0.86)
    neck = Limb("neck", (0.006 * s, NECK - 0.05), 0.027, (0.006 * s, NECK + 0.02), 0.032, skin)
    colour = person.rgb(person.upper_colour)
    return [neck, Surface("torso", tuple(rows), colour, torso_paint(person, c, s))]


def _arm(person: Person, joints: list[Joint], view: View) -> list[Shape]:
    shoulder, elbow, hand = (view.at(joint) for joint in joints)
    cloth, skin = person.rgb(person.upper_colour), SKIN[person.skin]
    thick = 0.5 + 0.5 * person.stout
    palm = Blob("arm", hand, 0.020, 0.023, skin)
    if person.sleeves == "long":
        wide = thick * (1.12 if person.upper in ("coat", "jacket", "hoodie") else 0.95)
        fore = Limb("arm", elbow, 0.027 * wide, hand, 0.022 * wide, cloth)
        return [palm, fore, Limb("arm", shoulder, 0.033 * wide, elbow, 0.028 * wide, cloth)]
    end = (
        shoulder[0] + 0.62 * (elbow[0] - shoulder[0]),
        shoulder[1] + 0.62 * (elbow[1] - shoulder[1]),
    )
    return [
        palm,
        Limb("arm", elbow, 0.022 * thick, hand, 0.017 * thick, skin),
        Limb("arm", shoulder, 0.026 * thick, elbow, 0.022 * thick, skin),
        Limb("arm", shoulder, 0.034 * thick, end, 0.033 * thick, cloth),
    ]


def _head(person: Person, gait: Gait, view: View) -> tuple[list[Shape], list[Shape]]:
    """Shapes behind the torso, shapes in front of it."""
    looks = View(view.yaw + gait.head, view.pitch)
    c, s = looks.cs
    x0, y0 = view.at((0.0, NECK - 0.097, 0.018))
    rx, ry = looks.half(0.056, 0.065), 0.074
    hair = HAIR[person.hair_colour]

    def at(x: float, y: float, z: float) -> tuple[float, float]:
        px, py = looks.at((x, y, z))
        return x0 + px, y0 + py

    nose = Limb("head", at(0, 0.004, 0.054), 0.009, at(0, 0.017, 0.067), 0.009, SKIN[person.skin])
    face = Blob("head", (x0, y0), rx, ry, SKIN[person.skin], head_paint(person, c, s))
    behind: list[Shape] = []
    shapes: list[Shape] = [nose, face] if c < 0 else [face, nose] if abs(s) > 0.3 else [face]
    tail: list[Shape] = []
    if person.hair in ("long", "bob"):
        end = 0.135 if person.hair == "long" else 0.062
        rows = tuple(
            (y0 + y, x0 + z * s, looks.half(wide, deep))
            for y, wide, deep, z in (
                (-0.045, 0.048, 0.045, -0.012),
                (0.0, 0.060, 0.042, -0.026),
                (end - 0.02, 0.064, 0.034, -0.036),
                (end, 0.050, 0.026, -0.036),
            )
        )
        tail = [Surface("hair", rows, hair)]
    elif person.hair == "ponytail":
        tail = [Limb("hair", at(0, -0.015, -0.070), 0.018, at(0, 0.085, -0.082), 0.011, hair)]
    elif person.hair == "bun":
        tail = [Blob("head", at(0, -0.042, -0.060), 0.027, 0.026, hair)]
    elif person.hair == "curly":
        behind = [Blob("head", at(0, -0.016, -0.012), rx * 1.32, ry * 1.16, hair)]
    if c > 0:
        behind += tail
        return behind, [*shapes, *hat(person, at, rx)]
    return behind, [*shapes, *tail, *hat(person, at, rx)]
