"""Which handles drift: how distinct a handle is, and how far its pixels follow a drag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from benchmarks.faces import LandmarkDetector, faces_with_landmarks, five_of, load_generator
from benchmarks.flow import SIZE
from benchmarks.inversions import Inverter, dev_photos
from benchmarks.measures import EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import DEFAULT, METHODS
from benchmarks.section import Cell, Options, Section, Table, mean_of
from drag.distinctness import AMPLE, LEAST, distinctness, handle_features
from drag.points import DragPoint
from inversion.perceptual import build_perceptual
from inversion.projection import ProjectionConfig
from pti.config import TuningConfig
from stylegan2.arrays import Float64Array
from stylegan2.generator import Generator, NoiseConsts

TITLE = "Which handles drift"

DISTANCE = 24.0
"""Of every drag, in pixels of a 512 picture."""

RANDOM_PLACES = 15
"""Handles of a face beside its five landmarks."""

BANDS = {
    f"below {LEAST:g}: a warning": (0.0, LEAST),
    "between": (LEAST, AMPLE * LEAST),
    f"from {AMPLE * LEAST:g}: offered instead": (AMPLE * LEAST, float("inf")),
}


@dataclass(frozen=True)
class Face:
    """A face to drag, and its five landmarks [5, 2] in pixels of its picture."""

    generator: Generator
    ws: Tensor
    noise_consts: NoiseConsts | None
    five: Float64Array


def run(options: Options) -> Section:
    """Drag handles all over some faces by the same distance, and sort them by distinctness."""
    rng = np.random.default_rng(options.seed)
    measured: dict[str, list[Measured]] = {band: [] for band in BANDS}
    values: list[tuple[float, float]] = []
    number = 0
    for face in faces(options):
        number += 1
        options.say(f"  face {number}")
        features = handle_features(face.generator, face.noise_consts, face.ws)
        with torch.no_grad():
            picture = face.generator.synthesis(face.ws, face.noise_consts)
        size = face.generator.resolution
        for point in points_on(face.five, size, rng, 3 if options.quick else RANDOM_PLACES):
            (value,) = distinctness(features, [point.handle], size)
            made = METHODS[DEFAULT](face.generator, face.ws, face.noise_consts, [point], None)
            drag = measure(picture, made, [point])
            band = next(name for name, (low, high) in BANDS.items() if low <= value < high)
            measured[band].append(drag)
            values.append((value, drag.pixel_error))
    figures = ("pixel error", "followed", "seen", "arrived", "steps")
    rows: list[tuple[Cell, ...]] = []
    for band, drags in measured.items():
        means = summary(drags)
        missed = mean_of(float(d.pixel_error > DISTANCE / 2) for d in drags if d.seen)
        rows.append((band, *(means[figure] for figure in figures), missed, len(drags)))
    text = (
        f"One handle at a time, at the landmarks and at random places of {number} faces, dragged "
        f"by {DISTANCE:.0f} pixels in random directions with realdrag's method. *distinctness* is "
        "what `drag/distinctness.py` says of the handle before; *missed* the share of handles "
        "whose pixels ended farther from their target than half the way.",
        EXPLAINED,
    )
    table = Table("One handle a drag", ("distinctness", *figures, "missed", "n"), tuple(rows))
    return Section(
        "distinctness",
        TITLE,
        text,
        (table,),
        (),
        {"drags": raw(measured), "distinctness_and_pixel_error": values},
    )


def faces(options: Options) -> Iterator[Face]:
    """Yield random faces, and tuned development photos where there are some."""
    generator, detector = load_generator(options), LandmarkDetector()
    found = faces_with_landmarks(generator, detector, options.seed + 4000)
    for face, landmarks in islice(found, 1 if options.quick else 12):
        yield Face(generator, face.ws, None, five_of(landmarks))
    if options.faces is None or options.quick:
        return
    inverter = Inverter(options, generator, build_perceptual(device=options.device))
    for photo in islice(dev_photos(options.faces, generator.resolution, options.device), 8):
        tuned = inverter.tune(photo, ProjectionConfig(), TuningConfig())
        inversion = tuned.inversion
        yield Face(tuned.generator, inversion.w_pivot, inversion.noise_consts, photo.five)


def points_on(
    five: Float64Array, size: int, rng: np.random.Generator, random_places: int
) -> Sequence[DragPoint]:
    """Place handles on landmarks [5, 2] and at random; those that would leave the picture not."""
    way = DISTANCE * size / SIZE
    handles = np.concatenate([five, rng.uniform(way, size - 1 - way, (random_places, 2))])
    angles = rng.uniform(0, 2 * np.pi, len(handles))
    targets = handles + way * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return [
        DragPoint((float(a), float(b)), (float(c), float(d)))
        for (a, b), (c, d) in zip(handles, targets, strict=True)
        if min(a, b, c, d) >= 0 and max(a, b, c, d) <= size - 1
    ]
