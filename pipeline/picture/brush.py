"""Move a photo as a soft brush does: what is around a point goes along with it.

The field is exact at the points; it is added to what a generator says of a face's motion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drag.points import DragPoint
from pipeline.picture.motion import Motion, in_region, over_region, read_field
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array
from stylegan2.sizes import Size

GRID = 64
"""Side of the grid over the region on which the field is solved."""

FINE = 320
"""Side of the grid on which it is given."""

WALL = 1
"""Cells along the region's border that stay where they are."""

FADE = 0.05
"""The plain warp fades over this share of the region's side towards what stays."""

REACH = 0.23
"""How far a point pulls what is around it, as a share of the region's side, where no
generator says how: .55 of a face's width."""

FINE_REACH = 0.1
"""How far a point of a small part, a lid or a brow, pulls what is around it."""

_TURNS, _STRIDE = 32, 0.5
"""Rounds in which a way is turned round, and how far each goes towards what it finds."""


def plain_motion(
    points: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None = None,
    fine: Sequence[DragPoint] = (),
    beside: Sequence[DragPoint] = (),
    n: int = FINE,
) -> Motion:
    """Move what is around the points, where no generator says how.

    points: in pixels of a picture of that size; their handles' content is at the targets in the
    end. movable_mask: bool [H, W], True where the photo may change. fine: points of small parts,
    which move only what is near, after all others. beside: what goes with these, by so much more
    than everything else moves it. n: side of the grid of the motion.
    """
    still = np.zeros((n, n, 2), np.float32)
    whole = made_exact(still, points, size, movable_mask)
    return with_fine_points(whole, points, fine, size, movable_mask, beside)


def made_exact(
    way: Array,
    points: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None,
) -> Motion:
    """Add what a field lacks at the points, by kernels (Wendland, 1995, C2) around them."""
    if not points:
        return Motion(np.asarray(way, np.float32))
    n = len(way)
    targets, ways = on_grid(points, size, n)
    fade = fading(n, movable_mask, FADE)
    y, x = np.mgrid[0:n, 0:n]
    kernels = np.stack(
        [_kernel(np.hypot(x - tx, y - ty) / (REACH * n)) * fade for tx, ty in targets], axis=-1
    )
    lacking = ways / n - read_field(way, targets)
    # A target behind a wall cannot be reached; its kernel is nearly nothing and gets no share.
    shares = np.linalg.lstsq(read_field(kernels, targets), lacking, rcond=1e-3)[0]
    return Motion((way + kernels @ shares).astype(np.float32))


def with_fine_points(
    whole: Motion,
    coarse: Sequence[DragPoint],
    fine: Sequence[DragPoint],
    size: Size,
    movable_mask: BoolImage | None,
    beside: Sequence[DragPoint] = (),
) -> Motion:
    """Bring small parts to where they belong once everything else has moved.

    Lids that close come to the same place from two: what is smooth is the way there, at the
    handles, and not the way back. So the way there is solved for, and turned round.
    """
    if not fine and not beside:
        return whole
    n = len(whole.way)
    points = (*fine, *coarse, *beside)
    ways = np.array([[point.handle, point.target] for point in points], np.float64)
    handles, ends = ways[:, 0], ways[:, 1]
    went = whole.goes(handles, size)
    added = len(fine) + len(coarse)
    ends[added:] += went[added:] - handles[added:]
    starts, targets = in_region(went, size, n), in_region(ends, size, n)
    y, x = np.mgrid[0:n, 0:n]
    fade = fading(n, movable_mask, FADE)
    reach = FINE_REACH * n
    kernels = [_kernel(np.hypot(x - sx, y - sy) / reach) * fade for sx, sy in starts]
    apart = np.hypot(*(starts[:, None] - starts).transpose(2, 0, 1))
    shares = np.linalg.lstsq(_kernel(apart / reach), (targets - starts) / n, rcond=1e-5)[0]
    there = (np.stack(kernels, axis=-1) @ shares).astype(np.float32)
    return Motion(turned_round(there)).after(whole)


def turned_round(there: Float32Array) -> Float32Array:
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


def fading(n: int, movable_mask: BoolImage | None, over: float) -> Float64Array:
    """Rise from 0 at what stays to 1 that share of the side inside of what may move: [n, n]."""
    import cv2  # large; only an edit needs it

    free = np.pad(free_cells(n, movable_mask), 1).astype(np.uint8)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    # A place between two cells gets something of both, so the outermost stay, too.
    return smoothstep((distance.astype(np.float64) - 1) / (over * n))


def free_cells(n: int, movable_mask: BoolImage | None) -> BoolImage:
    """Say which cells of a grid may move: not the border, and none that a mask keeps in part."""
    import cv2

    border = -(-WALL * n // GRID)
    free = np.zeros((n, n), np.bool_)
    free[border:-border, border:-border] = True
    if movable_mask is not None:
        around = over_region(movable_mask).astype(np.float32)
        free &= cv2.resize(around, (n, n), interpolation=cv2.INTER_AREA) > 0.999
    return free


def on_grid(points: Sequence[DragPoint], size: Size, n: int) -> tuple[Float64Array, Float64Array]:
    """Return the targets [P, 2] and the ways back to the handles, in pixels of a grid."""
    ends = np.array([[point.handle, point.target] for point in points], np.float64)
    handles, targets = in_region(ends.reshape(-1, 2, 2), size, n).transpose(1, 0, 2)
    return targets, handles - targets
