"""How the photo moves while a drag goes on, for a page that moves the photo's own pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.picture.brush import FADE, GRID, REACH, WALL
from pipeline.picture.motion import REGION, Motion
from stylegan2.arrays import Float32Array

UNIT = 0.5 / 32767
"""What 1 means in a field that is sent, as a share of the region's side."""

ELASTIC = {"region": REGION, "reach": REACH, "fade": FADE, "wall": WALL / GRID}
"""What the page needs to move the photo by points alone, as `plain_motion` does."""


def packed(way: Float32Array) -> tuple[dict[str, Any], bytes]:
    """Pack a Motion's way for the page: how to read it, and int16 [GRID, GRID, 2], little-endian.

    xy in `UNIT`s, on a grid over the region of `pipeline.picture.motion`.
    """
    way = Motion(way).on(GRID).way
    sent: bytes = np.clip(np.rint(way / UNIT), -32767, 32767).astype("<i2").tobytes()
    return {"n": GRID, "unit": UNIT}, sent
