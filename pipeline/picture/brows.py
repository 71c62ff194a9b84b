"""Brows that are raised or lowered: they move as a whole, and eyes nearly stay.

A generator opens the eyes wide, a soft brush stretches them. A brow goes from end to end with what
is pulled of it; the skin below comes along, and of the lids only a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import BROW_LEFT, BROW_RIGHT, OUTER_MOUTH, Points, face_width
from pipeline.picture.outlines import distance_to
from stylegan2.arrays import Float64Array

ON_BROW = 0.05
"""A handle this near to a brow's line, by the face's width, is on it."""

FARTHEST = 0.12
"""No brow goes farther, by the face's width: who pulls more means more."""

ENDS = 0.75
"""How far a brow's ends go along, as a share of the way of its middle."""

SKIN, SKIN_ALONG = 0.35, 0.8
"""Skin so far from a brow to the eye goes along by that share."""

LIDS_ALONG = 0.25
"""So do the eye's corners and upper lid."""

THERE = 0.03
"""A landmark this near to a handle, by the face's width, is what that pulls."""

_EYES = ((BROW_LEFT, (36, 37, 38, 39)), (BROW_RIGHT, (42, 43, 44, 45)))


@dataclass(frozen=True)
class BrowPulls:
    """Which points pull brows (their indices), and what goes along, in pixels of the crop."""

    brows: tuple[int, ...] = ()
    beside: tuple[DragPoint, ...] = ()


def pulls_at_brows(face: Points, points: Sequence[DragPoint]) -> BrowPulls:
    """Find the points that raise or lower brows of a face, [68, 2] in pixels of the crop.

    Where anything but the mouth moves, too, it is a head that moves: there are none.
    """
    marks = np.asarray(face, np.float64)
    width = face_width(marks)
    of_brows: tuple[list[int], list[int]] = ([], [])
    for i, point in enumerate(points):
        if point.handle == point.target:
            continue
        side = _brow_of(marks, width, point)
        if side is not None:
            of_brows[side].append(i)
        elif distance_to(marks[list(OUTER_MOUTH)], point.handle) > ON_BROW * width:
            return BrowPulls()
    beside: list[DragPoint] = []
    for (brow, lid), own in zip(_EYES, of_brows, strict=True):
        if own:
            beside += _along(marks, width, brow, lid, [points[i] for i in own])
    return BrowPulls(tuple(sorted(sum(of_brows, []))), tuple(beside))


def _brow_of(marks: Float64Array, width: float, point: DragPoint) -> int | None:
    """Return which brow a point raises or lowers, 0 the left one of the picture; None: neither."""
    way = np.subtract(point.target, point.handle)
    across = (marks[16] - marks[0]) / max(width, 1e-9)
    sideways = abs(float(way @ across))
    if np.hypot(*way) > FARTHEST * width or sideways > np.hypot(*way) / np.sqrt(2):
        return None
    far = [distance_to(marks[list(brow)], point.handle) for brow, _ in _EYES]
    nearer = int(np.argmin(far))
    return nearer if far[nearer] <= ON_BROW * width else None


def _along(
    marks: Float64Array,
    width: float,
    brow: tuple[int, ...],
    lid: tuple[int, ...],
    pulls: Sequence[DragPoint],
) -> Iterator[DragPoint]:
    """Yield where the rest of a brow goes, the skin below it, and the eye."""
    handles = np.array([pull.handle for pull in pulls])
    way = np.mean([np.subtract(pull.target, pull.handle) for pull in pulls], axis=0)
    middle = (len(brow) - 1) / 2
    for k, i in enumerate(brow):
        if np.hypot(*(handles - marks[i]).T).min() > THERE * width:
            share = 1 - (1 - ENDS) * abs(k - middle) / middle
            yield _going(marks[i], share * way)
    rim = marks[list(lid)]
    for i in brow[1:-1]:
        below = rim[np.hypot(*(rim - marks[i]).T).argmin()]
        yield _going(marks[i] + SKIN * (below - marks[i]), SKIN_ALONG * way)
    for corner in rim:
        yield _going(corner, LIDS_ALONG * way)


def _going(place: Float64Array, way: Float64Array) -> DragPoint:
    return DragPoint.between(place, place + way)
