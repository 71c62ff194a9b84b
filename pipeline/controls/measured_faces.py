"""What a generator's faces measure, and how that changes along a direction of W."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from inversion.faces.landmark_network import load_landmarker
from inversion.faces.landmarks import find_faces
from inversion.faces.no_face import NoFaceFound
from pipeline.controls.measures import measures
from pipeline.controls.table import SYMMETRICAL, Control
from stylegan2.arrays import Float64Array
from stylegan2.directions import Direction
from stylegan2.generator import Generator
from stylegan2.images import to_uint8
from stylegan2.latents import sample_w
from stylegan2.style_space import restyled

TRUNCATION_PSI = 0.7
"""Of the faces that are measured."""

PATCH, BORDER = 1 / 16, 1 / 10
"""Where colours are held: a square on each cheek, and a strip above the face, as shares of the
picture's side."""

CHECKED_AT = (-0.5, 0.5)


def directed_controls() -> list[Control]:
    """Return the controls that have a direction: of both sides, and of a face that is level.

    A gaze has none: what is measured are landmarks.
    """
    return [each for each in SYMMETRICAL if each.turns != "roll" and each.looks is None]


def sample_faces(generator: Generator, count: int, seed: int) -> Tensor:
    """Draw w [count, w_dim] of faces."""
    return sample_w(generator, count, seed, TRUNCATION_PSI)


@torch.no_grad()
def moved_picture(generator: Generator, ws: Tensor, direction: Direction, amount: float) -> Tensor:
    """Render ws [1, num_ws, w_dim] after so much of a direction: [1, 3, R, R]."""
    if direction.space == "styles":
        styled: Tensor = restyled(generator, amount * direction.way).synthesis(ws)
        return styled
    shift = direction.shift(amount, generator.num_ws).to(ws.device)
    picture: Tensor = generator.synthesis(ws + shift)
    return picture


def shows_faces(generator: Generator, ws: Tensor) -> bool:
    """Say whether a face is found in half of the pictures of ws [N, num_ws, w_dim] at least."""
    found = 0
    for each in ws.split(1):
        with torch.no_grad():
            picture = to_uint8(generator.synthesis(each))
        with suppress(NoFaceFound):
            found += bool(find_faces(picture, "offline").faces)
    return 2 * found >= len(ws)


def measured(generator: Generator, ws: Tensor) -> Iterator[Float64Array]:
    """Yield what each face of ws [N, num_ws, w_dim] measures: see `measures_of`."""
    for each in ws.split(1):
        with torch.no_grad():
            picture = generator.synthesis(each)
        yield measures_of(picture)


def measures_of(picture: Tensor) -> Float64Array:
    """Measure a face [1, 3, R, R].

    First the measures of `directed_controls`, then what light and skin are held by: the mean
    colours of the cheeks and of the border above, 0 to 255.
    """
    pixels = to_uint8(picture)
    size = len(pixels)
    points = np.asarray(load_landmarker().landmarks68(pixels), np.float64)
    found = measures(points)
    half = max(1, round(PATCH * size / 2))
    cheeks = []
    for eye, corner in ((41, 48), (46, 54)):
        middle = (points[eye] + points[corner]) / 2
        x, y = np.clip(middle, half, size - half - 1).astype(int)
        patch = pixels[y - half : y + half + 1, x - half : x + half + 1]
        cheeks.append(patch.reshape(-1, 3).mean(axis=0))
    above = pixels[: max(1, round(BORDER * size))].reshape(-1, 3).mean(axis=0)
    own = [found[each.measure] for each in directed_controls()]
    return np.array([*own, *np.mean(cheeks, axis=0), *above], np.float64)


def change_along(
    generator: Generator, ws: Tensor, direction: Direction, before: Float64Array
) -> Float64Array:
    """Return by how much each measure changes per amount of a direction: the mean over faces.

    before [N, K] are the measures of ws [N, num_ws, w_dim] as they are.
    """
    slopes = []
    for amount in CHECKED_AT:
        after = [
            measures_of(moved_picture(generator, each, direction, amount)) for each in ws.split(1)
        ]
        slopes.append((np.stack(after) - before).mean(axis=0) / amount)
    mean: Float64Array = np.mean(slopes, axis=0)
    return mean
