"""How a photo moves when the head in it turns: as a body in space, not as a picture.

A generator knows that a head turns when its nose is pulled; but its motion squeezes eyes and bulges
cheeks, and it hardly knows nods. The depth of a mean head, laid over the photo's face, does better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drag.points import DragPoint
from inversion.faces.head_pose import HEAD, HeadPose, head_pose
from inversion.faces.shape68 import NOSE_BRIDGE, NOSTRILS, Points
from pipeline.picture.brush import FINE, fading, made_exact, turned_round, with_fine_points
from pipeline.picture.motion import REGION, Motion, places_of_region
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import BoolImage, Float64Array
from stylegan2.sizes import Size, longer_side

EXPLAINED = 0.9
"""Points are those of a turning head when a turn leaves at most the rest of their squared ways."""

SEEN = 0.92
"""The same for the 68 points of a generator, before and after."""

LEAST_TURN = np.radians(1.5)
"""Less of a turn is none; a generator's head is never quite still."""

PIVOT = np.array([0.0, 0.15, -0.25])
"""The top of the neck, around which a head turns; in the units of HEAD, as is what follows."""

MORE_HEAD = np.array(
    [
        (0.0, -0.33, 0.06), (-0.14, -0.32, 0.0), (0.14, -0.32, 0.0), (0.0, -0.45, -0.02),
        (-0.2, -0.42, -0.14), (0.2, -0.42, -0.14), (0.0, -0.58, -0.2), (-0.3, -0.3, -0.25),
        (0.3, -0.3, -0.25), (-0.3, -0.5, -0.25), (0.3, -0.5, -0.25),
    ]
)  # fmt: skip
"""Forehead and crown, of which there are no landmarks: an ellipsoid's, by eye."""

ROUND, ROUND_MIDDLE = (0.42, 0.62), 0.12
"""Half the width and height of a head with its hair, and how far above the landmarks' mean its
middle lies."""

FADE = (0.85, 1.35)
"""Around a head what moves with it fades away, between these multiples of its radius."""

EDGE = 0.02
"""It fades over this share of the region's side towards what a mask keeps."""

NARROWEST = 0.3
"""What is squeezed before a turning head keeps this share of its length; what would be squeezed
more gives way."""

CELLS = 96
"""Side of the grid over the region on which the turn is reckoned."""

_DEPTH_SMOOTHING = 1e-3
_SOFT = 0.8
"""Cells over which the way is averaged."""

_USUAL = np.array([np.radians(20), np.radians(12), np.radians(0.7), 0.01, 0.02, 0.02])
_FREE = np.array([np.radians(20), np.radians(12), np.radians(6), 0.05, 0.1, 0.1])
"""How much yaw, pitch, roll, the logarithm of the size, and shifts (in units of HEAD) are wont to
be: a head that is pulled turns, and does not wander; one that is only seen may."""

_MISS = 0.02
"""What a miss of that much of HEAD's unit costs is what a usual turn costs."""


@dataclass(frozen=True)
class HeadTurn:
    """A head and its turn: by yaw (to the right), pitch (downwards) and roll, in radians.

    It grows, too, by a factor, and shifts by pixels [2].
    """

    face: Float64Array
    yaw: float
    pitch: float
    roll: float
    growth: float
    shift: Float64Array

    @cached_property
    def pose(self) -> HeadPose:
        """How the head is turned before."""
        return head_pose(self.face)

    @property
    def angle(self) -> float:
        """By how much it turns away from where it looked."""
        return float(np.hypot(self.yaw, self.pitch))

    def ways(self, places: Float64Array) -> Float64Array:
        """Return how far what is at places [P, 2] goes, as if all were head: [P, 2] in pixels."""
        return self.ways_of(_from_pivot(self.face, self.pose, places))

    def ways_of(self, away: Float64Array) -> Float64Array:
        """Return the same for what is known to lie so far away from the pivot, [P, 3] in pixels."""
        turned = self.growth * away @ _rotation(self.yaw, self.pitch, self.roll).T
        ways: Float64Array = turned[:, :2] - away[:, :2] + self.shift
        return ways

    def motion(
        self,
        size: Size,
        points: Sequence[DragPoint] = (),
        movable_mask: BoolImage | None = None,
        fine: Sequence[DragPoint] = (),
        beside: Sequence[DragPoint] = (),
        n: int = FINE,
    ) -> Motion:
        """Turn the head, and bring points to where they belong; arguments as for `plain_motion`."""
        import cv2

        places = places_of_region(CELLS, size)
        ways = self.ways(places) * self._share_of_head(places)[:, None]
        nose = int(np.linalg.norm(places - self.face[30], axis=1).argmin())
        forward = ways[nose] / max(float(np.linalg.norm(ways[nose])), 1e-9)
        grid = ways.reshape(CELLS, CELLS, 2) * (CELLS / (REGION * longer_side(size)))
        along = grid @ forward
        grid = grid + (_giving_way(along, 1 - NARROWEST) - along)[..., None] * forward
        there = cv2.GaussianBlur((grid / CELLS).astype(np.float32), (0, 0), _SOFT)
        there = cv2.resize(there, (n, n), interpolation=cv2.INTER_CUBIC)
        way = turned_round(there) * fading(n, movable_mask, EDGE)[..., None]
        whole = made_exact(way, points, size, movable_mask)
        return with_fine_points(whole, points, fine, size, movable_mask, beside)

    def _share_of_head(self, places: Float64Array) -> Float64Array:
        """Return how much of the head's ways places [P, 2] go: [P], 1 on it, 0 far from it."""
        middle = self.face.mean(axis=0) - (0, ROUND_MIDDLE * self.pose.scale)
        away = np.hypot(*((places - middle) / (np.array(ROUND) * self.pose.scale)).T)
        near, far = FADE
        return smoothstep((far - away) / (far - near))


