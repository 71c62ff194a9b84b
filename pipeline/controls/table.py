"""The controls by name: what each measures, how far +1 and -1 go, and which landmarks it moves.

A control is a number from -1 to +1 that means the same on every face: so much more or less of one
of the face's own measures (`pipeline/controls/measures.py`). The numbers are ours, set by eye on
portraits (benchmarks/RESULTS.md). Landmarks are in iBUG's order; "left" is the left of the picture.
Nothing here needs numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

Way = tuple[float, float]
"""How far a landmark goes to the right and down, in eye distances, on a face that is level."""

Part = Literal["mouth", "eyes", "brows", "pose", "shape"]
Axis = Literal["yaw", "pitch", "roll"]
Look = Literal["across", "up"]


@dataclass(frozen=True)
class Gap:
    """Two landmarks that part or meet: the upper one goes `share` of the way, the lower the rest.

    The gap changes by `times` what the control's measure does, in distances between the landmarks
    `over`.
    """

    upper: int
    lower: int
    over: tuple[int, int]
    share: float
    times: float = 1.0


@dataclass(frozen=True)
class Control:
    """One control.

    less and more say what -1 and +1 do; measure is what it changes, by `fall` at -1 and by `rise`
    at +1, within `limits`. more_ways and less_ways are the landmarks' ways at +1 and at -1, gaps
    what parts or meets, turns the axis around which the head turns, by degrees, looks the way of
    the irises, which are no landmarks: their pixels go by themselves. A generator is
    asked how the rest of the face goes along when the landmarks `asked` go where they belong;
    `around` and `near` go there, too, and move what is around them or only what is near. carried
    are places on the way from one landmark to another, (from, to, share), which move near as the
    first does. pins stay where they are unless another control moves them. growth is by how much
    of itself the measure can grow where it is more than `SHUT`: teeth are not to be drawn out.
    """

    name: str
    part: Part
    less: str
    more: str
    measure: str
    fall: float
    rise: float
    limits: tuple[float, float]
    more_ways: Mapping[int, Way] = field(default_factory=dict)
    less_ways: Mapping[int, Way] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    turns: Axis | None = None
    looks: Look | None = None
    asked: tuple[int, ...] = ()
    around: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    carried: tuple[tuple[int, int, float], ...] = ()
    pins: tuple[int, ...] = ()
    growth: float | None = None


MIRRORED = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""Which landmark each becomes in a mirror; that of inversion/faces/shape68.py, which has numpy."""

SHUT = 0.06
"""Lips opened less than this, by the mouth's width, are closed: a generator has to part them."""

LEFT_SIDE = frozenset(
    (*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67)
)
RIGHT_SIDE = frozenset(MIRRORED[i] for i in LEFT_SIDE)

EYE_CORNERS = (36, 39, 42, 45)
LIDS = (37, 38, 40, 41, 43, 44, 46, 47)
BROWS = tuple(range(17, 27))
LIPS = tuple(range(48, 68))


def _both(ways: Mapping[int, Way]) -> dict[int, Way]:
    """Add the same on the other side of the face."""
    mirrored = {MIRRORED[i]: (-right, down) for i, (right, down) in ways.items()}
    return {**mirrored, **ways}


def _opposite(ways: Mapping[int, Way]) -> dict[int, Way]:
    return {i: (-right, -down) for i, (right, down) in ways.items()}


