"""Where things went between two pictures: dense optical flow, smoothed, with its reliability."""

from __future__ import annotations

from typing import Any

import numpy as np

from stylegan2.arrays import Array, Float32Array

_LARGEST = 512
"""Side in pixels up to which flow is searched; larger pictures are searched at this side."""
# Shares of the picture's side.
_SMOOTHING = 0.008
_WIDE_SMOOTHING = 0.032
# Forward and backward flow agree when they miss by less than this many of the smallest details,
# plus this share of the way.
_TOLERANCE = 0.35
_TOLERANCE_OF_WAY = 0.1

_SMALLEST = 256
"""Side in pixels to which smaller pictures are enlarged before flow is searched."""

_TEXTURED = 6.0
"""Grey levels per pixel of the picture: where brightness is this steep, flow counts half."""

_TEXTURE_REACH = 1.5
"""In pixels of the picture, how far around texture counts."""


def backward_flow(
    before: Float32Array, after: Float32Array, detail: float
) -> tuple[Float32Array, Float32Array]:
    """Say for every pixel of after where it was in before.

    before, after: float32 [h, w, 3], 0 to 255. detail: size of the smallest details, in pixels (how
    many times the pictures were enlarged). Gives the way back, float32 [h, w, 2], xy in pixels, and
    how reliable it is, float32 [h, w], 0 to 1.

    Dense inverse search (Kroeger et al. 2016, arXiv:1603.03590) both ways, checked forward against
    backward and averaged over the neighbourhood, where it is reliable more than where it is not.
    """
    whole = before.shape[:2]
    n = max(whole)
    if n > _LARGEST:
        shrink = _LARGEST / n
        small = fitted(whole, _LARGEST)
        way, sure = backward_flow(
            _resized(before, small), _resized(after, small), max(1.0, detail * shrink)
        )
        return _resized(way, whole) / np.float32(shrink), _resized(sure, whole)
    back, missed = _both_ways(_grey(before), _grey(after))
    tolerance = _TOLERANCE * detail + _TOLERANCE_OF_WAY * np.linalg.norm(back, axis=2)
    sure = np.exp(-((missed / tolerance) ** 2)).astype(np.float32)
    near = _averaged(back, sure, _SMOOTHING * n)
    wide = _averaged(back, sure, _WIDE_SMOOTHING * n)
    trust = np.clip(2 * blurred(sure, _SMOOTHING * n), 0, 1)[..., None]
    way = (near * trust + wide * (1 - trust)).astype(np.float32)
    return way, blurred(sure, _SMOOTHING * n / 2)


def moved(image: Array, way: Array) -> Float32Array:
    """Take every pixel of float32 [h, w, C] from where way [h, w, 2] (xy, pixels) points to."""
    import cv2

    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
    return np.asarray(
        cv2.remap(
            image,
            x + way[..., 0],
            y + way[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def blurred(field: Array, sigma: float) -> Float32Array:
    """Blur float32 [h, w] or [h, w, C]; by a large sigma (pixels) on a smaller grid, for speed."""
    import cv2

    whole = field.shape[:2]
    shrink = max(1, int(sigma / 4))
    if shrink == 1:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    side = -(-max(whole) // shrink)
    resized = _resized(field, fitted(whole, side))
    small = cv2.GaussianBlur(resized, (0, 0), sigma * side / max(whole))
    return _resized(np.asarray(small, np.float32), whole)


def fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return height and width of a picture [h, w, ...] once its longer side is `side`."""
    height, width = shape[:2]
    longer = max(height, width)
    return max(round(height * side / longer), 1), max(round(width * side / longer), 1)


def _resized(field: Float32Array, shape: tuple[int, ...]) -> Float32Array:
    import cv2

    shrinking = max(shape) < max(field.shape[:2])
    way = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(field, shape[::-1], interpolation=way), np.float32)


def enlarged(picture: Array, shape: tuple[int, int]) -> Float32Array:
    """Bring a picture [h, w, 3] to height and width of shape."""
    import cv2

    large = cv2.resize(picture.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.float32)


def _grey(image: Float32Array) -> Array:
    import cv2

    pixels = image.clip(0, 255).round().astype(np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def _averaged(values: Array, weight: Float32Array, sigma: float) -> Float32Array:
    """Average over a Gaussian neighbourhood, weighted."""
    weight = weight + np.float32(1e-3)
    total = blurred(values * weight[..., None], sigma)
    return np.asarray(total / blurred(weight, sigma)[..., None], np.float32)


def weighted_flow(before: Array, after: Array) -> tuple[Float32Array, Float32Array]:
    """Measure where things of after were in before, and how far each measurement is to be believed.

    before, after: uint8 [H, W, 3]. Gives the way back, float32 [h, w, 2], xy in shares of the
    longer side, and its weight, float32 [h, w], 0 to 1: how well flow there and back agree, times
    how much texture there is to hold on to.
    """
    import cv2

    longer = max(before.shape[:2])
    side = min(max(longer, _SMALLEST), _LARGEST)
    detail = side / longer
    shape = fitted(before.shape, side)
    grey_before, grey_after = (_grey(enlarged(picture, shape)) for picture in (before, after))
    back, missed = _both_ways(grey_before, grey_after)
    tolerance = _TOLERANCE * detail + _TOLERANCE_OF_WAY * np.linalg.norm(back, axis=2)
    sure = np.exp(-((missed / tolerance) ** 2))

    brightness = grey_after.astype(np.float32)
    across, down = (
        cv2.Sobel(brightness, cv2.CV_32F, *order, scale=detail / 8) for order in ((1, 0), (0, 1))
    )
    steep = cv2.GaussianBlur(across**2 + down**2, (0, 0), _TEXTURE_REACH * detail)
    weight = sure * steep / (steep + _TEXTURED**2)
    return (back / np.float32(side)).astype(np.float32), weight.astype(np.float32)


def searched(here: Array, there: Array) -> Float32Array:
    """Measure where things of here are there: [H, W, 2] xy, in pixels, of grey uint8 [H, W].

    By dense inverse search (Kroeger et al., 2016).
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    unset: Any = None
    return np.asarray(search.calc(here, there, unset), np.float32)


def _both_ways(before: Array, after: Array) -> tuple[Array, Array]:
    """Return the way back from after to before, and by how much it misses coming back: pixels."""
    back, forth = searched(after, before), searched(before, after)
    return back, np.linalg.norm(back + moved(forth, back), axis=2)
