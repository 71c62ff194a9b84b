"""Eyes that look elsewhere: each iris moves in its eye, and the photo's own pixels with it.

To the side an iris goes between lids that stay: what lies at some share of the way from lid to
lid stays at that share, and the white is drawn out on one side and pressed together on the other.
Upwards and downwards lids go along, as they do. A warp of eyes for their gaze is DeepWarp's (Ganin
et al., 2016, arXiv 1607.07215), who learn the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from inversion.faces.irises import Eye, eye_axes, lids, within
from pipeline.picture.brush import FADE, FINE, fading
from pipeline.picture.motion import REGION, Motion
from pipeline.picture.smoothstep import smoothstep
from stylegan2.arrays import BoolImage, Float64Array
from stylegan2.sizes import Size, longer_side, sides

UPPER_LID, LOWER_LID = 0.75, 0.3
"""How much of an iris's way up or down the lids go."""

ABOVE, BELOW = 0.3, 0.25
"""What is so far from the lids stays when they move, in eye widths."""

BESIDE = 0.14
"""Skin this far from the lids goes along with what goes to the side, less and less."""

_KINK, _LEAST = 0.03, 0.02
_BLUR = 0.6
"""Of the field, in cells of its grid, so that lids do not tear."""


@dataclass(frozen=True)
class Gaze:
    """How far irises go to the right of the picture, and up, in eye widths."""

    eyes: tuple[Eye, ...]
    across: float
    up: float

    def motion(
        self,
        size: Size,
        share: float = 1.0,
        n: int = FINE,
        movable_mask: BoolImage | None = None,
    ) -> Motion:
        """Return the motion of a crop of that size, after that share of the way, on a grid n x n.

        It comes before anything else that moves the photo. movable_mask: bool [H, W], True where
        the photo may change.
        """
        import cv2  # large; only an edit needs it

        height, width = sides(size)
        side = REGION * longer_side(size)
        steps = ((np.arange(n) + 0.5) / n - 0.5) * side
        places = np.stack(np.meshgrid(steps, steps), axis=-1)
        places += (np.array([width, height]) - 1) / 2
        way = np.zeros((n, n, 2))
        for eye in self.eyes:
            axes, length = eye_axes(eye.landmarks)
            local = within(eye.landmarks, places)
            near = (np.abs(local) < (0.5, 0.8)).all(axis=-1)
            ways = _ways(eye, local[near], share * self.across, share * self.up)
            way[near] += ways @ axes * (length / side)
        soft = np.asarray(cv2.GaussianBlur(way.astype(np.float32), (0, 0), _BLUR))
        if movable_mask is not None:
            soft = soft * fading(n, movable_mask, FADE)[..., None]
        return Motion(soft.astype(np.float32))

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` understands."""
        eyes = [
            {
                "landmarks": eye.landmarks.round(3).tolist(),
                "iris": [round(value, 3) for value in eye.iris],
                "radius": round(eye.radius, 3),
            }
            for eye in self.eyes
        ]
        return {"eyes": eyes, "across": self.across, "up": self.up}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Gaze:
        """Read what `to_json` wrote."""
        eyes = tuple(
            Eye(np.array(each["landmarks"], np.float64), tuple(each["iris"]), each["radius"])
            for each in plain["eyes"]
        )
        return cls(eyes, plain["across"], plain["up"])


def _ways(eye: Eye, places: Float64Array, across: float, up: float) -> Float64Array:
    """Return [P, 2]: from places in an eye, along and down, to where their content comes from."""
    along, down = places.T
    middle, _ = eye.place
    radius = eye.radius / eye.width
    there = middle + across
    ends = np.array([-0.5, there - radius, there + radius, 0.5])
    starts = np.array([-0.5, middle - radius, middle + radius, 0.5])
    around = (np.interp(along + kink, ends, starts) for kink in (-_KINK, 0.0, 0.0, _KINK))
    source = sum(around, np.zeros_like(along)) / 4
    upper, lower = lids(eye.landmarks, along)
    came = _between_lids(eye, down, (upper, lower), source)
    beyond = np.maximum(upper - down, down - lower) / BESIDE
    stays = 1 - smoothstep(beyond)
    ways = np.stack([(source - along) * stays, (came - down) * stays], axis=1)
    if up:
        ways[:, 1] += _up_or_down(eye, along, down, (upper, lower), there, up)
    return ways


def _between_lids(
    eye: Eye, down: Float64Array, rims: tuple[Float64Array, Float64Array], source: Float64Array
) -> Float64Array:
    """Return how far down content comes from, at other places along the eye: source [P].

    rims are the lids at the places themselves.
    """
    upper, lower = rims
    upper_there, lower_there = lids(eye.landmarks, source)
    share = (down - upper) / np.maximum(lower - upper, _LEAST)
    inside = upper_there + share * np.maximum(lower_there - upper_there, _LEAST)
    above, below = upper_there + down - upper, lower_there + down - lower
    return np.where(share < 0, above, np.where(share > 1, below, inside))


def _up_or_down(
    eye: Eye,
    along: Float64Array,
    down: Float64Array,
    rims: tuple[Float64Array, Float64Array],
    middle: float,
    up: float,
) -> Float64Array:
    """Return how much farther down content comes from, when irises and lids go up."""
    upper, lower = rims
    radius = eye.radius / eye.width
    height = eye.place[1]
    to_corner = np.where(along < middle, middle + 0.5, 0.5 - middle) - 0.8 * radius
    rise = up * (
        1 - smoothstep((np.abs(along - middle) - 0.8 * radius) / np.maximum(to_corner, 1e-3))
    )
    rises = (0.0, UPPER_LID * rise, rise, rise, LOWER_LID * rise, 0.0)
    starts = np.stack(
        [
            *(upper - ABOVE, upper, np.maximum(height - 0.5 * radius, upper + _LEAST)),
            *(np.minimum(height + 0.7 * radius, lower - _LEAST), lower, lower + BELOW),
        ]
    )
    ends = starts - np.stack([np.broadcast_to(each, along.shape) for each in rises])
    # An iris goes behind a lid: what would lie beyond is not seen.
    ends[2] = np.maximum(ends[2], ends[1] + _LEAST)
    ends[3] = np.minimum(ends[3], ends[4] - _LEAST)
    came = down.copy()
    for i in range(len(ends) - 1):
        between = (down >= ends[i]) & (down < ends[i + 1])
        share = (down - ends[i]) / np.maximum(ends[i + 1] - ends[i], 1e-6)
        came = np.where(between, starts[i] + share * (starts[i + 1] - starts[i]), came)
    found: Float64Array = came - down
    return found