_SMILE = _both({48: (-0.09, -0.09), 49: (-0.05, -0.04), 59: (-0.05, -0.03), 60: (-0.08, -0.08)})
_FROWN = _both({48: (0.03, 0.09), 49: (0.01, 0.03), 59: (0.01, 0.03), 60: (0.03, 0.08)})
_WIDER = _both({48: (-0.11, 0.0), 49: (-0.05, 0.0), 59: (-0.05, 0.0), 60: (-0.10, 0.0)})
_LIP_UP = _both({51: (0, -0.05), 50: (0, -0.045), 49: (0, -0.02), 62: (0, -0.08), 61: (0, -0.08)})
_ROUND = _both({48: (0.03, 0.03), 60: (0.03, 0.03)})
_RAISED = _both({17: (0, -0.07), 18: (0, -0.11), 19: (0, -0.12), 20: (0, -0.12), 21: (0, -0.11)})
_BROAD = _both({2: (-0.07, 0), 3: (-0.09, 0), 4: (-0.1, 0), 5: (-0.09, 0), 6: (-0.06, 0)})
_SQUARE = _both({5: (-0.07, 0), 6: (-0.1, 0.01), 7: (-0.07, 0.01)})
_LONG_CHIN = _both({6: (0, 0.04), 7: (0, 0.1), 8: (0, 0.12)})
_WIDE_NOSE = _both({31: (-0.07, 0), 32: (-0.04, 0)})
_LONG_NOSE = _both({30: (0, 0.08), 31: (0, 0.05), 32: (0, 0.06), 33: (0, 0.07)})

_LID_PAIRS = (((37, 41), (38, 40)), ((43, 47), (44, 46)))
_LID_GAPS = tuple(
    Gap(upper, lower, over, 0.8)
    for pairs, over in zip(_LID_PAIRS, ((36, 39), (42, 45)), strict=True)
    for upper, lower in pairs
)
_LIP_GAPS = tuple(
    Gap(upper, lower, (48, 54), 0.08, times)
    for upper, lower, times in (
        *((51, 57, 1.0), (62, 66, 1.0), (61, 67, 0.95), (63, 65, 0.95)),
        *((50, 58, 0.95), (52, 56, 0.95), (49, 59, 0.7), (53, 55, 0.7)),
    )
)
_JAW_GAPS = tuple(
    Gap(33, jaw, (48, 54), 0.0, times)
    for jaw, times in ((8, 0.75), (7, 0.7), (9, 0.7), (6, 0.5), (10, 0.5))
)
_BELOW_BROWS = tuple(
    (brow, lid, 0.3)
    for pairs in (
        ((17, 36), (18, 37), (19, 37), (20, 38), (21, 39)),
        ((22, 42), (23, 43), (24, 44), (25, 44), (26, 45)),
    )
    for brow, lid in pairs
)
_HELD = (36, 45, 33)

