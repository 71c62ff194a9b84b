"""Names for NumPy arrays, the same in every folder; apart, so that using them loads no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

UInt8Image = npt.NDArray[np.uint8]
"""A picture [H, W, 3], or one of its channels [H, W], 0 to 255."""

BoolImage = npt.NDArray[np.bool_]
"""A yes or no for every pixel: [H, W]."""

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

Array = npt.NDArray[Any]
"""An array of any type: what another library gives."""
