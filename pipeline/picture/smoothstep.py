"""The curve by which masks and fields rise without a kink."""

from __future__ import annotations

import numpy as np

from stylegan2.arrays import Array, Float64Array


def smoothstep(share: Array) -> Float64Array:
    """Rise from 0 at 0 and below to 1 at 1 and above: 3 t^2 - 2 t^3."""
    t = np.clip(share, 0, 1)
    risen: Float64Array = t * t * (3 - 2 * t)
    return risen
