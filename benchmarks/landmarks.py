"""Face landmarks: drag the landmarks of one random face to where another one has them.

DragGAN (arXiv 2305.10973), section 4.2, table 1.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from benchmarks.faces import (
    LandmarkDetector,
    RandomFace,
    faces_with_landmarks,
    load_generator,
    noise_floor,
    random_faces,
)
from benchmarks.flow import SIZE
from benchmarks.frechet import frechet_mean, pooled_features
from benchmarks.measures import DETAIL, EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import MAIN_WITH_NO_EDIT, WITH_NO_EDIT
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from drag.points import DragPoint
from inversion.perceptual import build_perceptual
from stylegan2.arrays import Float64Array
from stylegan2.generator import Generator

TITLE = "Face landmarks"

PAPER_FIGURES = (
    "The paper's own mean landmark distances on FFHQ (1 / 5 / 68 points): no edit 12.93 / 11.66 / "
    "16.02, UserControllableLT 11.64 / 10.41 / 10.15, DragGAN with RAFT 13.43 / 13.59 / 15.92, "
    "with PIPs 2.98 / 4.83 / 5.30, DragGAN 2.44 / 3.18 / 4.73 with FID 9.28."
)

TRUNCATION_PSI = 1.0
"""Of the faces: more apart than at 0.7, and the FFHQ crop has already put eyes and mouths alike."""

LEAST_DISTANCE = 7.0
"""Pixels of 512, the mean over the five landmarks: nearer pairs leave nothing to drag."""

Key = tuple[str, str]


def run(options: Options) -> Section:
    """Measure how near a detector finds the dragged landmarks to the other face's."""
    generator = load_generator(options)
    detector = LandmarkDetector()
    perceptual = build_perceptual(device=options.device)
    number, others = options.number(3, 40), 48 if options.quick else 500
    methods = MAIN_WITH_NO_EDIT if options.quick else WITH_NO_EDIT
    rng = np.random.default_rng(options.seed)
    counts = {"1": 1, "5": 5} | ({"all": detector.count} if detector.count > 5 else {})
    distances: dict[Key, list[float]] = {}
    drags: dict[Key, list[Measured]] = {}
    pictures: dict[Key, list[Tensor]] = {}
    lost: dict[Key, int] = {}
    floor: list[float] = []
    pairs = far_pairs(generator, detector, options.seed + 1000)
    for i, (face, own, wanted) in zip(range(number), pairs, strict=False):
        options.say(f"  pair {i + 1} of {number}")
        floor += noise_floor(face.picture, detector)
        for count, size in counts.items():
            chosen = _choose(rng, detector, size)
            points = _points(own[chosen], wanted[chosen])
            for name, method in methods.items():
                key = count, name
                made = method(generator, face.ws, None, points, None)
                found = detector.find(made.picture)
                lost[key] = lost.get(key, 0) + (found is None)
                if found is not None:
                    gap = np.linalg.norm(found[chosen] - wanted[chosen], axis=1).mean()
                    distances.setdefault(key, []).append(float(gap) * SIZE / generator.resolution)
                drags.setdefault(key, []).append(measure(face.picture, made, points))
                pictures.setdefault(key, []).append(made.picture)
    options.say(f"  {others} undragged faces")
    undragged = pooled_features(
        [
            face.picture
            for face, _ in zip(
                random_faces(generator, options.seed + 2000, TRUNCATION_PSI),
                range(others),
                strict=False,
            )
        ],
        perceptual,
    )
    rows: list[tuple[Cell, ...]] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {
        "landmark distance": {},
        "Frechet distance": {},
        "steps": {},
    }
    for (count, name), each in drags.items():
        key = count, name
        figures = summary(each)
        near = mean_of(distances.get(key, []))
        frechet = frechet_mean(pooled_features(pictures[key], perceptual), undragged)
        cells = (near, frechet, *(figures[figure] for figure in DETAIL))
        rows.append((count, name, *cells, lost[key], len(each)))
        group = f"{count} point{'' if count == '1' else 's'}"
        for panel, value in zip(panels, (near, frechet, figures["steps"]), strict=True):
            panels[panel].setdefault(group, {})[name] = value
    header = ("points", "method", "landmark distance", "Frechet", *DETAIL, "no face", "n")
    bars(options.results / "landmarks.png", panels)
    text = (
        "1 and 5 landmarks (eyes, nose, corners of the mouth) of a random face are dragged to "
        f"where another random face (psi {TRUNCATION_PSI}; the next whose five are "
        f"{LEAST_DISTANCE} pixels away on average) has them. "
        "*landmark distance*: how far from there a detector then finds the dragged ones. "
        + (
            "With all 68 as well. "
            if "all" in counts
            else "Where face-alignment's weights are not at hand the detector has no more than "
            "these five; many points at once are measured by paired reconstruction. "
        )
        + f"Detector: {detector.name}; when a picture is shifted by a known part of a pixel it is "
        f"off by {mean_of(floor)} pixels of 512, the floor of this measure. *Frechet*: distance "
        f"of the results to {others} undragged random faces, on mean and standard deviation of "
        f"each channel of {perceptual.name}; few results are far for being few, so compare with "
        "*no edit* only (its error is the jackknife's). *no face*: results in which the detector "
        "finds none.",
        EXPLAINED,
        PAPER_FIGURES,
    )
    flat = {f"{count} {name}": values for (count, name), values in drags.items()}
    gaps = {f"{count} {name}": values for (count, name), values in distances.items()}
    return Section(
        "landmarks",
        TITLE,
        text,
        (Table("Distance to the other face's landmarks", header, tuple(rows)),),
        ("landmarks.png",),
        {"drags": raw(flat), "landmark_distances": gaps, "detector_floor": floor},
    )


def far_pairs(
    generator: Generator, detector: LandmarkDetector, seed: int
) -> Iterator[tuple[RandomFace, Float64Array, Float64Array]]:
    """Yield a face, its landmarks, and those of the next one that is LEAST_DISTANCE away."""
    faces = faces_with_landmarks(generator, detector, seed, TRUNCATION_PSI)
    least = LEAST_DISTANCE * generator.resolution / SIZE
    while True:
        face, own = next(faces)
        for _, wanted in faces:
            gap = np.linalg.norm(detector.five(own) - detector.five(wanted), axis=1).mean()
            if gap >= least:
                yield face, own, wanted
                break


def _choose(rng: np.random.Generator, detector: LandmarkDetector, size: int) -> list[int]:
    """Pick the indices of landmarks to drag: one of the five, the five, or all."""
    five = detector.five(np.arange(detector.count, dtype=np.float64)[:, None])[:, 0].astype(int)
    if size == 1:
        return [int(rng.choice(five))]
    return five.tolist() if size == 5 else list(range(size))


def _points(handles: Float64Array, targets: Float64Array) -> tuple[DragPoint, ...]:
    return tuple(
        DragPoint((float(a), float(b)), (float(c), float(d)))
        for (a, b), (c, d) in zip(handles, targets, strict=True)
    )
