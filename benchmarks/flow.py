"""Where pixels went: dense optical flow between two pictures, checked forwards and backwards.

A drag judges itself by features; this does not look at them. Everything is in pixels of a 512
picture, whatever the network's size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stylegan2.arrays import BoolImage, Float32Array, Float64Array, UInt8Image

SIZE = 512
"""Pictures are brought to this size before their flow is sought."""

READ_RADIUS = 6.0
"""The flow at a point is the median within this radius: half the paper's r2."""

LEAST_SHARE = 0.25
"""Of the pixels within that radius, how many must have passed the check."""


@dataclass(frozen=True)
class Flow:
    """Displacements [512, 512, 2] (xy) from one picture to another, and where they hold."""

    moves: Float32Array
    checked: BoolImage


def flow_between(first: UInt8Image, second: UInt8Image) -> Flow:
    """Find the flow (OpenCV's DIS, Kroeger et al. 2016) from one uint8 [R, R, 3] to another.

    A pixel is checked when going there and back ends near where it started (Sundaram et al.
    2010, with their constants).
    """
    return flows_between(first, second)[0]


def flows_between(first: UInt8Image, second: UInt8Image) -> tuple[Flow, Flow]:
    """Find the flow from one uint8 [R, R, 3] to another, and back: as `flow_between` does."""
    a, b = _grey(first), _grey(second)
    there, back = _dis(a, b), _dis(b, a)
    return Flow(there, passes_check(there, back)), Flow(back, passes_check(back, there))


def passes_check(there: Float32Array, back: Float32Array) -> BoolImage:
    """Tell where `back` [H, W, 2], read where `there` leads, undoes it."""
    height, width = there.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    to_x, to_y = x + there[..., 0], y + there[..., 1]
    returned = cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (to_x >= 0) & (to_x <= width - 1) & (to_y >= 0) & (to_y <= height - 1)
    gap = np.square(there + returned).sum(axis=2)
    size = np.square(there).sum(axis=2) + np.square(returned).sum(axis=2)
    passed: BoolImage = inside & (gap <= 0.01 * size + 0.5)
    return passed


def moves_at(flow: Flow, places: Float64Array) -> Float64Array:
    """Read the flow at places [P, 2], xy in pixels of 512: [P, 2], NaN where it is unknown."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    found = np.full((len(places), 2), np.nan)
    for i, (place_x, place_y) in enumerate(places):
        near = np.hypot(x - place_x, y - place_y) <= READ_RADIUS
        known = near & flow.checked
        if known.sum() >= LEAST_SHARE * near.sum():
            found[i] = np.median(flow.moves[known], axis=0)
    return found


def to_512(places: Float64Array, resolution: int) -> Float64Array:
    """Turn positions in a picture of that resolution into positions in a 512 picture."""
    return (places + 0.5) * (SIZE / resolution) - 0.5


def from_512(places: Float64Array, resolution: int) -> Float64Array:
    """Turn positions in a 512 picture into positions in a picture of that resolution."""
    return (places + 0.5) * (resolution / SIZE) - 0.5


def _grey(picture: UInt8Image) -> UInt8Image:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mode = cv2.INTER_AREA if len(grey) > SIZE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, (SIZE, SIZE), interpolation=mode), np.uint8)


def _dis(a: UInt8Image, b: UInt8Image) -> Float32Array:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(dis.calc(a, b, np.zeros((SIZE, SIZE, 2), np.float32)), np.float32)
