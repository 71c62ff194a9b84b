"""A jaw that is drawn narrower or wider: another face, not one that moves.

Asked for that, a generator changes the person: it draws the chin out, or turns the head. A soft
brush changes what was asked for alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drag.points import DragPoint
from inversion.faces.shape68 import JAW, Points, face_width
from pipeline.picture.outlines import distance_to

NEAR = 0.06
"""A handle this near to the jaw's line, by the face's width, pulls the jaw."""

CHIN = 0.18
"""This near to the middle of the face, by its width, it is the chin."""


def shapes_the_jaw(face: Points, points: Sequence[DragPoint]) -> bool:
    """Say whether all points that move pull both sides of a jaw in, or both out, [68, 2].

    In pixels of the crop. A pin on one side will do for that side.
    """
    marks = np.asarray(face, np.float64)
    width = face_width(marks)
    across = (marks[16] - marks[0]) / max(width, 1e-9)
    line, middle = marks[list(JAW)], marks[[0, 16]].mean(axis=0)
    sides: set[bool] = set()
    outward: set[bool] = set()
    for point in points:
        handle, way = np.array(point.handle), np.subtract(point.target, point.handle)
        sideways, beside = float(way @ across), float((handle - middle) @ across)
        along_jaw = distance_to(line, handle) <= NEAR * width and abs(beside) > CHIN * width
        if way.any():
            if not along_jaw or abs(sideways) < np.hypot(*way) / np.sqrt(2):
                return False
            outward.add((sideways > 0) == (beside > 0))
        if along_jaw:
            sides.add(beside > 0)
    return len(sides) == 2 and len(outward) == 1
