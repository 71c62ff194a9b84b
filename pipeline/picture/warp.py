"""A whole photo, moved by a field."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np

from inversion.faces.alignment import aligned_to_photo, photo_to_aligned
from pipeline.picture.motion import Motion, region_of
from stylegan2.arrays import Array, BoolImage, Float32Array, Float64Array, UInt8Image

TILE = 256, 512
"""Rows and columns of the photo that are moved at a time."""

AT_ONCE = 4
"""Parts that are moved at the same time, where there are as many cores."""

STILL = 0.02
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
    ways = [np.ascontiguousarray(way[..., axis]) for axis in (0, 1)]

    def move(top: int, start: int) -> None:
        """Move the tile from there on; no two do the same one."""
        bottom, end = min(top + TILE[0], y1), min(start + TILE[1], x1)
        from_tile = to_grid[:2].copy()
        from_tile[:, 2] += from_tile[:, :2] @ (start, top)
        across, down = (_laid_out(each, from_tile, (end - start, bottom - top)) for each in ways)
        moves = (np.maximum(np.abs(across), np.abs(down)) > STILL).view(np.uint8)
        if not moves.any():
            return
        across += np.arange(start, end, dtype=np.float32)
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
        cv2.copyTo(moved, moves, result[top:bottom, start:end])

    # Numpy and OpenCV let go of the interpreter while they work.
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as workers:
        rows, columns = range(y0, y1, TILE[0]), range(x0, x1, TILE[1])
        for done in [workers.submit(move, *tile) for tile in product(rows, columns)]:
            done.result()
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
