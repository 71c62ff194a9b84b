"""Eyes in their own measures, and the iris in each: the darkest disc between the lids.

Places in an eye are (along, down) from the middle between its corners, in eye widths. The score of
a disc is after Daugman's integro-differential operator (1993): how much darker it is than the ring
around it, of both what lies between the lids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inversion.faces.shape68 import EYE_LEFT, EYE_RIGHT, Points, axes_between
from stylegan2.arrays import Array, BoolImage, Float64Array, UInt8Image

RADII = (0.18, 0.2, 0.22, 0.24)
"""Of irises that are looked for, in eye widths."""

ASIDE, ABOVE = 0.24, 0.12
"""How far from the middle of the eye, and of its opening, an iris is looked for."""

LEAST = 30.0
"""An iris is at least so much darker than what is around it, of 255. It takes 35 of 40 portraits;
a face mesh sees their irises .01 of an eye width farther along (median), .10 at most, and in three
of the five others it is elsewhere: small eyes, and glasses that mirror."""

_SIDE, _HALF = 96, 0.7
"""Side of the picture of an eye that is searched, and what it shows, in eye widths each way."""


@dataclass(frozen=True)
class Eye:
    """An eye: its six landmarks [6, 2], the iris's centre (x, y) and radius, in pixels."""

    landmarks: Float64Array
    iris: tuple[float, float]
    radius: float

    @property
    def width(self) -> float:
        """Distance of the corners."""
        return float(np.hypot(*(self.landmarks[3] - self.landmarks[0])))

    @property
    def place(self) -> tuple[float, float]:
        """Where the iris is in the eye."""
        along, down = within(self.landmarks, np.array(self.iris)).tolist()
        return along, down

    @property
    def opening(self) -> float:
        """The gap between the lids in the middle, in eye widths."""
        upper, lower = lids(self.landmarks, np.zeros(1))
        return float((lower - upper)[0])


def within(landmarks: Float64Array, places: Float64Array) -> Float64Array:
    """Bring places [..., 2] of the picture into an eye with these six landmarks."""
    axes, width = eye_axes(landmarks)
    found: Float64Array = (places - landmarks[[0, 3]].mean(axis=0)) @ axes.T / width
    return found


def eye_axes(landmarks: Float64Array) -> tuple[Float64Array, float]:
    """Return an eye's unit vectors, along and down, and its width in the picture."""
    along, down, width = axes_between(landmarks[0], landmarks[3])
    return np.stack([along, down]), width


def lids(landmarks: Float64Array, along: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return how far down the upper and the lower lid are at places along an eye, -.5 to .5."""
    x, y = within(landmarks, landmarks).T

    def arc(inner: list[int]) -> Float64Array:
        bow = (x[inner] + 0.5) * (0.5 - x[inner])
        shape = np.linalg.lstsq(np.stack([bow, bow * x[inner]], axis=1), y[inner], rcond=None)[0]
        found: Float64Array = (along + 0.5) * (0.5 - along) * (shape[0] + shape[1] * along)
        return found

    return arc([1, 2]), arc([5, 4])


def find_irises(pixels: UInt8Image, face: Points) -> tuple[Eye, Eye] | None:
    """Find both irises of a face [68, 2] in a picture [H, W, 3]; None where one is not seen."""
    marks = np.asarray(face, np.float64)
    left, right = (_found(pixels, marks[list(eye)]) for eye in (EYE_LEFT, EYE_RIGHT))
    return None if left is None or right is None else (left, right)


def _found(pixels: UInt8Image, landmarks: Float64Array) -> Eye | None:
    import cv2

    axes, width = eye_axes(landmarks)
    steps = (np.arange(_SIDE) + 0.5) / _SIDE * 2 * _HALF - _HALF
    along, down = np.meshgrid(steps, steps)
    places = landmarks[[0, 3]].mean(axis=0) + width * np.stack([along, down], axis=-1) @ axes
    x, y = places.astype(np.float32).transpose(2, 0, 1)
    # Irises are dark in red, blue ones too.
    shown = cv2.remap(np.ascontiguousarray(pixels[..., 0]), x, y, cv2.INTER_LINEAR)
    red = cv2.GaussianBlur(shown, (0, 0), 1.0).astype(np.float32)
    upper, lower = lids(landmarks, along.clip(-0.5, 0.5))
    between = (down > upper + 0.01) & (down < lower - 0.01) & (np.abs(along) < 0.46)
    middle = float(sum(each[0] for each in lids(landmarks, np.zeros(1)))) / 2
    possible = (np.abs(along) <= ASIDE) & (np.abs(down - middle) <= ABOVE)
    best = -np.inf, (0.0, 0.0), 0.0
    for radius in RADII:
        score = _scores(red, between.astype(np.float32), radius)
        score = np.where(possible, score - 12.5 * ((down - middle) / ABOVE) ** 2, -np.inf)
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        if score[row, column] > best[0]:
            iris_x, iris_y = places[row, column].tolist()
            best = float(score[row, column]), (iris_x, iris_y), radius * width
    return Eye(landmarks, *best[1:]) if best[0] >= LEAST else None


def _scores(red: Array, between: Array, radius: float) -> Float64Array:
    """Return for every centre [N, N] how much darker a disc there is than the ring around it."""
    import cv2

    cell = 2 * _HALF / _SIDE
    reach = int(np.ceil(1.5 * radius / cell))
    apart = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * cell

    def added(values: Array, where: BoolImage) -> Float64Array:
        kernel = where.astype(np.float32)
        return np.asarray(
            cv2.filter2D(values, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT), np.float64
        )

    disc, ring = apart < 0.9 * radius, (apart > 1.08 * radius) & (apart < 1.5 * radius)
    inside, around = added(between, disc), added(between, ring)
    dark = added(red * between, disc) / inside.clip(1)
    spread = np.sqrt((added(red**2 * between, disc) / inside.clip(1) - dark**2).clip(0))
    light = added(red * between, ring) / around.clip(1)
    seen = (inside >= 40) & (around >= 25)
    scores: Float64Array = np.where(seen, light - dark - spread / 2, -np.inf)
    return scores
