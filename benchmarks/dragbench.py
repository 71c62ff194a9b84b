"""Others' drag benchmarks: DragBench's pictures and FreeDragBench's seeds, where their files are.

They belong into the work folder: DragBench as runs/benchmarks/dragbench/, FreeDragBench's
seeds/*.jsonl in runs/benchmarks/freedragbench/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.faces import RandomFace, load_generator
from benchmarks.kept import Kept
from benchmarks.looks import Case, Maker
from benchmarks.looks_edits import Edit
from benchmarks.measures import (
    DETAIL,
    EXPLAINED,
    Measured,
    accuracy_index,
    measure,
    raw,
    summary,
)
from benchmarks.methods import MAIN_WITH_NO_EDIT, Method
from benchmarks.others import PhotoDrag, read_dragbench, read_freedragbench
from benchmarks.section import Cell, Options, Section, SectionSkipped, Table, mean_of
from drag.points import DragPoint
from inversion.faces.alignment import align, ffhq_quad, photo_to_aligned, placed
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.landmarks import find_faces
from inversion.faces.no_face import NoFaceFound
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator
from stylegan2.images import to_tensor
from stylegan2.latents import to_ws

TITLE = "Others' drag benchmarks"

TRUNCATION_PSI = 0.7
"""With which DragGAN's program, and so FreeDragBench, shows a seed."""

WAYS: Mapping[str, str | None] = {
    "no edit": None,
    "plain warp": "plain warp",
    "default": "realdrag",
}

MOST_PICTURES = 40


def run(options: Options) -> Section:
    """Measure whichever of the two is there."""
    photos, seeds = options.work / "dragbench", options.work / "freedragbench"
    if not photos.is_dir() and not seeds.is_dir():
        raise SectionSkipped(
            f"it needs DragBench's folder as {photos}, or FreeDragBench's seeds in {seeds}"
        )
    generator = load_generator(options)
    kept = Kept(options, "dragbench", weights_hash(generator))
    tables: list[Table] = []
    found: dict[str, Any] = {}
    left_out = 0
    if photos.is_dir():
        figures, left_out = _pictures(options, generator, kept, photos)
        rows = [(way, mean_of(values), len(values)) for way, values in figures.items()]
        tables.append(Table("DragBench, pictures with a face", ("way", "DAI", "n"), tuple(rows)))
        found["dragbench"] = figures
    for path in sorted(seeds.glob("*.jsonl")) if seeds.is_dir() else ():
        drags = _of_seeds(options, generator, kept, path)
        means = {name: summary(each) for name, each in drags.items()}
        cells: list[tuple[Cell, ...]] = [
            (name, *(figures[key] for key in DETAIL), len(drags[name]))
            for name, figures in means.items()
        ]
        title = f"FreeDragBench, {path.stem}"
        tables.append(Table(title, ("method", *DETAIL, "n"), tuple(cells)))
        found[path.stem] = raw(drags)
    text = (
        "DragBench (DragDiffusion, arXiv 2306.14435): its pictures in which a face is found, and "
        f"whose points lie in the face's crop; {left_out} are left out. FreeDragBench (FreeDrag, "
        f"arXiv 2307.04684): its drags of what the network makes of a seed (psi {TRUNCATION_PSI}); "
        "they mean something on the network they were drawn on only. Both in the order of their "
        "files.",
        EXPLAINED,
    )
    return Section("dragbench", TITLE, text, tuple(tables), (), found)


def _of_seeds(
    options: Options, generator: Generator, kept: Kept, path: Path
) -> dict[str, list[Measured]]:
    drags: dict[str, list[Measured]] = {}
    chosen = read_freedragbench(path, generator.resolution)
    for i, drag in enumerate(islice(chosen, options.number(3, MOST_PICTURES))):
        options.say(f"  {path.stem}, drag {i + 1}")
        face = face_of_seed(generator, drag.seed)
        for name, method in MAIN_WITH_NO_EDIT.items():
            make = partial(_dragged, generator, face, drag.points, method)
            figures = kept.sample(f"{path.stem} {i} {name}", make)
            drags.setdefault(name, []).append(Measured(**figures))
    return drags


@torch.no_grad()
def face_of_seed(generator: Generator, seed: int) -> RandomFace:
    """Make the picture that NVIDIA's programs, and so DragGAN's, show for a seed."""
    z = np.random.RandomState(seed).randn(1, generator.config.z_dim)
    ws = to_ws(generator.mapping(torch.from_numpy(z).float(), TRUNCATION_PSI), generator.num_ws)
    return RandomFace(ws, generator.synthesis(ws))


def _dragged(
    generator: Generator, face: RandomFace, points: Sequence[DragPoint], method: Method
) -> dict[str, float]:
    made = method(generator, face.ws, None, points, None)
    return dict(vars(measure(face.picture, made, points)))


def _pictures(
    options: Options, generator: Generator, kept: Kept, folder: Path
) -> tuple[dict[str, list[float]], int]:
    """Return the accuracy index of each way, and how many pictures are left out."""
    figures: dict[str, list[float]] = {way: [] for way in WAYS}
    left_out = 0
    for sample in islice(read_dragbench(folder), options.number(3, MOST_PICTURES)):
        options.say(f"  {sample.name}")
        placed = in_crop(sample, generator.resolution)
        if placed is None:
            left_out += 1
            continue
        maker = Maker(options, generator, placed[0])
        for name, way in WAYS.items():
            make = partial(_moved, maker, way, placed[1], sample)
            found = kept.sample(f"{sample.name.replace('/', '_')} {name}", make)
            figures[name].append(found["dai"])
    return figures, left_out


def in_crop(sample: PhotoDrag, size: int) -> tuple[Case, Edit] | None:
    """Place a drag in the crop of the picture's face; None without one, or with points outside."""
    try:
        quad = ffhq_quad(find_faces(sample.pixels).faces[0])
    except NoFaceFound:
        return None
    matrix = photo_to_aligned(quad, size)
    ends = np.array([[point.handle, point.target] for point in sample.points])
    ends = placed(matrix, ends)
    if ends.min() < 0 or ends.max() > size - 1:
        return None
    points = tuple(DragPoint((a, b), (c, d)) for (a, b), (c, d) in ends.tolist())
    white = np.repeat(sample.movable_mask[..., None], 3, axis=2).astype(np.uint8) * 255
    mask = align(white, quad, size).image[..., 0] > 127
    aligned = align(sample.pixels, quad, size).image
    face = np.asarray(load_landmarker().landmarks68(aligned), np.float64)
    case = Case(sample.name.replace("/", "_"), sample.pixels, quad, aligned, face)
    return case, Edit("dragbench", "given", points, mask)


def _moved(maker: Maker, way: str | None, edit: Edit, sample: PhotoDrag) -> dict[str, float]:
    pixels = sample.pixels if way is None else maker.make(way, edit)
    before, after = (to_tensor(each, "cpu") for each in (sample.pixels, pixels))
    return {"dai": accuracy_index(before, after, sample.points)}
