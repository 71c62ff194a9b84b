"""How far a photo can be moved before it would tear."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pipeline.picture.motion import in_region
from pipeline.stages.moving_photo import XY, Moved
from stylegan2.arrays import Float32Array

SHRUNK = 0.3
"""An area that comes from less than this share of itself is drawn out, or folded."""

TORN = 0.005
"""A photo tears where more than this share of what moves is drawn out. Of 93 edits of six photos,
turns, smiles and opened mouths up to 15 % of the face's width had at most .004; smiles of 25 % up
to .010, a target at the edge of its mask up to .39."""

LEAST = 0.3
"""A way is not shortened below this share: less would be no answer to what was asked."""

HALVINGS = 4
"""Tries to find the share; each takes as long as the motion itself."""


def as_far_as_it_holds(made: Callable[[float], Moved]) -> tuple[Moved, float]:
    """Return the farthest motion that does not tear the photo, and its share of the way.

    made gives the motion for a share of the way. Where even LEAST tears, it is that.
    """
    whole = made(1.0)
    if _drawn_out(whole) <= TORN:
        return whole, 1.0
    best, low, high = made(LEAST), LEAST, 1.0
    for _ in range(HALVINGS):
        share = round((low + high) / 2, 2)
        moved = made(share)
        if _drawn_out(moved) <= TORN:
            best, low = moved, share
        else:
            high = share
    return best, low


def where_it_tears(moved: Moved, ends: Sequence[XY], size: int) -> int:
    """Return the number, from 1, of the point whose end is nearest to the worst place."""
    areas = _areas(moved)
    row, column = np.unravel_index(int(areas.argmin()), areas.shape)
    on_grid = in_region(np.array(ends), size, len(areas))
    return int(np.hypot(*(on_grid - (column, row)).T).argmin()) + 1


def _drawn_out(moved: Moved) -> float:
    """Return the share of what moves that is drawn out."""
    moving = np.abs(moved.motion.way).max(axis=2) > 1e-3
    return float((_areas(moved)[moving] < SHRUNK).mean()) if moving.any() else 0.0


def _areas(moved: Moved) -> Float32Array:
    """Return the areas of the motion; what lies in a new mouth shows nothing of the photo."""
    areas = moved.motion.areas()
    if moved.mouth is not None:
        n = len(areas)
        ends = in_region(moved.mouth.ends, len(moved.mouth.picture), n).astype(np.float32)
        mouth = np.zeros((n, n), np.uint8)
        cv2.fillConvexPoly(mouth, np.rint(cv2.convexHull(ends)).astype(np.int32), (1.0,))
        areas = np.where(mouth > 0, np.float32(1), areas)
    return areas
