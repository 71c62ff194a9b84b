"""Real targets: people at rest, dragged to how they smile in another photo of theirs.

The idea of RealDrag (arXiv 2512.12287): what an edit should look like is known. Needs --faces, as
benchmarks/likeness.py does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.faces import load_generator
from benchmarks.kept import Kept
from benchmarks.likeness import london_pairs
from benchmarks.looks import SLOW, Case, Maker
from benchmarks.looks_edits import Edit
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from drag.points import DragPoint
from inversion.faces.alignment import align, aligned_to_photo, ffhq_quad, photo_to_aligned, placed
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.landmarks import find_faces
from inversion.faces.shape68 import EYE_LEFT, EYE_RIGHT, NOSE_BRIDGE, eye_distance
from inversion.perceptual import PerceptualDistance, build_perceptual
from pipeline.picture.photo import read_photo
from stylegan2.arrays import BoolImage, Float64Array, UInt8Image
from stylegan2.checkpoint import weights_hash
from stylegan2.images import to_tensor

TITLE = "Real targets"

FEW = (48, 54, 51, 57, 8)
"""What a person would pull for a smile: the corners of the mouth, the lips' middles, the chin."""

STABLE = (*NOSE_BRIDGE, *EYE_LEFT, *EYE_RIGHT)
"""What a smile moves least: by these the two photos are laid over each other."""

AROUND = 0.25
"""How far the moved area goes beyond handles and targets, in eye distances."""

QUICK_SLOW = 2
"""People on whom the quick form tries the slow way, which has to tune."""

SEEN_BEFORE = (
    "The embedded generator was trained without the set, from weights that had seen it. Of its 88 "
    "people 78 are among those whom the landmark network learned from, and 76 among the perceptual "
    "distance's: both may do better here than on strangers, for every way alike."
)
"""Counted with `chosen_people` of tools/finder_data.py, which draws the people held out."""

NO_EDIT = "no edit"
WAYS: Mapping[str, str | None] = {
    NO_EDIT: None,
    "plain warp": "plain warp",
    "draggan, pasted": "DragGAN pasted",
    "default": "realdrag",
}
"""The ways of benchmarks/looks.py, by the names of the tables."""

Key = tuple[str, str]
FIGURES = ("inside", "outside", "difference inside", "difference outside", "landmarks")


SHARES = ("inside", "outside", "landmarks")
"""Those that are compared with no edit person by person: the ways may have other people."""


@dataclass(frozen=True)
class Smile:
    """A photo at rest, and the smiling one laid over it: a crop; points [68, 2] in the crop."""

    case: Case
    smiling: UInt8Image
    wanted: Float64Array


def run(options: Options) -> Section:
    """Measure how near drags of the landmarks come to the real photo."""
    generator = load_generator(options)
    perceptual = build_perceptual("offline", options.device)
    kept = Kept(options, "targets", weights_hash(generator))
    # In an order of which any part is spread over the set.
    every = list(london_pairs(options))
    order = np.random.default_rng(options.seed).permutation(len(every))
    chosen = [every[i] for i in order][: options.number(12, len(every))]
    counts = {"5": FEW} if options.quick else {"5": FEW, "68": tuple(range(68))}
    figures: dict[Key, dict[str, dict[str, float]]] = {}
    for number, (rest, smiling) in enumerate(chosen, start=1):
        options.say(f"  person {number} of {len(chosen)}")
        smile = laid_over(rest, smiling, generator.resolution)
        maker = Maker(options, generator, smile.case)
        for count, numbers in counts.items():
            edit = edit_of(smile, numbers)
            for name, way in WAYS.items():
                if options.quick and way in SLOW and number > QUICK_SLOW:
                    continue
                make = partial(_sample, maker, way, smile, edit, numbers, perceptual)
                sample = kept.sample(f"{rest.stem} {count} {name}", make)
                figures.setdefault((count, name), {})[rest.stem] = sample
    return _section(options, perceptual.name, figures, len(chosen))


def _sample(
    maker: Maker,
    way: str | None,
    smile: Smile,
    edit: Edit,
    numbers: Sequence[int],
    perceptual: PerceptualDistance,
) -> dict[str, float]:
    case, size = smile.case, len(smile.smiling)
    pixels = case.pixels if way is None else maker.make(way, edit)
    area = moved_area(edit, size, AROUND * eye_distance(case.points))
    crop = align(pixels, case.quad, size).image
    return compare(crop, smile, numbers, area, perceptual)


def laid_over(rest: Path, smiling: Path, size: int) -> Smile:
    """Crop the photo at rest, and the smiling one so that eyes and bridge of the nose agree."""
    find = load_landmarker().landmarks68
    photos = [read_photo(path).pixels for path in (rest, smiling)]
    quads = [ffhq_quad(find_faces(each).faces[0]) for each in photos]
    aligned = [align(each, quad, size).image for each, quad in zip(photos, quads, strict=True)]
    points, there = (np.asarray(find(each), np.float64) for each in aligned)
    in_photo = placed(aligned_to_photo(quads[1], size), there)
    at_rest = placed(aligned_to_photo(quads[0], size), points)
    matrix = similarity(at_rest[list(STABLE)], in_photo[list(STABLE)])
    quad = placed(matrix, quads[0])
    wanted = placed(photo_to_aligned(quad, size), in_photo)
    case = Case(f"london-{rest.stem}", photos[0], quads[0], aligned[0], points)
    return Smile(case, align(photos[1], quad, size).image, wanted)