def turn_of_points(face: Points, points: Sequence[DragPoint]) -> HeadTurn | None:
    """Find the turn of a head with 68 points [68, 2] that brings points where they are to go.

    None where no turn does: then it is not the head that they move.
    """
    ends = np.array([[point.handle, point.target] for point in points], np.float64)
    return _fitted(np.asarray(face, np.float64), ends[:, 0], ends[:, 1], _USUAL, EXPLAINED)


def pulls_the_nose(face: Points, points: Sequence[DragPoint]) -> bool:
    """Say whether any point pulls the nose."""
    return any(_pulled_noses(face, points))


def pulls_the_head(face: Points, points: Sequence[DragPoint]) -> bool:
    """Say whether points pull the nose and something else: nothing but the head moves both."""
    return len(set(_pulled_noses(face, points))) == 2


def _pulled_noses(face: Points, points: Sequence[DragPoint]) -> list[bool]:
    """Say of each point that is no pin whether it is of the nose, with points [68, 2]."""
    pulled = [point.handle for point in points if point.handle != point.target]
    nearest = [int(np.linalg.norm(face - np.array(place), axis=1).argmin()) for place in pulled]
    return [i in NOSE_BRIDGE + NOSTRILS for i in nearest]


def turn_seen(before: Points, after: Points) -> HeadTurn | None:
    """Find the turn between two faces with points [68, 2]; None where other things changed, too."""
    first = np.asarray(before, np.float64)
    return _fitted(first, first, np.asarray(after, np.float64), _FREE, SEEN)


def _fitted(
    face: Float64Array,
    starts: Float64Array,
    ends: Float64Array,
    usual: Float64Array,
    explained: float,
) -> HeadTurn | None:
    """Fit the most likely turn to starts and ends [P, 2].

    None where it explains less, or is hardly one.
    """
    from scipy.optimize import least_squares  # large; only an edit needs it

    pose = head_pose(face)
    away = _from_pivot(face, pose, starts)

    def turn(values: Float64Array) -> HeadTurn:
        yaw, pitch, roll, growth, *shift = values * usual
        return HeadTurn(face, yaw, pitch, roll, float(np.exp(growth)), pose.scale * np.array(shift))

    def missed(values: Float64Array) -> Float64Array:
        misses: Float64Array = starts + turn(values).ways_of(away) - ends
        return misses

    def costs(values: Float64Array) -> Float64Array:
        return np.concatenate([missed(values).ravel() / (_MISS * pose.scale), values])

    found = least_squares(costs, np.zeros(len(usual))).x
    whole = float(((ends - starts) ** 2).sum())
    if whole == 0 or (missed(found) ** 2).sum() > (1 - explained) * whole:
        return None
    likely = turn(found)
    return likely if likely.angle >= LEAST_TURN else None


def _from_pivot(face: Float64Array, pose: HeadPose, places: Float64Array) -> Float64Array:
    """Return how far away from the pivot the head is at places [P, 2]: [P, 3] in pixels.

    Its depth is a thin plate through the photo's landmarks, at the mean head's depths, forehead
    and crown.
    """
    from scipy.interpolate import RBFInterpolator

    more = pose.placed(MORE_HEAD)
    known = np.concatenate([face, more[:, :2]]) / pose.scale
    depths = np.concatenate([pose.placed(HEAD)[:, 2], more[:, 2]]) / pose.scale
    plate = RBFInterpolator(known, depths, smoothing=_DEPTH_SMOOTHING)
    pivot = pose.placed(PIVOT[None])[0]
    depth = np.clip(plate(places / pose.scale) * pose.scale - pivot[2], 0, None)
    return np.column_stack([places - pivot[:2], depth])


def _rotation(yaw: float, pitch: float, roll: float) -> Float64Array:
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    across = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    down = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    around = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    turned: Float64Array = around @ down @ across
    return turned


def _giving_way(along: Float64Array, steepest: float) -> Float64Array:
    """Return the least field above `along` [n, n] that falls by at most so much a cell.

    What lies before a turning cheek goes on before it, instead of under it.
    """
    raised = along
    padded = np.full((len(along) + 2,) * 2, -np.inf)
    while True:
        padded[1:-1, 1:-1] = raised
        higher = raised
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            for sign in (1, -1):
                rows, columns = 1 + sign * dy, 1 + sign * dx
                beside = padded[rows : rows + len(along), columns : columns + len(along)]
                higher = np.maximum(higher, beside - steepest * np.hypot(dy, dx))
        if np.array_equal(higher, raised):
            return raised
        raised = higher
