"""The inside of an open mouth that opens further, or shuts: teeth stay as they are.

Moved with the lips alone, teeth are drawn out or squeezed as the mouth is. Upper teeth do not move
when a jaw does: they stay with the upper lip, in the photo's own pixels; the lower lip uncovers
the dark of a mouth below them, in the colour of the photo's lips, or covers them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inversion.faces.alignment import aligned_to_photo, placed
from pipeline.picture.mouth import MOUTH
from pipeline.picture.outlines import bounds_of, filled, laid_over, maps_of, read_at
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import BoolImage, Float64Array, UInt8Image
from stylegan2.sizes import Size, sides

HARDLY = 1.05
"""An opening that grows or shrinks by less than this factor is left to the field."""

DARK, TONGUE = 0.2, 0.5
"""Brightness behind the teeth, and above the lower lip, as shares of the lips'."""

AROUND = 0.12
"""Where a mouth opens nothing can be compared this far around, by its width."""

LIPS = 0.015
"""So near to the lower lip, by the mouth's width, it may be lip: it doesn't stay with the teeth."""

EDGE = 0.006
"""Softness of edges, by the mouth's width."""

_UPPER = [MOUTH.index(i) for i in (60, 61, 62, 63, 64)]
_LOWER = [MOUTH.index(i) for i in (60, 67, 66, 65, 64)]
_INNER = [MOUTH.index(i) for i in range(60, 68)]
_LOWER_LIP = [MOUTH.index(i) for i in (48, 59, 58, 57, 56, 55, 54, 64, 65, 66, 67, 60)]


@dataclass(frozen=True)
class InnerMouth:
    """Where a mouth's points were and where they are to be: [20, 2] in the order of `MOUTH`.

    In pixels of a crop of that size.
    """

    size: Size
    starts: Float64Array
    ends: Float64Array

    @property
    def wider(self) -> float:
        """By what factor the gap between the lips grows."""
        before, after = (_gap(points) for points in (self.starts, self.ends))
        return after / max(before, 1e-6)

    @property
    def stays(self) -> bool:
        """Whether the gap is as good as it was."""
        return 1 / HARDLY < self.wider < HARDLY

    def new(self) -> BoolImage:
        """Say where the crop is not to be compared with the photo: bool, of its size."""
        import cv2

        shape = sides(self.size)
        if self.stays:
            return np.zeros(shape, np.bool_)
        width = np.linalg.norm(self.ends[_UPPER[-1]] - self.ends[_UPPER[0]])
        around = 2 * round(float(AROUND * width)) + 1
        inside = cv2.dilate(filled(shape, self.ends[_INNER]), np.ones((around, around), np.uint8))
        return np.asarray(inside) > 0.5

    def put(self, pixels: UInt8Image, moved: UInt8Image, quad: Float64Array) -> UInt8Image:
        """Put the inside into a photo that moved, both uint8 [H, W, 3]; quad as in AlignedFace."""
        import cv2  # large; only an edit needs it

        if self.stays:
            return moved
        to_photo = aligned_to_photo(quad, self.size)
        starts, ends = placed(to_photo, self.starts), placed(to_photo, self.ends)
        width = float(np.linalg.norm(ends[_UPPER[-1]] - ends[_UPPER[0]]))
        box = bounds_of(np.concatenate([starts, ends]), 0.2 * width, moved.shape[:2])
        if box is None:
            return moved
        (x0, y0), (x1, y1) = box
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float64)
        places = np.stack([x, y], axis=-1)
        across = (ends[_UPPER[-1]] - ends[_UPPER[0]]) / width
        down = np.array([-across[1], across[0]])
        along = places @ across

        def level(points: Float64Array) -> Float64Array:
            """Return how far down a line through points is, where every place is across."""
            level_there: Float64Array = np.interp(along, points @ across, points @ down)
            return level_there

        stay = ends[_UPPER] - starts[_UPPER]
        held = np.stack([np.interp(along, ends[_UPPER] @ across, stay[:, k]) for k in (0, 1)], -1)
        soft = max(EDGE * width, 0.5)
        shape, corner = (y1 - y0, x1 - x0), np.array([x0, y0])
        teeth = cv2.GaussianBlur(filled(shape, starts[_INNER] - corner), (0, 0), soft)
        teeth = cv2.remap(teeth, *maps_of(places - held - corner), cv2.INTER_LINEAR)
        own = read_at(pixels, places - held)
        edge = level(starts[_LOWER] + stay)
        above = np.clip((edge - places @ down - LIPS * width) / soft + 0.5, 0, 1)
        deep = (places @ down - edge) / np.maximum(level(ends[_LOWER]) - edge, 1)
        shade = DARK + (TONGUE - DARK) * smoothstep((deep - 0.3) / 0.7)
        behind = _colour_of_lips(pixels, starts) * shade[..., None]
        kept = np.clip(2 * teeth - 1, 0, 1) * above
        inside = behind + (own - behind) * kept[..., None]
        mask = cv2.GaussianBlur(filled(shape, ends[_INNER] - corner), (0, 0), soft)
        return laid_over(moved, (x0, y0), inside, mask)


def _colour_of_lips(pixels: UInt8Image, points: Float64Array) -> Float64Array:
    """Return the lower lip's colour [3], or that of what is there where it is too small."""
    (x0, y0), (x1, y1) = bounds_of(points, 1, pixels.shape[:2]) or ((0, 0), pixels.shape[1::-1])
    lip = filled((y1 - y0, x1 - x0), points[_LOWER_LIP] - (x0, y0), smooth=False) > 0.5
    part = pixels[y0:y1, x0:x1]
    colour: Float64Array = np.median(part[lip] if lip.any() else part.reshape(-1, 3), axis=0)
    return colour


def _gap(points: Float64Array) -> float:
    return float(np.linalg.norm(points[_UPPER[1:-1]] - points[_LOWER[1:-1]], axis=1).mean())
