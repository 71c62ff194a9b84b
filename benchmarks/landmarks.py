"""Face landmarks: drag the landmarks of one random face to where another one has them.

DragGAN (arXiv 2305.10973), section 4.2, table 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from benchmarks.faces import (
    FIVE_OF_68,
    LandmarkDetector,
    RandomFace,
    faces_with_landmarks,
    five_of,
    load_generator,
    noise_floor,
    random_faces,
)
from benchmarks.flow import SIZE
from benchmarks.frechet import frechet_mean, pooled_features
from benchmarks.kept import Kept
from benchmarks.latent_transformer import (
    TRANSFORMER_EXPLAINED,
    sample_name,
    with_transformer,
)
from benchmarks.measures import DETAIL, EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import MAIN_WITH_NO_EDIT, WITH_NO_EDIT, Method
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from drag.points import DragPoint
from inversion.perceptual import PerceptualDistance, build_perceptual
from stylegan2.arrays import Float64Array
from stylegan2.checkpoint import weights_hash
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

MOST_WHOLE = 8
"""Pairs of which all 68 landmarks are dragged: a literal drag of these takes minutes."""

Key = tuple[int, str]


def run(options: Options) -> Section:
    """Measure how near a detector finds the dragged landmarks to the other face's."""
    generator = load_generator(options)
    detector = LandmarkDetector()
    perceptual = build_perceptual(device=options.device)
    setting = generator, detector, perceptual
    kept = Kept(options, "landmarks", weights_hash(generator))
    number, others = options.number(3, 40), 48 if options.quick else 500
    methods = with_transformer(
        MAIN_WITH_NO_EDIT if options.quick else WITH_NO_EDIT, options.transformer, generator
    )
    rng = np.random.default_rng(options.seed)
    samples: dict[Key, list[dict[str, Any]]] = {}
    floor: list[float] = []
    pairs = far_pairs(generator, detector, options.seed + 1000)
    for i, (face, own, wanted) in zip(range(number), pairs, strict=False):
        options.say(f"  pair {i + 1} of {number}")
        floor += noise_floor(face.picture, detector)
        one = int(rng.choice(FIVE_OF_68))
        counts = {1: [one], 5: list(FIVE_OF_68)}
        if not options.quick and i < MOST_WHOLE:
            counts[68] = list(range(68))
        for count, chosen in counts.items():
            for name, method in methods.items():
                options.say(f"    {count} points, {name}")
                make = partial(_sample, face, own, wanted, chosen, method, setting)
                sample = kept.sample(f"{i} {count} {sample_name(name, options.transformer)}", make)
                samples.setdefault((count, name), []).append(sample)
    options.say(f"  {others} undragged faces")
    random = islice(random_faces(generator, options.seed + 2000, TRUNCATION_PSI), others)
    undragged = pooled_features([face.picture for face in random], perceptual)
    rows: list[tuple[Cell, ...]] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {
        "landmark distance": {},
        "Frechet distance": {},
        "steps": {},
    }
    drags: dict[str, list[Measured]] = {}
    for (count, name), each in samples.items():
        drags[f"{count} {name}"] = own_drags = [Measured(**one["measured"]) for one in each]
        figures = summary(own_drags)
        seen = [one["gap"] for one in each if not math.isnan(one["gap"])]
        near = mean_of(seen)
        frechet = frechet_mean(np.array([one["pooled"] for one in each]), undragged)
        cells = (near, frechet, *(figures[figure] for figure in DETAIL))
        rows.append((count, name, *cells, len(each) - len(seen), len(each)))
        group = f"{count} point{'s' if count > 1 else ''}"
        for panel, value in zip(panels, (near, frechet, figures["steps"]), strict=True):
            panels[panel].setdefault(group, {})[name] = value
    header = ("points", "method", "landmark distance", "Frechet", *DETAIL, "no face", "n")
    bars(options.results / "landmarks.png", panels)
    text = (
        "1, 5 (outer corners of the eyes, tip of the nose, corners of the mouth) and all 68 "
        f"landmarks (these of the first {MOST_WHOLE} pairs at most, and not in the quick form) of "
        "a random face are dragged to "
        f"where another random face (psi {TRUNCATION_PSI}; the next whose five are "
        f"{LEAST_DISTANCE} pixels away on average) has them. "
        "*landmark distance*: how far from there a detector then finds the dragged ones. "
        f"Detector: {detector.name}; when a picture is shifted by a known part of a pixel it is "
        f"off by {mean_of(floor)} pixels of 512, the floor of this measure. *Frechet*: distance "
        f"of the results to {others} undragged random faces, on mean and standard deviation of "
        f"each channel of {perceptual.name}; few results are far for being few, so compare with "
        "*no edit* only (its error is the jackknife's). *no face*: results in which the detector "
        "finds none.",
        *((TRANSFORMER_EXPLAINED,) if options.transformer else ()),
        EXPLAINED,
        PAPER_FIGURES,
    )
    gaps = {f"{n} {name}": [one["gap"] for one in each] for (n, name), each in samples.items()}
    return Section(
        "landmarks",
        TITLE,
        text,
        (Table("Distance to the other face's landmarks", header, tuple(rows)),),
        ("landmarks.png",),
        {"drags": raw(drags), "landmark_distances": gaps, "detector_floor": floor},
    )


def _sample(
    face: RandomFace,
    own: Float64Array,
    wanted: Float64Array,
    chosen: list[int],
    method: Method,
    setting: tuple[Generator, LandmarkDetector, PerceptualDistance],
) -> dict[str, Any]:
    """Drag the chosen landmarks: the measures, the detector's distance, features of the picture."""
    generator, detector, perceptual = setting
    points = _points(own[chosen], wanted[chosen])
    made = method(generator, face.ws, None, points, None)
    found = detector.find(made.picture)
    gap = math.nan
    if found is not None:
        far = np.linalg.norm(found[chosen] - wanted[chosen], axis=1)
        gap = float(far.mean()) * SIZE / generator.resolution
    measured = vars(measure(face.picture, made, points))
    pooled = pooled_features([made.picture], perceptual)[0].tolist()
    return {"measured": measured, "gap": gap, "pooled": pooled}


def far_pairs(
    generator: Generator, detector: LandmarkDetector, seed: int
) -> Iterator[tuple[RandomFace, Float64Array, Float64Array]]:
    """Yield a face, its landmarks, and those of the next one that is LEAST_DISTANCE away."""
    faces = faces_with_landmarks(generator, detector, seed, TRUNCATION_PSI)
    least = LEAST_DISTANCE * generator.resolution / SIZE
    while True:
        face, own = next(faces)
        for _, wanted in faces:
            gap = np.linalg.norm(five_of(own) - five_of(wanted), axis=1).mean()
            if gap >= least:
                yield face, own, wanted
                break


def _points(handles: Float64Array, targets: Float64Array) -> tuple[DragPoint, ...]:
    return tuple(
        DragPoint((float(a), float(b)), (float(c), float(d)))
        for (a, b), (c, d) in zip(handles, targets, strict=True)
    )
