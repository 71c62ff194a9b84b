"""What lips do when a face moves: they stay as far apart as they are unless asked otherwise.

A generator that smiles shows its teeth. Where the photo's mouth is closed there are none to show,
and its lips would be drawn out over the gap; where it is open, its teeth would grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import (
    INNER_LIPS,
    INNER_MOUTH,
    NOSE_BRIDGE,
    NOSTRILS,
    OUTER_MOUTH,
    Points,
    face_width,
    mouth_opening,
)
from stylegan2.arrays import Float64Array

CLOSED = 0.06
"""A mouth opened less than this, by its width, is closed."""

PARTED = 0.03
"""Lips of the generator that part by more than this, by their width, would open the photo's; points
that ask for more than this, by the face's width, want that."""

OPENED = 0.6
"""The generator's mouth has opened when its gap is this share of what points ask for."""

NEAR_LIP = 0.06
"""A handle this near to a point of a lip, by the face's width, is on that lip."""

MOUTH = OUTER_MOUTH + INNER_MOUTH
_UPPER, _LOWER = (*range(49, 54), *range(61, 64)), (*range(55, 60), *range(65, 68))
_WITHIN = {49: 61, 50: 61, 51: 62, 52: 63, 53: 63, 59: 67, 58: 67, 57: 66, 56: 65, 55: 65}
"""Which point of the inner lips each of the outer ones belongs to."""


@dataclass(frozen=True)
class Faces:
    """The 68 points [68, 2] of a photo's face and of the generator's before and after a drag.

    All in pixels of the crop.
    """

    photo: Points
    before: Points
    after: Points

    @property
    def ends(self) -> Float64Array:
        """Where the photo's points go when they follow the generator's."""
        return np.asarray(self.photo, np.float64) + self.after - self.before


def lips_as_far_apart(faces: Faces, points: Sequence[DragPoint]) -> list[DragPoint]:
    """Say where the mouth's points go so that its gap stays as it is; nothing where it does.

    They follow the generator's mouth but for the gap: teeth do not grow, and closed lips stay
    closed. Lips that are drawn wide get thinner. Nothing either where points part or shut them.
    """
    opened = mouth_opening(faces.after) - mouth_opening(faces.before)
    closed = mouth_opening(faces.photo) <= CLOSED
    if (opened if closed else abs(opened)) < PARTED or _asked_gap(faces.photo, points) != 0:
        return []
    photo = np.asarray(faces.photo, np.float64)
    way = np.asarray(faces.after, np.float64) - faces.before
    ends = photo + way
    wider = np.linalg.norm(ends[54] - ends[48]) / np.linalg.norm(photo[54] - photo[48])
    thinner = min(1.0, wider**-0.5)
    for upper, lower in INNER_LIPS:
        middle = (photo[upper] + photo[lower] + way[upper] + way[lower]) / 2
        half = (photo[upper] - photo[lower]) / 2 * (thinner if closed else 1.0)
        ends[upper], ends[lower] = middle + half, middle - half
    for outer, inner in ((48, 60), (54, 64)):
        ends[inner] = photo[inner] + (way[inner] + way[outer]) / 2
    along = _along(photo)
    for outer, inner in _WITHIN.items():
        thick = photo[outer] - photo[inner]
        across = (thick @ along) * along
        ends[outer] = ends[inner] + across * wider + (thick - across) * thinner
    return [DragPoint.between(photo[i], ends[i]) for i in MOUTH]


def pulls_lips(face: Points, points: Sequence[DragPoint]) -> bool:
    """Say whether points pull the lips of a face apart, or together."""
    return _asked_gap(face, points) != 0


def lips_that_open(faces: Faces, points: Sequence[DragPoint]) -> list[DragPoint]:
    """Say where the points of an open mouth go when points open it further; nothing where not.

    They follow the generator's, but lips keep their thickness: teeth are no longer for that.
    """
    if mouth_opening(faces.photo) <= CLOSED or _asked_gap(faces.photo, points) <= 0:
        return []
    photo = np.asarray(faces.photo, np.float64)
    ends = faces.ends
    for outer, inner in _WITHIN.items():
        if outer in _LOWER:
            ends[inner] = ends[outer] + photo[inner] - photo[outer]
    return [DragPoint.between(photo[i], ends[i]) for i in MOUTH]


def nose_beside_lips(faces: Faces, points: Sequence[DragPoint]) -> list[DragPoint]:
    """Say where the nose goes when all that is pulled is lips: as far as the generator's."""
    photo = np.asarray(faces.photo, np.float64)
    if not points or not all(_nearest(photo, point) in MOUTH for point in points):
        return []
    ends = faces.ends
    return [DragPoint.between(photo[i], ends[i]) for i in NOSE_BRIDGE + NOSTRILS]


def lips_that_part(
    faces: Faces, points: Sequence[DragPoint], *, freely: bool = False
) -> list[DragPoint]:
    """Say where a closed mouth's points go when points pull the lips apart.

    Nothing where they do not, or where the generator's mouth did not open as far as that: then
    what it draws between the lips is not to be trusted. freely says that the generator's mouth may
    open without a point that asks for it.
    """
    asked = _asked_gap(faces.photo, points)
    opened = mouth_opening(faces.after) - mouth_opening(faces.before)
    if freely and opened < PARTED:
        return []
    if mouth_opening(faces.photo) > CLOSED or (asked <= 0 and not freely):
        return []
    photo = np.asarray(faces.photo, np.float64)
    ends = faces.ends
    gap = np.mean([np.linalg.norm(ends[lower] - ends[upper]) for upper, lower in INNER_LIPS])
    if gap < OPENED * asked:
        return []
    return [DragPoint.between(photo[i], ends[i]) for i in MOUTH]


def _asked_gap(face: Points, points: Sequence[DragPoint]) -> float:
    """Return how far points pull the lips apart, in pixels, below 0 together; 0 where neither."""
    photo = np.asarray(face, np.float64)
    along, width = _along(photo), face_width(photo)
    down = np.array([-along[1], along[0]])
    ways: dict[bool, list[float]] = {True: [], False: []}
    for point in points:
        nearest = _nearest(photo, point)
        if nearest in _UPPER + _LOWER:
            way = float(np.subtract(point.target, point.handle) @ down)
            ways[nearest in _LOWER].append(way)
    apart = sum(ways[True]) / max(len(ways[True]), 1) - sum(ways[False]) / max(len(ways[False]), 1)
    return apart if abs(apart) > PARTED * width else 0.0


def _nearest(photo: Float64Array, point: DragPoint) -> int | None:
    """Return which of the 68 points a handle lies on; None where that is none of the lips."""
    distances = np.linalg.norm(photo - point.handle, axis=1)
    nearest = int(distances.argmin())
    return (
        nearest if nearest in MOUTH and distances[nearest] <= NEAR_LIP * face_width(photo) else None
    )


def _along(photo: Float64Array) -> Float64Array:
    """Return the direction from one eye to the other."""
    eyes = photo[42:48].mean(axis=0) - photo[36:42].mean(axis=0)
    along: Float64Array = eyes / np.linalg.norm(eyes)
    return along
