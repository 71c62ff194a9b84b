"""How a face moves when its points do: one field for the whole photo.

A generator's picture of a face may look poor and its dragged picture worse, but between the two
the parts of the face move together as faces do. That motion is measured as optical flow, cleaned,
and made exact at the points; the pixels that it moves are the photo's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drag.points import DragPoint
from pipeline.picture.optical_flow import backward_flow, fitted, weighted_flow
from pipeline.picture.smooth_field import smooth_field
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image
from stylegan2.sizes import Size, longer_side, sides

REGION = 1.25
"""Side of the square that may move, in longer sides of the crop around whose centre it lies: chins
and hair go on beyond the crop."""

GRID = 64
"""Side of the grid over the region on which the field is solved."""

FINE = 320
"""Side of the grid on which it is given."""

WALL = 1
"""Cells along the region's border that stay where they are."""

FADE = 0.05
"""The plain warp fades over this share of the region's side towards what stays."""

EDGE = 0.02
"""The measured field is smooth and all but zero there; it fades over this share."""

REACH = 0.23
"""How far a point pulls what is around it, as a share of the region's side, where no
generator says how: .55 of a face's width."""

FINE_REACH = 0.1
"""How far a point of a small part, a lid or a brow, pulls what is around it."""

_TURNS, _STRIDE = 24, 0.7
"""Rounds in which a way is turned round, and how far each goes towards what it finds."""

LIP_FIRMNESS = 0.01
"""Of the pins that hold lips together, as a share of the points' own: landmarks are a guess."""

BESIDE_LIPS = 0.016
"""Flow is not believed at the lips that are held, nor this far around, by the crop's side."""

FOLDED = 0.15
"""Where an area would shrink below this share of itself, flow is believed less."""

UNFOLDINGS = 3
DISBELIEF = 0.1
"""Times that such places are tried again, and what is left of their weight each time."""

ROUNDS_FORTH = 24
"""A field says where things come from; where they go is found in so many half steps."""

_QUICK_SIDE = 128
_QUICK_SMOOTHING = 1.5
"""Side of the pictures between which `quick_motion` looks, and its blur, in cells of GRID."""


