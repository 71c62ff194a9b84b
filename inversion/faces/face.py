"""A face in a photo: its eyes and mouth, its box, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stylegan2.arrays import Array, Float64Array

Box = tuple[float, float, float, float]

# iBUG's 68 points: which are the eyes, the tip of the nose and the mouth's corners. "Left" is the
# left of the picture.
_EYE_LEFT, _EYE_RIGHT = slice(36, 42), slice(42, 48)
_NOSE_TIP, _MOUTH_LEFT, _MOUTH_RIGHT = 30, 48, 54


@dataclass(frozen=True)
class Face:
    """A face in a photo; all coordinates xy in pixel indices, the first pixel's centre is (0, 0).

    eyes_mouth: float64 [5, 2], eye at the left of the picture, eye at the right, nose tip, mouth
    corner at the left, mouth corner at the right (as they lie when the face is upright).
    landmarks68: float64 [68, 2] in iBUG order, or None. box: (x0, y0, x1, y1).
    source: "face-alignment", "finder" or "file". score: 0 to 1.
    """

    eyes_mouth: Float64Array
    landmarks68: Float64Array | None
    box: Box
    source: str
    score: float


def face_from_68(
    points: Float64Array, box: Box, score: float, source: str = "face-alignment"
) -> Face:
    """Make a Face of 68 points in iBUG order; an eye is the mean of its six points, as in FFHQ."""
    eyes_mouth = np.stack(
        [
            points[_EYE_LEFT].mean(axis=0),
            points[_EYE_RIGHT].mean(axis=0),
            points[_NOSE_TIP],
            points[_MOUTH_LEFT],
            points[_MOUTH_RIGHT],
        ]
    )
    return Face(eyes_mouth, points, box, source, score)


def box_of(eyes_mouth: Array) -> Box:
    """Put a box around a face known by five points, brows to chin."""
    eyes = eyes_mouth[:2].mean(axis=0)
    mouth = eyes_mouth[3:].mean(axis=0)
    half = max(np.hypot(*(eyes_mouth[1] - eyes_mouth[0])), np.hypot(*(mouth - eyes))) * 1.1
    middle = eyes + 0.55 * (mouth - eyes)
    return (*(middle - half).tolist(), *(middle + half).tolist())
