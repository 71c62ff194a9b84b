"""From amounts of controls to where a face's landmarks go, and to the points of a drag.

A head is turned as a rigid body would be: every landmark has its depth, and what is nearer to the
camera than the ears goes farther.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import MIRRORED68, Points, mouth_opening, yaw
from pipeline.controls.measures import Frame
from pipeline.controls.table import CONTROLS, LIPS, SHUT, Control
from stylegan2.arrays import Float64Array

Follow = Literal["network", "around", "near"]
"""How the rest goes along with a point: as a generator says, as a soft brush does, or only what
is near."""

_HALF_OF_DEPTHS: Mapping[int, float] = {
    **{0: 0.0, 1: 0.1, 2: 0.22, 3: 0.38, 4: 0.6, 5: 0.8, 6: 1.0, 7: 1.15, 8: 1.25},
    **{17: 0.8, 18: 1.0, 19: 1.1, 20: 1.15, 21: 1.2, 27: 1.15, 28: 1.3, 29: 1.45, 30: 1.6},
    **{31: 1.3, 32: 1.35, 33: 1.4, 36: 0.8, 37: 0.95, 38: 1.0, 39: 1.0, 40: 0.98, 41: 0.92},
    **{48: 1.15, 49: 1.25, 59: 1.25, 60: 1.15, 50: 1.3, 51: 1.3, 57: 1.3, 58: 1.3},
    **{61: 1.3, 62: 1.3, 66: 1.3, 67: 1.3},
}
"""How much nearer to the camera than the ears a landmark is, in eye distances; ours, of a head of
usual proportions."""

DEPTHS: Float64Array = np.array(
    [_HALF_OF_DEPTHS.get(i, _HALF_OF_DEPTHS.get(MIRRORED68[i], 0.0)) for i in range(68)]
)


@dataclass(frozen=True)
class ControlPoint:
    """A point of a drag that a control asks for, and how the rest goes along with it."""

    point: DragPoint
    follow: Follow


def moved_face(face: Points, amounts: Mapping[str, float]) -> Float64Array:
    """Say where the landmarks [68, 2] are when controls are applied: first what a face does
    itself, then how the head is held. amounts are by control, -1 to 1.
    """
    frame = Frame.of(face)
    start = np.asarray(face, np.float64)
    centre = start[[36, 45, 48, 54]].mean(axis=0)
    level = frame.level(start - centre)
    ends = level.copy()
    for name, amount in amounts.items():
        control = CONTROLS[name]
        for i, way in (control.more_ways if amount > 0 else control.less_ways).items():
            ends[i] += abs(amount) * np.array(way)
        change = amount * (control.rise if amount > 0 else control.fall)
        for gap in control.gaps:
            one, other = gap.over
            wider = gap.times * change * np.hypot(*(level[other] - level[one]))
            ends[gap.upper, 1] -= gap.share * wider
            ends[gap.lower, 1] += (1 - gap.share) * wider
    for name, amount in amounts.items():
        control = CONTROLS[name]
        step = control.rise if amount > 0 else control.fall
        ends = _turned(ends, control, np.radians(amount * step), np.radians(yaw(face)))
    moved: Float64Array = frame.back(ends) + centre
    return moved


def _turned(level: Float64Array, control: Control, angle: float, yaw_before: float) -> Float64Array:
    if control.turns is None:
        return level
    x, y = level.T
    if control.turns == "yaw":
        front = (x - DEPTHS * np.sin(yaw_before)) / np.cos(yaw_before)
        after = yaw_before + angle
        x = front * np.cos(after) + DEPTHS * np.sin(after)
    elif control.turns == "pitch":
        y = y - DEPTHS * np.sin(angle)
    else:
        x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return np.stack([x, y], axis=1)


def points_of(face: Points, amounts: Mapping[str, float]) -> list[ControlPoint]:
    """Turn amounts of controls into the points of a drag; face is [68, 2] in pixels of the crop.

    A landmark that several controls name follows as the first of network, around and near says.
    """
    used = [CONTROLS[name] for name, amount in amounts.items() if amount]
    return points_to(face, moved_face(face, amounts), used)


def points_to(face: Points, ends: Float64Array, used: Sequence[Control]) -> list[ControlPoint]:
    """Return the points with which some controls bring a face's landmarks to ends [68, 2]."""
    start = np.asarray(face, np.float64)
    lips = set() if mouth_opening(face) <= SHUT else set(LIPS)
    follows: dict[int, Follow] = {}
    for mark, follow in _named(used):
        # Between lips that are closed a generator has to look, and they go as its lips do; lips
        # that are open move by themselves, both edges of each.
        if follow == "near" and mark in LIPS:
            if mark in lips:
                follows[mark] = follow
        else:
            follows.setdefault(mark, follow)
    found = [_point(start[i], ends[i], follow) for i, follow in follows.items()]
    for near, far, share in sorted({each for control in used for each in control.carried}):
        place = start[near] + share * (start[far] - start[near])
        found.append(_point(place, place + ends[near] - start[near], "near"))
    return found


def _named(used: Sequence[Control]) -> Iterator[tuple[int, Follow]]:
    yield from ((i, "network") for control in used for i in control.asked)
    yield from ((i, "around") for control in used for i in control.around)
    yield from ((i, "near") for control in used for i in control.near)
    yield from ((i, "around") for control in used for i in control.pins)


def _point(handle: Float64Array, target: Float64Array, follow: Follow) -> ControlPoint:
    return ControlPoint(DragPoint.between(handle, target), follow)
