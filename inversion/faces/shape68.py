"""The 68 points of a face in iBUG's order: which is what, and what their distances say.

Points are [68, 2] xy, y down. "Left" is the left of the picture. The order is that of "300 Faces
in-the-Wild Challenge" (Sagonas et al., 2013). Nothing here needs torch.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.floating[Any]]

JAW = tuple(range(0, 17))
BROW_LEFT, BROW_RIGHT = tuple(range(17, 22)), tuple(range(22, 27))
NOSE_BRIDGE, NOSTRILS = tuple(range(27, 31)), tuple(range(31, 36))
EYE_LEFT, EYE_RIGHT = tuple(range(36, 42)), tuple(range(42, 48))
EYES = EYE_LEFT, EYE_RIGHT
OUTER_MOUTH, INNER_MOUTH = tuple(range(48, 60)), tuple(range(60, 68))
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
"""One above the other, in the same order."""

INNER_LIPS = ((61, 67), (62, 66), (63, 65))
"""The inner points of upper and lower lip that face each other."""

REGIONS = MappingProxyType(
    {
        "jaw": JAW,
        "brows": BROW_LEFT + BROW_RIGHT,
        "nose": NOSE_BRIDGE + NOSTRILS,
        "eyes": EYE_LEFT + EYE_RIGHT,
        "outer mouth": OUTER_MOUTH,
        "inner mouth": INNER_MOUTH,
        "lids": UPPER_LIDS + LOWER_LIDS,
    }
)
"""Which of the 68 belong to what, by name; lids are among the eyes too."""

MIRRORED68 = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
)
"""Which point each of the 68 becomes when the picture is mirrored."""


_TURN_OF_NOSE = 75.5


def eye_distance(points: Points) -> float:
    """Return the distance between the eyes' middles, in the points' unit."""
    return _between(points[list(EYE_LEFT)].mean(axis=0), points[list(EYE_RIGHT)].mean(axis=0))


def face_width(points: Points) -> float:
    """Return the distance between the jaw's ends, in the points' unit."""
    return _between(points[0], points[16])


def mouth_opening(points: Points) -> float:
    """Return the gap between the lips, the mean of three places, over the mouth's width."""
    gap = np.mean([_between(points[upper], points[lower]) for upper, lower in INNER_LIPS])
    return float(gap) / _between(points[48], points[54])


def mouth_width(points: Points) -> float:
    """Return the distance of the mouth's corners over the eye distance."""
    return _between(points[48], points[54]) / eye_distance(points)


def eye_openings(points: Points) -> tuple[float, float]:
    """Return the gap between the lids over the eye's width, of the left and of the right eye."""
    left = _between(points[37], points[41]) + _between(points[38], points[40])
    right = _between(points[43], points[47]) + _between(points[44], points[46])
    width_left, width_right = (
        _between(points[36], points[39]),
        _between(points[42], points[45]),
    )
    return left / (2 * width_left), right / (2 * width_right)


def axes_between(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Return unit vectors from one place to another and down across that way, and its length."""
    way = end - start
    length = max(float(np.hypot(*way)), 1e-9)
    along = way / length
    return along, np.array([-along[1], along[0]]), length


def yaw(points: Points) -> float:
    """Estimate how far the head is turned, in degrees; positive where the nose points right.

    From where the nose's tip lies between the jaw's ends, along the line of the eyes; the factor
    was fitted to the yaw of a face mesh on 2516 portraits.
    """
    left, right = points[list(EYE_LEFT)].mean(axis=0), points[list(EYE_RIGHT)].mean(axis=0)
    along = (right - left) / _between(left, right)
    across = (points[30] - (points[0] + points[16]) / 2) @ along
    return float(_TURN_OF_NOSE * across / max(abs((points[16] - points[0]) @ along), 1e-6))


def _between(a: Points, b: Points) -> float:
    return float(np.hypot(*(np.asarray(a, np.float64) - b)))
