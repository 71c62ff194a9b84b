"""Where faces are looked for: in the picture as it is, then closely, then in the turned picture.

The first look is made for portraits and finds what fills a good part of the picture. A face in a
panorama or far away needs a closer one, and a photo that lies on its side needs to be turned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from inversion.faces.face import Box, Face
from stylegan2.arrays import Float64Array, UInt8Image

Look = Callable[[UInt8Image, bool], list[Face]]
"""Find faces in a picture uint8 [H, W, 3], closely or not."""

CLOSE_PIXELS = 3_000_000
"""Size of the largest copy that a close look works on: some seconds on a CPU."""


def close_scale(height: int, width: int) -> float:
    """Return how much a picture is scaled for a close look; 1 where it is small enough."""
    return min(1.0, math.sqrt(CLOSE_PIXELS / (height * width)))


def search(pixels: UInt8Image, look: Look) -> tuple[list[Face], int]:
    """Find faces in pixels uint8 [H, W, 3]; return them and how the picture had to be turned.

    The turn is 0, or 90, 180 or 270 degrees counter-clockwise. Where a look finds a face, those
    after it are left out. Of the turned pictures the one with the surest face counts.
    """
    for closely in (False, True):
        if faces := look(pixels, closely):
            return faces, 0
    found = {}
    for turns in (1, 2, 3):
        if faces := look(np.ascontiguousarray(np.rot90(pixels, turns)), False):
            found[turns] = faces
    if not found:
        return [], 0
    best = max(found, key=lambda turns: max(face.score for face in found[turns]))
    height, width = pixels.shape[:2]
    return [_turned_back(face, best, height, width) for face in found[best]], 90 * best


def _turned_back(face: Face, turns: int, height: int, width: int) -> Face:
    """Bring a face from a picture turned by np.rot90 into pixels of the picture [height, width]."""

    def back(points: Float64Array) -> Float64Array:
        x, y = points[:, 0], points[:, 1]
        unturned = {
            1: (width - 1 - y, x),
            2: (width - 1 - x, height - 1 - y),
            3: (y, height - 1 - x),
        }[turns]
        return np.stack(unturned, axis=1)

    corners = back(np.array(face.box).reshape(2, 2))
    low, high = corners.min(axis=0), corners.max(axis=0)
    box: Box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    landmarks68 = None if face.landmarks68 is None else back(face.landmarks68)
    return replace(face, eyes_mouth=back(face.eyes_mouth), landmarks68=landmarks68, box=box)
