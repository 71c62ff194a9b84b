"""A whole photo, moved by a field."""

from __future__ import annotations

import numpy as np

from inversion.faces.alignment import aligned_to_photo, photo_to_aligned
from pipeline.picture.motion import Motion, region_of
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image

TILE_ROWS = 256
"""Rows of the photo that are moved at a time."""

STILL = 1e-3
"""In photo pixels: what moves by less stays as it is, bit by bit."""


def warp(pixels: UInt8Image, quad: Float64Array, motion: Motion) -> UInt8Image:
    """Move a photo's own pixels: uint8 [H, W, 3] as pixels.

    pixels: uint8 [H, W, 3], the upright photo. quad: [4, 2] as in AlignedFace: the crop around
    which the motion is given. Outside its region, and where nothing moves, every pixel stays as
    it was, bit by bit.
    """
    import cv2  # large; only an edit needs it

    n = len(motion.way)
    quad = region_of(np.asarray(quad, np.float64))
    to_photo, to_grid = aligned_to_photo(quad, n), photo_to_aligned(quad, n)
    way = motion.way @ (to_photo[:2, :2] * n).T.astype(np.float32)
    height, width = pixels.shape[:2]
    result: UInt8Image = pixels.copy()
    x0, y0, x1, y1 = _touched(np.abs(way).max(axis=2) > STILL, to_photo, (height, width))
    columns = np.arange(x0, x1, dtype=np.float32)[None, :]
    ways = [np.ascontiguousarray(way[..., axis]) for axis in (0, 1)]
    for top in range(y0, y1, TILE_ROWS):
        bottom = min(top + TILE_ROWS, y1)
        from_tile = to_grid[:2].copy()
        from_tile[:, 2] += from_tile[:, :2] @ (x0, top)
        across, down = (_laid_out(each, from_tile, (x1 - x0, bottom - top)) for each in ways)
        moves = (np.maximum(np.abs(across), np.abs(down)) > STILL).view(np.uint8)
        if not moves.any():
            continue
        across += columns
        down += np.arange(top, bottom, dtype=np.float32)[:, None]
        # Only what is asked for is handed over: OpenCV's remap takes no picture above 32767 pixels.
        left, above = max(0, int(across.min()) - 4), max(0, int(down.min()) - 4)
        around = pixels[above : int(down.max()) + 6, left : int(across.max()) + 6]
        across -= left
        down -= above
        moved = cv2.remap(
            np.ascontiguousarray(around),
            across,
            down,
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        tile = result[top:bottom, x0:x1]
        cv2.copyTo(moved, moves, tile)
    return result


def _laid_out(way: Float32Array, from_tile: Array, size: tuple[int, int]) -> Float32Array:
    """Return a part of the way [n, n] for every pixel of a tile of (width, height)."""
    import cv2

    sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(way, from_tile, size, flags=sampling, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(laid, np.float32)


def _touched(
    moving: BoolImage, to_photo: Array, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the part of the photo, (x0, y0, x1, y1), outside which nothing moves."""
    rows, columns = np.flatnonzero(moving.any(axis=1)), np.flatnonzero(moving.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    across, down = (columns[0] - 1, columns[-1] + 1), (rows[0] - 1, rows[-1] + 1)
    corners = np.array([[x, y, 1.0] for x in across for y in down]) @ to_photo.T
    low = np.maximum(np.floor(corners[:, :2].min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners[:, :2].max(axis=0)) + 1, size[::-1]).astype(int)
    high = np.maximum(high, low)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
