"""As in that photo: people at rest, made to look as they do in another photo, where they smile.

Needs --faces: photos/, and index.tsv with the sources london-neutral and london-smiling.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.section import Cell, Options, Section, SectionSkipped, Table, mean_of
from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.landmarks import find_faces
from inversion.perceptual import PerceptualDistance, build_perceptual
from pipeline.controls.likeness import EXPRESSION
from pipeline.controls.measures import Frame
from pipeline.controls.table import LIPS
from pipeline.picture.photo import read_photo
from realdrag.photo import open as open_photo
from stylegan2.arrays import Float64Array, UInt8Image
from stylegan2.images import to_tensor

TITLE = "As in that photo"

SIDE = 256
WAYS: dict[str, tuple[str, ...]] = {"expression": EXPRESSION, "expression and pose": ("all",)}


def run(options: Options) -> Section:
    """Apply each person's smiling photo to the one at rest, and compare with that."""
    pairs = list(london_pairs(options))[:: 6 if not options.quick else 30]
    pairs = pairs[: options.number(3, len(pairs))]
    figures: dict[str, list[tuple[float, float, float, float]]] = {}
    perceptual = build_perceptual("offline", options.device)
    with tempfile.TemporaryDirectory() as folder:
        for number, (rest, smiling) in enumerate(pairs, start=1):
            options.say(f"  pair {number} of {len(pairs)}")
            real = _face(read_photo(smiling).pixels)
            place = Path(folder) / f"{rest.stem}.realdrag"
            photo = open_photo(rest, device=options.device, workspace=place)
            before = _face(read_photo(rest).pixels)
            figures.setdefault("no edit", []).append((*_apart(before, real, perceptual), 3.0))
            for way, parts in WAYS.items():
                edit = photo.apply(like=smiling, parts=parts)
                row = (*_apart(_face(edit.pixels), real, perceptual), edit.looks)
                figures.setdefault(way, []).append(row)
    rows: list[tuple[Cell, ...]] = [
        (way, *(mean_of(each) for each in zip(*found, strict=True)), len(found))
        for way, found in figures.items()
    ]
    header = ("way", "landmarks", "of the mouth", "perceptual", "looks", "n")
    text = (
        "People at rest, and `--like` their own smiling photo (Face Research Lab London Set; their "
        "mean smile had been looked at when the ways of smile and chin were set). *landmarks*: "
        "mean distance of the 68 points to those of the smiling photo, over the eye distance, both "
        "from the landmark network, eyes on each other; the network itself errs by .03. "
        "*perceptual*: the offline distance of the aligned crops. *looks*: the score of how an "
        "edit looks, 0 to 3.",
    )
    return Section("likeness", TITLE, text, (Table("To the smiling photo", header, tuple(rows)),))


def london_pairs(options: Options) -> Iterator[tuple[Path, Path]]:
    """Yield the photos of each person at rest and smiling. Raises SectionSkipped."""
    if options.faces is None or not (options.faces / "index.tsv").is_file():
        raise SectionSkipped("it needs photos of people: name their folder with --faces FOLDER")
    people: dict[str, dict[str, Path]] = {}
    with (options.faces / "index.tsv").open(encoding="utf-8", newline="") as listing:
        for row in csv.DictReader(listing, delimiter="\t"):
            photo = options.faces / "photos" / f"{row['id']}.jpg"
            if row["source"].startswith("london-") and photo.is_file():
                people.setdefault(row["person"], {})[row["source"]] = photo.resolve()
    for photos in people.values():
        if len(photos) == 2:
            yield photos["london-neutral"], photos["london-smiling"]


def _face(pixels: UInt8Image) -> UInt8Image:
    return align(pixels, ffhq_quad(find_faces(pixels).faces[0]), SIDE).image


def _apart(
    face: UInt8Image, real: UInt8Image, perceptual: PerceptualDistance
) -> tuple[float, float, float]:
    ways = _level(face) - _level(real)
    far = np.hypot(*ways.T)
    with torch.no_grad():
        looks = perceptual(to_tensor(face, "cpu"), to_tensor(real, "cpu"))
    return float(far.mean()), float(far[list(LIPS)].mean()), float(looks)


def _level(face: UInt8Image) -> Float64Array:
    points = np.asarray(load_landmarker().landmarks68(face), np.float64)
    middle = points[36:48].mean(axis=0)
    return Frame.of(points).level(points - middle)