SYMMETRICAL = (
    Control(
        "smile", "mouth", "corners of the mouth down", "a smile",
        "corner lift", 0.09, 0.09, (-0.35, 0.45), _SMILE, _FROWN, asked=(48, 54), pins=_HELD,
    ),
    Control(
        "mouth", "mouth", "mouth closed", "mouth open",
        "mouth opening", 0.3, 0.3, (0.02, 0.45), _ROUND, gaps=_LIP_GAPS + _JAW_GAPS,
        asked=(51, 57, 8), near=LIPS, pins=_HELD, growth=0.8,
    ),
    Control(
        "mouth_width", "mouth", "mouth narrower", "mouth wider",
        "mouth width", 0.22, 0.22, (0.5, 1.4), _WIDER, _opposite(_WIDER), asked=(48, 54),
        pins=_HELD,
    ),
    Control(
        "upper_lip", "mouth", "upper lip lowered", "upper lip raised",
        "lip height", 0.08, 0.08, (-0.6, 0.0), _LIP_UP, _opposite(_LIP_UP), asked=(51,),
        near=LIPS, pins=_HELD,
    ),
    Control(
        "eyes", "eyes", "eyes closed", "eyes wide open",
        "eye opening", 0.3, 0.12, (0.04, 0.5), gaps=_LID_GAPS,
        near=EYE_CORNERS + LIDS + BROWS, carried=_BELOW_BROWS,
    ),
    Control(
        "brows", "brows", "brows down", "brows up",
        "brow height", 0.117, 0.117, (0.1, 0.75), _RAISED, _opposite(_RAISED),
        near=BROWS + EYE_CORNERS + LIDS, carried=_BELOW_BROWS,
    ),
    Control(
        "gaze", "eyes", "eyes look to the left", "eyes look to the right",
        "gaze", 0.16, 0.16, (-0.5, 0.5), looks="across",
    ),
    Control(
        "gaze_up", "eyes", "eyes look down", "eyes look up",
        "gaze height", 0.1, 0.1, (-0.5, 0.5), looks="up",
    ),
    Control(
        "turn", "pose", "head turned to the left", "head turned to the right",
        "yaw", 15, 15, (-30, 30), turns="yaw", asked=(30, 8), around=(36, 45, 48, 54),
    ),
    Control(
        "nod", "pose", "head lowered", "head raised",
        "pitch", 10, 10, (-25, 25), turns="pitch", asked=(30, 8), around=(36, 45, 48, 54),
    ),
    Control(
        "tilt", "pose", "head tilted to the left", "head tilted to the right",
        "roll", 8, 8, (-40, 40), turns="roll",
        around=(0, 4, 8, 12, 16, 19, 24, 30, 36, 45, 48, 54),
    ),
    Control(
        "width", "shape", "face narrower", "face wider",
        "face width", 0.18, 0.18, (1.0, 3.5), _BROAD, _opposite(_BROAD),
        asked=(4, 12), around=(2, 3, 5, 6, 14, 13, 11, 10), pins=(36, 45, 48, 54),
    ),
    Control(
        "jaw", "shape", "jaw narrower", "jaw wider",
        "jaw width", 0.2, 0.2, (0.5, 3.0), _SQUARE, _opposite(_SQUARE),
        around=(5, 6, 7, 9, 10, 11), pins=(36, 45, 48, 54, 8),
    ),
    Control(
        "chin", "shape", "chin shorter", "chin longer",
        "chin length", 0.12, 0.12, (0.1, 1.2), _LONG_CHIN, _opposite(_LONG_CHIN),
        around=(6, 7, 8, 9, 10), pins=(36, 45, 48, 54, 57),
    ),
    Control(
        "nose", "shape", "nose narrower", "nose wider",
        "nose width", 0.14, 0.14, (0.15, 0.9), _WIDE_NOSE, _opposite(_WIDE_NOSE),
        near=(30, 31, 32, 34, 35), pins=(39, 42, 48, 51, 54),
    ),
    Control(
        "nose_length", "shape", "nose shorter", "nose longer",
        "nose length", 0.07, 0.07, (0.3, 1.3), _LONG_NOSE, _opposite(_LONG_NOSE),
        near=(28, 30, 31, 32, 33, 34, 35), pins=(39, 42, 48, 51, 54),
    ),
)  # fmt: skip


def _half(control: Control, name: str, side: Literal["left", "right"]) -> Control:
    """Return the same control on one side of the face; the other side is held."""
    own = LEFT_SIDE if side == "left" else RIGHT_SIDE

    def there(marks: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i in marks if i in own)

    others = tuple(i for i in control.asked if i not in own)
    return replace(
        control,
        name=name,
        less=f"{control.less}, on the {side} of the picture",
        more=f"{control.more}, on the {side} of the picture",
        measure=f"{control.measure}, {side}",
        more_ways={i: way for i, way in control.more_ways.items() if i in own},
        less_ways={i: way for i, way in control.less_ways.items() if i in own},
        gaps=tuple(gap for gap in control.gaps if gap.upper in own),
        asked=there(control.asked),
        near=there(control.near),
        carried=tuple(each for each in control.carried if each[0] in own),
        pins=control.pins + others,
    )


SIDES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "smile": ("smile_left", "smile_right"),
        "eyes": ("eye_left", "eye_right"),
        "brows": ("brow_left", "brow_right"),
    }
)
"""The controls of the left and the right side of the picture, by the name of that of both."""


def _with_halves() -> Iterator[Control]:
    for control in SYMMETRICAL:
        yield control
        if control.name in SIDES:
            left, right = SIDES[control.name]
            yield _half(control, left, "left")
            yield _half(control, right, "right")


CONTROLS: Mapping[str, Control] = MappingProxyType({c.name: c for c in _with_halves()})
"""Every control, by name, in the order in which they are shown."""