def similarity(source: Float64Array, target: Float64Array) -> Float64Array:
    """Return the 3x3 turn, scaling and shift that brings points [P, 2] nearest to others."""
    a, b = (each - each.mean(axis=0) for each in (source, target))
    x, y = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    turn = np.vdot(x, y) / np.vdot(x, x)
    matrix = np.eye(3)
    matrix[:2, :2] = [[turn.real, -turn.imag], [turn.imag, turn.real]]
    matrix[:2, 2] = target.mean(axis=0) - matrix[:2, :2] @ source.mean(axis=0)
    return matrix


def edit_of(smile: Smile, numbers: Sequence[int]) -> Edit:
    """Drag those of the 68 to where they are in the smiling photo."""
    edge = len(smile.smiling) - 1.0
    ends = np.stack([smile.case.points, smile.wanted], axis=1)[list(numbers)].clip(0, edge)
    points = tuple(DragPoint((a, b), (c, d)) for (a, b), (c, d) in ends.tolist())
    return Edit("smile", "real", points)


def moved_area(edit: Edit, size: int, around: float) -> BoolImage:
    """Return the hull of handles and targets, and what is nearer than that, in a crop of a size."""
    ends = np.array([end for point in edit.points for end in (point.handle, point.target)])
    hull = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(ends).astype(np.int32)), (1.0,))
    away = cv2.distanceTransform(1 - hull, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= around)


@torch.no_grad()
def compare(
    crop: UInt8Image,
    smile: Smile,
    numbers: Sequence[int],
    area: BoolImage,
    perceptual: PerceptualDistance,
) -> dict[str, float]:
    """Compare an edit with the real photo, inside and outside an area, by FIGURES."""
    real = smile.smiling
    apart = np.abs(crop.astype(np.float64) - real).mean(axis=2)
    found = {}
    for where, part in (("inside", area), ("outside", ~area)):
        # The other part is the real photo's, so that only this one tells them apart.
        mixed = np.where(part[..., None], crop, real)
        found[where] = float(perceptual(to_tensor(mixed, "cpu"), to_tensor(real, "cpu"))[0])
        found[f"difference {where}"] = float(apart[part].mean())
    gaps = np.asarray(load_landmarker().landmarks68(crop), np.float64) - smile.wanted
    far = np.hypot(*gaps[list(numbers)].T).mean() / eye_distance(smile.wanted)
    return {**found, "landmarks": float(far)}


def _section(
    options: Options,
    distance: str,
    figures: Mapping[Key, Mapping[str, dict[str, float]]],
    people: int,
) -> Section:
    rows: list[tuple[Cell, ...]] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    for (count, name), samples in figures.items():
        means = {figure: mean_of(each[figure] for each in samples.values()) for figure in FIGURES}
        before = figures[count, NO_EDIT]
        shares = {
            figure: [each[figure] / before[who][figure] for who, each in samples.items()]
            for figure in SHARES
        }
        nearer = f"{sum(share < 1 for share in shares['inside'])} of {len(samples)}"
        of_no_edit = {figure: mean_of(values) for figure, values in shares.items()}
        rows.append((count, name, *means.values(), *of_no_edit.values(), nearer))
        for figure, share in of_no_edit.items():
            panel = panels.setdefault(f"{figure}, of no edit", {})
            panel.setdefault(f"{count} points", {})[name] = share
    bars(options.results / "targets.png", panels)
    text = (
        f"{people} people at rest (Face Research Lab London Set), dragged to their own smiling "
        "photo: handles are "
        "where the landmark network sees the 68 points, targets where it sees them in the smiling "
        "photo, which is laid over the other by eyes and bridge of the nose (turn, scale, shift). "
        "5 points: corners of the mouth, middles of the lips, chin. No mask. " + SEEN_BEFORE,
        f"*inside* and *outside*: {distance} to the smiling photo, of pictures that differ from it "
        f"only inside the moved area, or outside (the hull of handles and targets and {AROUND} eye "
        "distances around it). *difference*: mean absolute difference of pixels there, of 255. "
        "*landmarks*: how far the dragged points are from the real ones, in eye distances. "
        "*of no edit*: a distance over that without an edit, person by person; *nearer*: how often "
        "that is below 1 inside. "
        + (
            f"Quickly, the slow way has the first {QUICK_SLOW} people only. "
            if options.quick
            else ""
        )
        + "The two photos differ in light "
        "and pose, too, which no way knows of. *plain warp*: Wendland kernels around the points. "
        "*draggan, pasted*: the literal DragGAN on the tuned network, its picture in the crop's "
        "place. *default*: the photo's own pixels, moved by the network, as far as they hold.",
    )
    beside = (f"{figure}, of no edit" for figure in SHARES)
    header = ("points", "way", *FIGURES, *beside, "nearer")
    raw = {f"{count} {name}": dict(samples) for (count, name), samples in figures.items()}
    table = Table("To the smiling photo", header, tuple(rows))
    return Section("targets", TITLE, text, (table,), ("targets.png",), raw)
