"""The inside of a mouth that was closed: the one thing that the photo does not have.

The generator's teeth and shadow go between the photo's own lips, in the photo's light. The edge is
the lips' inner line; nothing else of the generator's picture gets into the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inversion.faces.alignment import aligned_to_photo, photo_to_aligned, placed
from pipeline.picture.mouth import MOUTH
from pipeline.picture.outlines import bounds_of, filled, laid_over, maps_of
from stylegan2.arrays import Float32Array, Float64Array, UInt8Image

REACH = 0.35
"""How far a point of the mouth pulls the generator's mouth into shape, by the crop's side."""

CRISPNESS, DETAIL = 1.2, 1.3
"""The generator's picture is soft: how much of its details is added; their size in its pixels."""

AROUND = 0.06
"""Skin and lips are compared this far around the mouth, by the crop's side."""

LIGHT = 0.8
"""How much of the difference in light is made good, as an exponent: teeth follow skin less."""

LEAST_LIGHT, MOST_LIGHT = 0.4, 1.6
EDGE = 0.35
"""Softness of the edge, in pixels of the generator's picture."""

_OUTER = [MOUTH.index(i) for i in range(48, 60)]
_INNER = [MOUTH.index(i) for i in range(60, 68)]


@dataclass(frozen=True)
class FreshMouth:
    """A generator's picture uint8 [R, R, 3], its mouth's points, and where those are to be.

    drawn and ends: [20, 2] in the order of `MOUTH`, in pixels of the crop.
    """

    picture: UInt8Image
    drawn: Float64Array
    ends: Float64Array

    @property
    def size(self) -> int:
        """Side of the crop."""
        return len(self.picture)

    def put(self, pixels: UInt8Image, moved: UInt8Image, quad: Float64Array) -> UInt8Image:
        """Put the mouth into a photo that moved; what it was before says nothing of its inside."""
        return with_mouth(moved, quad, self)


def with_mouth(moved: UInt8Image, quad: Float64Array, mouth: FreshMouth) -> UInt8Image:
    """Put the inside of a mouth between the lips of a photo that moved, uint8 [H, W, 3].

    quad: [4, 2] as in AlignedFace.
    """
    import cv2  # large; only an edit needs it

    size = len(mouth.picture)
    to_photo, to_crop = aligned_to_photo(quad, size), photo_to_aligned(quad, size)
    scale = float(np.sqrt(abs(np.linalg.det(to_photo[:2, :2]))))
    ends = placed(to_photo, mouth.ends)
    box = bounds_of(ends, 1.5 * AROUND * size * scale, moved.shape[:2])
    if box is None:
        return moved
    (x0, y0), (x1, y1) = box
    origin = np.array([x0, y0])
    shape = (int(y1 - y0), int(x1 - x0))
    inner, outer = (filled(shape, ends[ids] - origin) for ids in (_INNER, _OUTER))
    inside = cv2.GaussianBlur(inner, (0, 0), max(EDGE * scale, 0.3))

    x, y = np.meshgrid(np.arange(x0, x1), np.arange(y0, y1))
    places = placed(to_crop, np.stack([x, y], axis=-1))
    sources = _sources(mouth, size)
    from_crop = cv2.remap(sources, *maps_of(places), cv2.INTER_LINEAR)
    picture = mouth.picture.astype(np.float32)
    crisp = picture + CRISPNESS * (picture - cv2.GaussianBlur(picture, (0, 0), DETAIL))
    fresh = cv2.remap(crisp, *maps_of(from_crop), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    own = moved[y0:y1, x0:x1].astype(np.float32)
    reach = 2 * round(AROUND * size * scale / 2) + 1
    nearby = cv2.dilate(outer, np.ones((reach, reach), np.uint8)) > 0.5
    skin = nearby & (inside < 0.02)
    if skin.any():
        light = np.median(own[skin], axis=0) / np.maximum(np.median(fresh[skin], axis=0), 8)
        fresh = fresh * (light**LIGHT).clip(LEAST_LIGHT, MOST_LIGHT)
    return laid_over(moved, (x0, y0), fresh, inside)


def _sources(mouth: FreshMouth, size: int) -> Float32Array:
    """Say for every pixel of the crop where in the picture its content is: [R, R, 2]."""
    ways = mouth.drawn - mouth.ends
    mean = ways.mean(axis=0)

    def kernel(distance: Float64Array) -> Float64Array:
        near = np.clip(1 - distance / (REACH * size), 0, None)
        bell: Float64Array = near**4 * (4 * distance / (REACH * size) + 1)
        return bell

    apart = np.linalg.norm(mouth.ends[:, None] - mouth.ends, axis=2)
    # A little less than exact: points of different lips may nearly meet.
    shares = np.linalg.solve(kernel(apart) + 0.01 * np.eye(len(ways)), ways - mean)
    y, x = np.mgrid[0:size, 0:size]
    grid = np.stack([x, y], axis=-1).astype(np.float64)
    sources = grid + mean
    for end, share in zip(mouth.ends, shares, strict=True):
        sources += kernel(np.linalg.norm(grid - end, axis=2))[..., None] * share
    return np.asarray(sources, np.float32)
