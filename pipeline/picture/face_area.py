"""Where a face is, by its 68 points: what lies outside is hair, neck, background."""

from __future__ import annotations

import numpy as np

from inversion.faces.shape68 import BROW_LEFT, BROW_RIGHT, Points, face_width
from stylegan2.arrays import Float64Array

FOREHEAD = 0.25
"""How far the forehead goes above the brows, as a share of the face's width."""

MARGIN = 0.05
"""What is this near to the face moves with it, as a share of the face's width."""


def on_face(points: Points, xy: tuple[float, float]) -> bool:
    """Say whether a place belongs to the face with these points [68, 2]."""
    import cv2  # large; only an edit needs it

    width = face_width(points)
    distance = cv2.pointPolygonTest(_outline(points, width), xy, measureDist=True)
    return bool(distance >= -MARGIN * width)


def _outline(points: Points, width: float) -> Float64Array:
    import cv2

    brows = list(BROW_LEFT + BROW_RIGHT)
    down = points[8] - points[[0, 16]].mean(axis=0)
    forehead = points[brows] - FOREHEAD * width * down / np.hypot(*down)
    around = np.concatenate([points, forehead]).astype(np.float32)
    return np.asarray(cv2.convexHull(around))
