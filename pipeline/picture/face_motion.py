"""How a face moves when its points do: one field for the whole photo.

A generator's picture of a face may look poor and its dragged picture worse, but between the two
the parts of the face move together as faces do. That motion is measured as optical flow, cleaned,
and made exact at the points; the pixels that it moves are the photo's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drag.points import DragPoint
from pipeline.picture.brush import (
    FADE,
    FINE,
    GRID,
    fading,
    free_cells,
    made_exact,
    on_grid,
    with_fine_points,
)
from pipeline.picture.motion import REGION, Motion, over_region, read_field
from pipeline.picture.optical_flow import backward_flow, fitted, weighted_flow
from pipeline.picture.outlines import filled_hull
from pipeline.picture.smooth_field import smooth_field
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image

EDGE = 0.02
"""The measured field is smooth and all but zero there; it fades over this share."""

LIP_FIRMNESS = 0.01
"""Of the pins that hold lips together, as a share of the points' own: landmarks are a guess."""

BESIDE_LIPS = 0.016
"""Flow is not believed at the lips that are held, nor this far around, by the crop's side."""

FOLDED = 0.15
"""Where an area would shrink below this share of itself, flow is believed less."""

UNFOLDINGS = 3
DISBELIEF = 0.1
"""Times that such places are tried again, and what is left of their weight each time."""

_QUICK_SIDE = 128
_QUICK_SMOOTHING = 1.5
"""Side of the pictures between which `quick_motion` looks, and its blur, in cells of GRID."""


def face_motion(
    before: UInt8Image,
    after: UInt8Image,
    points: Sequence[DragPoint],
    movable_mask: BoolImage | None = None,
    alone: Sequence[DragPoint] = (),
    lips: Sequence[DragPoint] = (),
    fine: Sequence[DragPoint] = (),
    nose: Sequence[DragPoint] = (),
    beside: Sequence[DragPoint] = (),
) -> Motion:
    """Clean the motion between a generator's picture of a face and its dragged picture.

    before, after: uint8 [H, W, 3]. points: in pixels of these; their handles' content is at the
    targets in the end, exactly. movable_mask: bool [H, W], True where the photo may change. alone:
    more points, of which the pictures say nothing: they move what is around them. lips: where
    the mouth's points go, roughly; there it is they that say so, and not the pictures. fine: points
    of small parts, which move only what is near, after all others. nose: where its points go,
    roughly, whatever pulls beside them. beside: what goes with the small parts, by so much more
    than everything else moves it.
    """
    size = before.shape[:2]
    if before.shape != (*size, 3) or after.shape != before.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} must be of one size")
    free = free_cells(GRID, movable_mask)
    flow, weight = _measured(before, after)
    targets, ways = on_grid(points, size, GRID)
    lip_ends, lip_ways = on_grid(lips, size, GRID)
    if lips:
        weight = weight * (1 - _share_inside(lips, size))
    nose_ends, nose_ways = on_grid(nose, size, GRID)
    soft = np.full(len(lips) + len(nose), LIP_FIRMNESS)
    firmness = np.concatenate([np.ones(len(points)), soft])
    # What the generator left of the way, everything else goes along with, not the point alone.
    followed = smooth_field(flow, weight, lip_ends, lip_ways, free, soft[: len(lips)])
    lacking = made_exact(followed / GRID, points, size, movable_mask).way * GRID - followed
    flow = flow + lacking
    pins = np.concatenate([targets, lip_ends, nose_ends])
    pin_ways = np.concatenate([ways, lip_ways + read_field(lacking, lip_ends), nose_ways])
    for _ in range(UNFOLDINGS + 1):
        field = smooth_field(flow, weight, pins, pin_ways, free, firmness)
        folded = Motion((field / GRID).astype(np.float32)).areas() < FOLDED
        if not folded.any():
            break
        weight = np.where(_grown(folded, 2), DISBELIEF * weight, weight)
    way = _enlarged(field / GRID, FINE) * fading(FINE, movable_mask, EDGE)[..., None]
    coarse = [*points, *alone]
    whole = made_exact(way, coarse, size, movable_mask)
    return with_fine_points(whole, coarse, fine, size, movable_mask, beside)


def quick_motion(
    before: UInt8Image,
    after: UInt8Image,
    points: Sequence[DragPoint],
    alone: Sequence[DragPoint] = (),
    fine: Sequence[DragPoint] = (),
    beside: Sequence[DragPoint] = (),
    movable_mask: BoolImage | None = None,
) -> Motion:
    """Measure roughly the same in a few milliseconds, for pictures that follow one another.

    Arguments as for `face_motion`; the motion is given on `GRID`.
    """
    import cv2

    size = before.shape[:2]
    height, width = fitted(size, _QUICK_SIDE)
    small, small_after = (
        np.asarray(cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        for each in (before, after)
    )
    way, sure = backward_flow(small, small_after, 1.0)
    weight = over_region(sure)[..., None]
    around = over_region(way) * weight

    def averaged(field: Array) -> Float32Array:
        even = cv2.resize(field, (GRID, GRID), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(even, (0, 0), _QUICK_SMOOTHING), np.float32)

    flow = averaged(around) / (averaged(weight)[..., None] + 1e-3)
    fade = fading(GRID, movable_mask, FADE)[..., None]
    faded = flow / (REGION * _QUICK_SIDE) * fade
    coarse = [*points, *alone]
    whole = made_exact(faded, coarse, size, movable_mask)
    return with_fine_points(whole, coarse, fine, size, movable_mask, beside)


def _measured(before: UInt8Image, after: UInt8Image) -> tuple[Float64Array, Float64Array]:
    """Return the flow on the grid, in its pixels, and how far it is to be believed."""
    import cv2  # large; only an edit needs it

    way, weight = weighted_flow(before, after)

    def averaged(field: Float32Array) -> Float32Array:
        around = over_region(field)
        return np.asarray(cv2.resize(around, (GRID, GRID), interpolation=cv2.INTER_AREA))

    mean_weight = averaged(weight)
    flow = averaged(way * weight[..., None]) / (mean_weight[..., None] + 1e-6)
    return (flow * (GRID / REGION)).astype(np.float64), mean_weight.astype(np.float64)


def _share_inside(lips: Sequence[DragPoint], size: tuple[int, int]) -> Float64Array:
    """Return the share [GRID, GRID] of each cell that is mouth in the end, or just beside it."""
    import cv2

    ends = np.array([point.target for point in lips])
    mouth = filled_hull(size, ends, round(BESIDE_LIPS * max(size)))
    around = over_region(mouth).astype(np.float32)
    return np.asarray(cv2.resize(around, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float64)


def _enlarged(field: Float64Array, n: int) -> Float32Array:
    import cv2

    large = cv2.resize(field.astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _grown(places: BoolImage, by: int) -> BoolImage:
    import cv2

    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return np.asarray(cv2.dilate(places.astype(np.uint8), kernel)) > 0
