"""A face's own measures, and how far each control can take it.

Lengths are over the distance of the eyes' middles unless another is named; angles are in degrees.
Points are [68, 2] xy, y down, of any scale and at any angle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inversion.faces.irises import Eye
from inversion.faces.shape68 import (
    EYE_LEFT,
    EYE_RIGHT,
    Points,
    eye_distance,
    eye_openings,
    mouth_opening,
    mouth_width,
    yaw,
)
from pipeline.controls.table import CONTROLS, SHUT, Control
from stylegan2.arrays import Float64Array

_PITCH_AT_0, _PITCH = 24.0, 41.6
"""Fitted to the pitch of a face mesh on the upright ones of 2516 portraits; correlation .86."""


ROOM = 0.65
"""An iris may take so much of the white on the side to which it goes."""

LEAST_OPENING, LIDS_FALL = 0.12, 0.05
"""Eyes look down until lids are so near, and by what they come nearer at -1: eye widths."""


@dataclass(frozen=True)
class Frame:
    """A face's own axes: unit vectors along the eyes and down, and the eye distance."""

    axes: Float64Array
    scale: float

    @classmethod
    def of(cls, face: Points) -> Frame:
        """Read the axes off 68 points."""
        along = face[list(EYE_RIGHT)].mean(axis=0) - face[list(EYE_LEFT)].mean(axis=0)
        along = np.asarray(along, np.float64) / np.hypot(*along)
        return cls(np.stack([along, [-along[1], along[0]]]), eye_distance(face))

    def level(self, places: Points) -> Float64Array:
        """Bring places [..., 2] to a level face: right and down, in eye distances."""
        level: Float64Array = np.asarray(places, np.float64) @ self.axes.T / self.scale
        return level

    def back(self, level: Float64Array) -> Float64Array:
        """Bring them back."""
        places: Float64Array = level @ self.axes * self.scale
        return places


def measures(face: Points) -> dict[str, float]:
    """Measure a face: every measure that a control has, by its name."""
    frame = Frame.of(face)
    x, y = frame.level(face).T
    left, right = eye_openings(face)
    lip = (y[51] + y[62]) / 2
    middle = y[list(EYE_LEFT)].mean(), y[list(EYE_RIGHT)].mean()
    brow = middle[0] - y[[18, 19, 20]].mean(), middle[1] - y[[23, 24, 25]].mean()
    found = {
        "corner lift": lip - (y[48] + y[54]) / 2,
        "corner lift, left": lip - y[48],
        "corner lift, right": lip - y[54],
        "mouth opening": mouth_opening(face),
        "mouth width": mouth_width(face),
        "lip height": y[33] - y[62],
        "eye opening": (left + right) / 2,
        "eye opening, left": left,
        "eye opening, right": right,
        "brow height": sum(brow) / 2,
        "brow height, left": brow[0],
        "brow height, right": brow[1],
        "yaw": yaw(face),
        "pitch": _PITCH_AT_0 - _PITCH * (y[30] - (y[0] + y[16]) / 2),
        "roll": np.degrees(np.arctan2(frame.axes[0, 1], frame.axes[0, 0])),
        "face width": x[13] - x[3],
        "jaw width": x[10] - x[6],
        "chin length": y[8] - y[57],
        "nose width": x[35] - x[31],
        "nose length": y[33] - y[27],
    }
    return {name: float(value) for name, value in found.items()}


def eye_measures(eyes: Sequence[Eye]) -> dict[str, float]:
    """Measure where both irises are: right of and above their eyes' middles, in eye widths."""
    along, down = np.mean([eye.place for eye in eyes], axis=0).tolist()
    return {"gaze": along, "gaze height": -down}


def reach(
    control: Control, found: Mapping[str, float], eyes: Sequence[Eye] | None = None
) -> tuple[float, float]:
    """Say from where to where a control can go on a face with these measures.

    eyes are those of the face; where they are not seen, a gaze stays as it is.
    """
    if control.looks is not None:
        return _look_reach(control, eyes or ())
    least, most = control.limits
    present = found[control.measure]
    if control.growth is not None and present > SHUT:
        most = min(most, (1 + control.growth) * present)
    low = min(max((present - least) / control.fall, 0.0), 1.0)
    high = min(max((most - present) / control.rise, 0.0), 1.0)
    return -low, high


def _look_reach(control: Control, eyes: Sequence[Eye]) -> tuple[float, float]:
    if not eyes:
        return 0.0, 0.0
    if control.looks == "up":
        low = min(eye.opening - LEAST_OPENING for eye in eyes) / LIDS_FALL
        return -min(max(low, 0.0), 1.0), 1.0
    sides = [(0.5 + eye.place[0], 0.5 - eye.place[0], eye.radius / eye.width) for eye in eyes]
    left = min(ROOM * (side - radius) for side, _, radius in sides) / control.fall
    right = min(ROOM * (side - radius) for _, side, radius in sides) / control.rise
    return -min(max(left, 0.0), 1.0), min(max(right, 0.0), 1.0)


def reaches(face: Points, eyes: Sequence[Eye] | None = None) -> dict[str, tuple[float, float]]:
    """Say from where to where each control can go on a face with these eyes."""
    found = measures(face)
    return {name: reach(control, found, eyes) for name, control in CONTROLS.items()}
