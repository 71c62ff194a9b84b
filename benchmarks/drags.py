"""Standard drags of a face: what people ask for first, placed by five landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from drag.points import DragPoint
from stylegan2.arrays import Float64Array

Vector = tuple[float, float]


@dataclass(frozen=True)
class Handle:
    """A handle `beside` a landmark that moves by `move`.

    Vectors are in eye distances, x along the line of the eyes, y down.
    """

    landmark: str
    beside: Vector
    move: Vector


@dataclass(frozen=True)
class Circle:
    """A part of the face: radius and centre in eye distances, the centre `beside` a landmark."""

    landmark: str
    beside: Vector
    radius: float


FACE = Circle("between the eyes", (0.0, 0.55), 1.7)
"""What a face fills, brows to chin: for drags without a mask, and to compare identities."""

Shape = tuple[tuple[Handle, ...], Circle | None]

SHAPES: dict[str, Shape] = {
    "head turn": ((Handle("nose", (0.0, 0.0), (0.2, 0.0)),), None),
    "mouth wider": (
        (
            Handle("mouth left", (0.0, 0.0), (-0.1, 0.0)),
            Handle("mouth right", (0.0, 0.0), (0.1, 0.0)),
        ),
        Circle("mouth", (0.0, 0.0), 0.9),
    ),
    "mouth open": (
        (Handle("mouth", (0.0, -0.1), (0.0, 0.0)), Handle("mouth", (0.0, 0.12), (0.0, 0.16))),
        Circle("mouth", (0.0, 0.1), 0.9),
    ),
    "brows up": (
        (
            Handle("eye left", (0.0, -0.32), (0.0, -0.12)),
            Handle("eye right", (0.0, -0.32), (0.0, -0.12)),
        ),
        Circle("between the eyes", (0.0, -0.2), 1.2),
    ),
    "jaw": (
        (Handle("mouth", (0.0, 0.55), (0.0, 0.16)),),
        Circle("mouth", (0.0, 0.3), 1.0),
    ),
}
"""Handles, and where the picture may change: None is everywhere."""


@dataclass(frozen=True)
class StandardDrag:
    """A drag by name: points in pixels of the picture, and where the picture may change.

    movable_mask goes to the drag. region, bool [R, R], is where change is expected: the mask,
    or the face where there is none.
    """

    name: str
    points: tuple[DragPoint, ...]
    movable_mask: Tensor | None
    region: Tensor


def standard_drags(
    five: Float64Array, resolution: int, shapes: Mapping[str, Shape] = SHAPES
) -> tuple[StandardDrag, ...]:
    """Place drags, the standard ones, on a face with landmarks [5, 2] in pixels of the picture.

    A drag that would leave the picture is left out.
    """
    drags = []
    for name, (handles, circle) in shapes.items():
        starts = np.stack([_place(five, each.landmark, each.beside) for each in handles])
        moves = np.stack([_turned(five, each.move) for each in handles])
        places = np.stack([starts, starts + moves])
        if places.min() < 0 or places.max() > resolution - 1:
            continue
        region = region_of(circle or FACE, five, resolution)
        points = tuple(
            DragPoint((float(a), float(b)), (float(c), float(d)))
            for (a, b), (c, d) in zip(*places, strict=True)
        )
        drags.append(StandardDrag(name, points, region if circle else None, region))
    return tuple(drags)


def region_of(circle: Circle, five: Float64Array, resolution: int) -> Tensor:
    """Return bool [R, R], True inside the circle."""
    centre = _place(five, circle.landmark, circle.beside)
    radius = circle.radius * np.linalg.norm(five[1] - five[0])
    rows, columns = np.mgrid[0:resolution, 0:resolution]
    return torch.from_numpy(np.hypot(columns - centre[0], rows - centre[1]) <= radius)


def _place(five: Float64Array, landmark: str, beside: Vector) -> Float64Array:
    landmarks = {
        "eye left": five[0],
        "eye right": five[1],
        "nose": five[2],
        "mouth left": five[3],
        "mouth right": five[4],
        "between the eyes": five[:2].mean(axis=0),
        "mouth": five[3:].mean(axis=0),
    }
    place: Float64Array = landmarks[landmark] + _turned(five, beside)
    return place


def _turned(five: Float64Array, vector: Vector) -> Float64Array:
    """Turn a vector in eye distances into pixels of the picture."""
    x, y = five[1] - five[0]
    turned: Float64Array = np.array([[x, -y], [y, x]]) @ np.array(vector)
    return turned
