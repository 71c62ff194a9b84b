"""Edits that people ask for, placed on a face by its 68 points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import Points, eye_distance, face_width, mouth_opening
from stylegan2.arrays import BoolImage, Float64Array

SHUT_MOUTH = 0.06
"""A mouth opened less than this, by its width, has nothing to open further, or to shut."""

LIDS_LEFT = 0.15
"""What a wink leaves of the eye's opening; and how far eyes are opened, by the face's width:"""
EYES_WIDER = 0.018
SHUT = 0.85
"""How far an open mouth is shut, as a share of its opening."""

Move = tuple[int, float, float]
"""A point's number, and how far it goes along the eyes and down, in face widths."""


@dataclass(frozen=True)
class Edit:
    """An edit: its name, how far it goes (a heading), points and mask in pixels of the crop."""

    name: str
    strength: str
    points: tuple[DragPoint, ...]
    movable_mask: BoolImage | None = None


def edits_of(points: Points, size: int) -> Iterator[Edit]:
    """Yield the edits of a face with points [68, 2] in pixels of its crop, size x size."""
    width, open_mouth = face_width(points), mouth_opening(points) > SHUT_MOUTH
    mouth, brows = points[48:60].mean(axis=0), points[17:27].mean(axis=0)

    def moved(*moves: Move) -> tuple[DragPoint, ...]:
        return tuple(_moved(points, move) for move in moves)

    for share in (0.06, 0.15, 0.25):
        s, strength = share, f"{share:.0%}"
        if share == 0.06:
            near_mouth = _circle(mouth, 0.42 * width, size)
            near_brows = _circle(brows, 0.55 * width, size)
            yield Edit("mouth wider", strength, moved((48, -s, 0), (54, s, 0)), near_mouth)
            yield Edit("brows up", strength, moved((19, 0, -s), (24, 0, -s)), near_brows)
            yield Edit("jaw narrower", strength, moved((4, s, 0), (12, -s, 0)))
        yield Edit("turn", strength, moved((30, s, 0), (8, s, 0)))
        yield Edit("smile", strength, moved((48, -0.8 * s, -0.6 * s), (54, 0.8 * s, -0.6 * s)))
        if share < 0.1 or (share < 0.2 and open_mouth):
            yield Edit("mouth open", strength, moved((57, 0, s), (8, 0, s)))
    lids = [_between(points, upper, lower) for upper, lower in ((43, 47), (44, 46))]
    yield Edit("wink", "special", tuple(lids))
    e = EYES_WIDER
    upper = [(i, 0.0, -e) for i in (37, 38, 43, 44)]
    lower = [(i, 0.0, 0.4 * e) for i in (40, 41, 46, 47)]
    yield Edit("eyes opened", "special", moved(*upper, *lower))
    if open_mouth:
        gap = SHUT * np.linalg.norm(points[66] - points[62]) / width
        yield Edit("mouth shut", "special", moved((66, 0, -gap), (8, 0, -gap)))


def _moved(points: Points, move: Move) -> DragPoint:
    number, across, down = move
    along = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    along = along / eye_distance(points)
    way = face_width(points) * np.array(
        [across * along[0] - down * along[1], across * along[1] + down * along[0]]
    )
    return DragPoint.between(points[number], points[number] + way)


def _between(points: Points, upper: int, lower: int) -> DragPoint:
    rest = points[lower] + LIDS_LEFT * (points[upper] - points[lower])
    return DragPoint.between(points[upper], rest)


def _circle(centre: Float64Array | Points, radius: float, size: int) -> BoolImage:
    y, x = np.mgrid[0:size, 0:size]
    return np.asarray(np.hypot(x - centre[0], y - centre[1]) <= radius)
