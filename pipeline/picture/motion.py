"""How a photo moves: one field that says for every place where its pixels come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stylegan2.arrays import Array, Float32Array, Float64Array
from stylegan2.sizes import Size, longer_side, sides

REGION = 1.25
"""Side of the square that may move, in longer sides of the crop around whose centre it lies: chins
and hair go on beyond the crop."""

ROUNDS_FORTH = 24
"""A field says where things come from; where they go is found in so many half steps."""


@dataclass(frozen=True)
class Motion:
    """Where the pixels of every place come from.

    way: float32 [n, n, 2], xy in shares of the region's side, on a grid whose cells fill the
    region; zero along its border.
    """

    way: Float32Array

    def areas(self) -> Float32Array:
        """Return [n, n]: by what the area around a place was multiplied where it comes from.

        Below 0 the field folds over; near 0 a few pixels are drawn out.
        """
        n = len(self.way)
        across, down = np.gradient(self.way, 1 / n, axis=1), np.gradient(self.way, 1 / n, axis=0)
        areas = (1 + across[..., 0]) * (1 + down[..., 1]) - across[..., 1] * down[..., 0]
        return np.asarray(areas, np.float32)

    def at(self, places: Float64Array, size: Size) -> Float64Array:
        """Read the ways [P, 2] at places of the crop, in pixels of the crop, of that size."""
        on_grid = in_region(places, size, len(self.way))
        return read_field(self.way, on_grid) * (REGION * longer_side(size))

    def goes(self, places: Float64Array, size: Size) -> Float64Array:
        """Return where what is at places [P, 2] of the crop ends, both in pixels of the crop."""
        ends: Float64Array = places.copy()
        for _ in range(ROUNDS_FORTH):
            ends += (places - ends - self.at(ends, size)) / 2
        return ends

    def on(self, n: int) -> Motion:
        """Return the same on a grid of another side."""
        import cv2

        if n == len(self.way):
            return self
        shrinking = n < len(self.way)
        fitting = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        return Motion(np.asarray(cv2.resize(self.way, (n, n), interpolation=fitting), np.float32))

    def after(self, first: Motion) -> Motion:
        """Return the motion that does what another one and then this one do, in one go."""
        import cv2  # large; only an edit needs it

        n = len(self.way)
        y, x = np.mgrid[0:n, 0:n].astype(np.float32)
        from_x, from_y = x + self.way[..., 0] * n, y + self.way[..., 1] * n
        went = cv2.remap(
            first.way, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return Motion(self.way + np.asarray(went, np.float32))


def region_of(quad: Float64Array) -> Float64Array:
    """Return the corners [4, 2] of the region that may move, for those of a crop."""
    top_left, bottom_left, _, top_right = quad
    across, down = top_right - top_left, bottom_left - top_left
    side = REGION * max(np.hypot(*across), np.hypot(*down))
    across, down = (each * (side / 2 / np.hypot(*each)) for each in (across, down))
    centre = quad.mean(axis=0)
    corners = [-across - down, down - across, across + down, across - down]
    return np.stack([centre + corner for corner in corners])


def in_region(places: Float64Array, size: Size, n: int) -> Float64Array:
    """Bring places [..., 2] of a crop of that size to a grid over the region, n x n: both xy."""
    height, width = sides(size)
    middle = np.array([width, height]) / 2
    shares = (places + 0.5 - middle) / (REGION * longer_side(size))
    on_grid: Float64Array = (shares + 0.5) * n - 0.5
    return on_grid


def places_of_region(n: int, size: Size) -> Float64Array:
    """Return where the cells of an n x n grid over the region lie: [n * n, 2], crop's pixels."""
    height, width = sides(size)
    y, x = np.mgrid[0:n, 0:n]
    shares = (np.column_stack([x.ravel(), y.ravel()]) + 0.5) / n - 0.5
    places: Float64Array = shares * (REGION * longer_side(size)) + np.array([width, height]) / 2
    return places - 0.5


def over_region(field: Array) -> Array:
    """Lay a field over the crop [h, w, ...] out over the region: zeros around it."""
    height, width = field.shape[:2]
    longer = max(height, width)
    side = longer + 2 * round((REGION - 1) / 2 * longer)
    top, left = (side - height) // 2, (side - width) // 2
    padding = [(top, side - height - top), (left, side - width - left)]
    return np.pad(field, padding + [(0, 0)] * (field.ndim - 2))


def read_field(field: Array, places: Float64Array) -> Float64Array:
    """Read [n, n, C] at places [P, 2], xy, bilinearly: [P, C]."""
    n = len(field)
    x, y = np.clip(places, 0, n - 1.001).T
    left, top = x.astype(int), y.astype(int)
    right, down = (x - left)[:, None], (y - top)[:, None]
    upper = field[top, left] * (1 - right) + field[top, left + 1] * right
    lower = field[top + 1, left] * (1 - right) + field[top + 1, left + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float64)
