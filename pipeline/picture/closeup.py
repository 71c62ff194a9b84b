"""The part of a photo around the face: what the page and films show of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.picture.photo import Photo

CLOSEUP_MARGIN = 0.2
"""What a close-up shows around the crop, as a share of it: fields move so much of it, and more."""


@dataclass(frozen=True)
class Closeup:
    """The part of a photo around a face, in its pixels, that the page shows in full sharpness."""

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        """Its rows of the photo."""
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        """Its columns of the photo."""
        return slice(self.x, self.x + self.width)

    def cut(self, photo: Photo) -> Photo:
        """Return that part of the photo."""
        alpha = None if photo.alpha is None else photo.alpha[self.rows, self.columns]
        return replace(photo, pixels=photo.pixels[self.rows, self.columns], alpha=alpha)


def closeup(quad: Sequence[Sequence[float]], size: tuple[int, int]) -> Closeup:
    """Return the part around a crop (corners xy) in a photo of that (width, height)."""
    corners = np.array(quad)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = CLOSEUP_MARGIN * (high - low)
    x0, y0 = np.floor(np.clip(low - margin, 0, np.array(size) - 1)).astype(int).tolist()
    x1, y1 = np.ceil(np.clip(high + margin, 1, size)).astype(int).tolist()
    return Closeup(x0, y0, max(x1 - x0, 1), max(y1 - y0, 1))