@dataclass(frozen=True)
class Motion:
    """Where the pixels of every place come from.

    way: float32 [n, n, 2], xy in shares of the region's side, on a grid whose cells fill the
    region; zero along its border.
    """

    way: Float32Array

    def areas(self) -> Float32Array:
        """Return [n, n]: by what the area around a place was multiplied where it comes from.

        Below 0 the field folds over; near 0 a few pixels are drawn out.
        """
        n = len(self.way)
        across, down = np.gradient(self.way, 1 / n, axis=1), np.gradient(self.way, 1 / n, axis=0)
        areas = (1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0]
        return np.asarray(areas, np.float32)

    def at(self, places: Float64Array, size: Size) -> Float64Array:
        """Read the ways [P, 2] at places of the crop, in pixels of the crop, of that size."""
        on_grid = in_region(places, size, len(self.way))
        return _read(self.way, on_grid) * (REGION * longer_side(size))

    def goes(self, places: Float64Array, size: Size) -> Float64Array:
        """Return where what is at places [P, 2] of the crop ends, both in pixels of the crop."""
        ends: Float64Array = places.copy()
        for _ in range(ROUNDS_FORTH):
            ends += (places - ends - self.at(ends, size)) / 2
        return ends

    def on(self, n: int) -> Motion:
        """Return the same on a grid of another side."""
        import cv2

        if n == len(self.way):
            return self
        shrinking = n < len(self.way)
        fitting = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        return Motion(np.asarray(cv2.resize(self.way, (n, n), interpolation=fitting), np.float32))

    def after(self, first: Motion) -> Motion:
        """Return the motion that does what another one and then this one do, in one go."""
        import cv2  # large; only an edit needs it

        n = len(self.way)
        y, x = np.mgrid[0:n, 0:n].astype(np.float32)
        from_x, from_y = x + self.way[..., 0] * n, y + self.way[..., 1] * n
        went = cv2.remap(
            first.way, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return Motion(self.way + np.asarray(went, np.float32))


def region_of(quad: Float64Array) -> Float64Array:
    """Return the corners [4, 2] of the region that may move, for those of a crop."""
    top_left, bottom_left, _, top_right = quad
    across, down = top_right - top_left, bottom_left - top_left
    side = REGION * max(np.hypot(*across), np.hypot(*down))
    across, down = (each * (side / 2 / np.hypot(*each)) for each in (across, down))
    centre = quad.mean(axis=0)
    corners = [-across - down, down - across, across + down, across - down]
    return np.stack([centre + corner for corner in corners])


def in_region(places: Float64Array, size: Size, n: int) -> Float64Array:
    """Bring places [..., 2] of a crop of that size to a grid over the region, n x n: both xy."""
    height, width = sides(size)
    middle = np.array([width, height]) / 2
    shares = (places + 0.5 - middle) / (REGION * longer_side(size))
    on_grid: Float64Array = (shares + 0.5) * n - 0.5
    return on_grid


def _over_region(field: Array) -> Array:
    """Lay a field over the crop [h, w, ...] out over the region: zeros around it."""
    height, width = field.shape[:2]
    longer = max(height, width)
    side = longer + 2 * round((REGION - 1) / 2 * longer)
    top, left = (side - height) // 2, (side - width) // 2
    padding = [(top, side - height - top), (left, side - width - left)]
    return np.pad(field, padding + [(0, 0)] * (field.ndim - 2))


def face_motion(
    before: UInt8Image,
    after: UInt8Image,
    points: Sequence[DragPoint],
    movable_mask: BoolImage | None = None,
    alone: Sequence[DragPoint] = (),
    lips: Sequence[DragPoint] = (),
    fine: Sequence[DragPoint] = (),
    nose: Sequence[DragPoint] = (),
) -> Motion:
    """Clean the motion between a generator's picture of a face and its dragged picture.

    before, after: uint8 [H, W, 3]. points: in pixels of these; their handles' content is at the
    targets in the end, exactly. movable_mask: bool [H, W], True where the photo may change. alone:
    more points, of which the pictures say nothing: they move what is around them. lips: where
    the mouth's points go, roughly; there it is they that say so, and not the pictures. fine: points
    of small parts, which move only what is near, after all others. nose: where its points go,
    roughly, whatever pulls beside them.
    """
    size = before.shape[:2]
    if before.shape != (*size, 3) or after.shape != before.shape:
        raise ValueError(f"before {before.shape} and after {after.shape} must be of one size")
    free = _free(GRID, movable_mask)
    flow, weight = _measured(before, after)
    targets, ways = _on_grid(points, size, GRID)
    lip_ends, lip_ways = _on_grid(lips, size, GRID)
    if lips:
        weight = weight * (1 - _share_inside(lips, size))
    nose_ends, nose_ways = _on_grid(nose, size, GRID)
    soft = np.full(len(lips) + len(nose), LIP_FIRMNESS)
    firmness = np.concatenate([np.ones(len(points)), soft])
    # What the generator left of the way, everything else goes along with, not the point alone.
    followed = smooth_field(flow, weight, lip_ends, lip_ways, free, soft[: len(lips)])
    lacking = _exact(followed / GRID, points, size, movable_mask).way * GRID - followed
    flow = flow + lacking
    pins = np.concatenate([targets, lip_ends, nose_ends])
    pin_ways = np.concatenate([ways, lip_ways + _read(lacking, lip_ends), nose_ways])
    for _ in range(UNFOLDINGS + 1):
        field = smooth_field(flow, weight, pins, pin_ways, free, firmness)
        folded = Motion((field / GRID).astype(np.float32)).areas() < FOLDED
        if not folded.any():
            break
        weight = np.where(_grown(folded, 2), DISBELIEF * weight, weight)
    way = _enlarged(field / GRID, FINE) * _fade(FINE, movable_mask, EDGE)[..., None]
    coarse = [*points, *alone]
    whole = _exact(way, coarse, size, movable_mask)
    return _refined(whole, coarse, fine, size, movable_mask)


def quick_motion(
    before: UInt8Image,
    after: UInt8Image,
    points: Sequence[DragPoint],
    alone: Sequence[DragPoint] = (),
    fine: Sequence[DragPoint] = (),
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
    weight = _over_region(sure)[..., None]
    around = _over_region(way) * weight

    def averaged(field: Array) -> Float32Array:
        even = cv2.resize(field, (GRID, GRID), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(even, (0, 0), _QUICK_SMOOTHING), np.float32)

    flow = averaged(around) / (averaged(weight)[..., None] + 1e-3)
    fade = _fade(GRID, movable_mask, FADE)[..., None]
    faded = flow / (REGION * _QUICK_SIDE) * fade
    coarse = [*points, *alone]
    whole = _exact(faded, coarse, size, movable_mask)
    return _refined(whole, coarse, fine, size, movable_mask)


def plain_motion(
    points: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None = None,
    fine: Sequence[DragPoint] = (),
    n: int = FINE,
) -> Motion:
    """Move what is around the points as a soft brush does, where no generator says how.

    points, movable_mask and fine as in `face_motion`, in pixels of a picture of that size.
    n is the side of the grid on which the motion is given.
    """
    still = np.zeros((n, n, 2), np.float32)
    whole = _exact(still, points, size, movable_mask)
    return _refined(whole, points, fine, size, movable_mask)


def _measured(before: UInt8Image, after: UInt8Image) -> tuple[Float64Array, Float64Array]:
    """Return the flow on the grid, in its pixels, and how far it is to be believed."""
    import cv2  # large; only an edit needs it

    way, weight = weighted_flow(before, after)

    def averaged(field: Float32Array) -> Float32Array:
        around = _over_region(field)
        return np.asarray(cv2.resize(around, (GRID, GRID), interpolation=cv2.INTER_AREA))

    mean_weight = averaged(weight)
    flow = averaged(way * weight[..., None]) / (mean_weight[..., None] + 1e-6)
    return (flow * (GRID / REGION)).astype(np.float64), mean_weight.astype(np.float64)


def _exact(
    way: Array,
    points: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None,
) -> Motion:
    """Add what a field lacks at the points, by kernels (Wendland, 1995, C2) around them."""
    if not points:
        return Motion(np.asarray(way, np.float32))
    n = len(way)
    targets, ways = _on_grid(points, size, n)
    fade = _fade(n, movable_mask, FADE)
    y, x = np.mgrid[0:n, 0:n]
    kernels = np.stack(
        [_kernel(np.hypot(x - tx, y - ty) / (REACH * n)) * fade for tx, ty in targets], axis=-1
    )
    lacking = ways / n - _read(way, targets)
    # A target behind a wall cannot be reached; its kernel is nearly nothing and gets no share.
    shares = np.linalg.lstsq(_read(kernels, targets), lacking, rcond=1e-3)[0]
    return Motion((way + kernels @ shares).astype(np.float32))


def _refined(
    whole: Motion,
    coarse: Sequence[DragPoint],
    fine: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None,
) -> Motion:
    """Bring small parts to where they belong once everything else has moved.

    Lids that close come to the same place from two: what is smooth is the way there, at the
    handles, and not the way back. So the way there is solved for, and turned round.
    """
    if not fine:
        return whole
    n = len(whole.way)
    ends = np.array([[point.handle, point.target] for point in (*fine, *coarse)], np.float64)
    starts = in_region(whole.goes(ends[:, 0], size), size, n)
    targets = in_region(ends[:, 1], size, n)
    y, x = np.mgrid[0:n, 0:n]
    fade = _fade(n, movable_mask, FADE)
    reach = FINE_REACH * n
    kernels = [_kernel(np.hypot(x - sx, y - sy) / reach) * fade for sx, sy in starts]
    apart = np.hypot(*(starts[:, None] - starts).transpose(2, 0, 1))
    shares = np.linalg.lstsq(_kernel(apart / reach), (targets - starts) / n, rcond=1e-5)[0]
    there = (np.stack(kernels, axis=-1) @ shares).astype(np.float32)
    return Motion(_turned_round(there)).after(whole)


def _turned_round(there: Float32Array) -> Float32Array:
    """Return the way back of a way there, both in shares of the side: a fixed point."""
    import cv2  # large; only an edit needs it

    n = len(there)
    y, x = np.mgrid[0:n, 0:n].astype(np.float32)
    back = np.zeros_like(there)
    for _ in range(_TURNS):
        at = x + back[..., 0] * n, y + back[..., 1] * n
        found = cv2.remap(there, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        back += _STRIDE * (-np.asarray(found, np.float32) - back)
    return back


def _kernel(distance: Float64Array) -> Float64Array:
    near = np.clip(1 - distance, 0, None)
    kernel: Float64Array = near**4 * (4 * distance + 1)
    return kernel


def _fade(n: int, movable_mask: BoolImage | None, over: float) -> Float64Array:
    """Rise from 0 at what stays to 1 that share of the side inside of what may move: [n, n]."""
    import cv2  # large; only an edit needs it

    free = np.pad(_free(n, movable_mask), 1).astype(np.uint8)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # A place between two cells gets something of both, so the outermost stay, too.
    t = np.clip((distance.astype(np.float64) - 1) / (over * n), 0, 1)
    fade: Float64Array = t * t * (3 - 2 * t)
    return fade


def _share_inside(lips: Sequence[DragPoint], size: tuple[int, int]) -> Float64Array:
    """Return the share [GRID, GRID] of each cell that is mouth in the end, or just beside it."""
    import cv2

    mouth = np.zeros(size, np.uint8)
    ends = np.array([point.target for point in lips], np.float32)
    cv2.fillConvexPoly(mouth, np.rint(cv2.convexHull(ends)).astype(np.int32), (1.0,))
    beside = 2 * round(BESIDE_LIPS * max(size)) + 1
    mouth = np.asarray(cv2.dilate(mouth, np.ones((beside, beside), np.uint8)), np.uint8)
    around = _over_region(mouth).astype(np.float32)
    return np.asarray(cv2.resize(around, (GRID, GRID), interpolation=cv2.INTER_AREA), np.float64)


def _free(n: int, movable_mask: BoolImage | None) -> BoolImage:
    """Say which cells of a grid may move: not the border, and none that a mask keeps in part."""
    import cv2

    border = -(-WALL * n // GRID)
    free = np.zeros((n, n), np.bool_)
    free[border:-border, border:-border] = True
    if movable_mask is not None:
        around = _over_region(movable_mask).astype(np.float32)
        free &= cv2.resize(around, (n, n), interpolation=cv2.INTER_AREA) > 0.999
    return free


def _on_grid(points: Sequence[DragPoint], size: Size, n: int) -> tuple[Float64Array, Float64Array]:
    """Return the targets [P, 2] and the ways back to the handles, in pixels of a grid."""
    ends = np.array([[point.handle, point.target] for point in points], np.float64)
    handles, targets = in_region(ends.reshape(-1, 2, 2), size, n).transpose(1, 0, 2)
    return targets, handles - targets


def _read(field: Array, places: Float64Array) -> Float64Array:
    """Read [n, n, C] at places [P, 2], xy, bilinearly: [P, C]."""
    n = len(field)
    x, y = np.clip(places, 0, n - 1.001).T
    left, top = x.astype(int), y.astype(int)
    right, down = (x - left)[:, None], (y - top)[:, None]
    upper = field[top, left] * (1 - right) + field[top, left + 1] * right
    lower = field[top + 1, left] * (1 - right) + field[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)


def _enlarged(field: Float64Array, n: int) -> Float32Array:
    import cv2

    large = cv2.resize(field.astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _grown(places: BoolImage, by: int) -> BoolImage:
    import cv2

    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return np.asarray(cv2.dilate(places.astype(np.uint8), kernel)) > 0
