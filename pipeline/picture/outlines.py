"""Parts of a picture: what lies around points or within a line through them, read elsewhere."""

from __future__ import annotations

import numpy as np

from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image

_SHIFT = 4
"""Bits of the fractions of pixels at which OpenCV fills."""


def bounds_of(
    points: Float64Array, margin: float, shape: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return the corners, xy, of what lies around points [P, 2] in a picture; None: nothing."""
    height, width = shape
    x0, y0 = np.floor(points.min(axis=0) - margin).astype(int).clip(0).tolist()
    x1, y1 = np.ceil(points.max(axis=0) + margin).astype(int).clip(None, (width, height)).tolist()
    return None if x1 - x0 < 2 or y1 - y0 < 2 else ((x0, y0), (x1, y1))


def filled(shape: tuple[int, int], outline: Float64Array, *, smooth: bool = True) -> Float32Array:
    """Fill a closed curve through points [P, 2], Catmull-Rom where smooth: [h, w], 0 to 1."""
    import cv2

    before, after = np.roll(outline, 1, axis=0), np.roll(outline, -1, axis=0)
    beyond = np.roll(outline, -2, axis=0)
    t = np.linspace(0, 1, 8 if smooth else 1, endpoint=False)[:, None, None]
    curve = 0.5 * (
        2 * outline
        + (after - before) * t
        + (2 * before - 5 * outline + 4 * after - beyond) * t**2
        + (3 * outline - before - 3 * after + beyond) * t**3
    )
    whole = curve.transpose(1, 0, 2).reshape(-1, 2)
    filled = np.zeros(shape, np.uint8)
    fixed = np.rint(whole * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(filled, [fixed], (255.0,), lineType=cv2.LINE_AA, shift=_SHIFT)
    return np.asarray(filled / 255, np.float32)


def filled_hull(shape: tuple[int, int], points: Array, around: int = 0) -> BoolImage:
    """Return the pixels [h, w] of the convex hull of points [P, 2], and so many around it."""
    import cv2

    hull = cv2.convexHull(points.astype(np.float32))
    inside = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint(hull).astype(np.int32), (1.0,))
    reach = 2 * around + 1
    return np.asarray(cv2.dilate(inside, np.ones((reach, reach), np.uint8))) > 0


def maps_of(places: Array) -> tuple[Float32Array, Float32Array]:
    """Return places [..., 2], xy, as OpenCV wants them."""
    places = places.astype(np.float32)
    return np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])


def read_at(pixels: UInt8Image, places: Float64Array) -> Float32Array:
    """Read a picture, uint8 [H, W, 3], at places [h, w, 2], bicubically: [h, w, 3].

    Only what is asked for is handed over: OpenCV reads no picture above 32767 pixels a side.
    """
    import cv2

    (x0, y0), (x1, y1) = bounds_of(places.reshape(-1, 2), 4, pixels.shape[:2]) or (
        (0, 0),
        pixels.shape[1::-1],
    )
    part = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    maps = maps_of(places - (x0, y0))
    found = cv2.remap(part, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def distance_to(line: Float64Array, place: Float64Array | tuple[float, float]) -> float:
    """Return how far a place is from a line through points [P, 2]."""
    start, way = line[:-1], np.diff(line, axis=0)
    share = (((place - start) * way).sum(axis=1) / (way * way).sum(axis=1).clip(1e-9)).clip(0, 1)
    return float(np.hypot(*(start + share[:, None] * way - place).T).min())


def laid_over(
    picture: UInt8Image, corner: tuple[int, int], part: Array, share: Array
) -> UInt8Image:
    """Return a picture, uint8 [H, W, 3], with a part [h, w, 3] over it where share [h, w] says.

    corner is where the part's first pixel goes, xy.
    """
    (x, y), (height, width) = corner, share.shape
    result: UInt8Image = picture.copy()
    own = result[y : y + height, x : x + width].astype(np.float32)
    mixed = own + (part - own) * share[..., None]
    result[y : y + height, x : x + width] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return result
