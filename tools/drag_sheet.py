"""Drag development photos, for the embedded generator's card.

python -m tools.drag_sheet --faces faces

Writes drags.jpg beside the weights: ten photos, a drag each, before, after, and the tuned face with
the way that each handle took (red where it began, blue its target, white the way). Prints how all
drags of all ten photos ended, as a table.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.drags import SHAPES, Handle, Shape, StandardDrag, standard_drags
from benchmarks.faces import load_generator
from benchmarks.inversions import Inverter, TunedPhoto, dev_photos
from benchmarks.measures import measure
from benchmarks.methods import DragResult, by_session
from benchmarks.photos import rendered
from benchmarks.section import Cell, Options, markdown_table, mean_of
from benchmarks.sheets import beside, contact_sheet, marked
from drag.session import DragConfig, DragStep
from inversion.faces.alignment import align
from inversion.perceptual import build_perceptual
from inversion.projection import ProjectionConfig
from pipeline.picture.composite import paste_back
from pipeline.picture.photo import read_photo
from pti.config import TuningConfig
from stylegan2.embedded import EMBEDDED, embedded_path
from stylegan2.images import to_uint8

PHOTOS = 10
TILE = 192
COLUMNS = 2

Tracks = list[tuple[tuple[float, float], ...]]

WIDER = (
    Handle("eye left", (-0.55, 0.55), (-0.1, 0.0)),
    Handle("eye right", (0.55, 0.55), (0.1, 0.0)),
)
CLOSED = (
    Handle("mouth", (0.0, -0.1), (0.0, 0.0)),
    Handle("mouth", (0.0, 0.12), (0.0, -0.08)),
)
DRAGS: Mapping[str, Shape] = {
    "turn the head": SHAPES["head turn"],
    "open the mouth": SHAPES["mouth open"],
    "close the mouth": (CLOSED, SHAPES["mouth open"][1]),
    "raise the brows": SHAPES["brows up"],
    "widen the face": (WIDER, None),
}


def main() -> None:
    """Write the sheet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, required=True, help="folder with dev/")
    parser.add_argument("--photos", type=int, default=PHOTOS, help="how many (default: 10)")
    parser.add_argument("--output", type=Path, default=embedded_path().parent / "drags.jpg")
    parser.add_argument("--work", type=Path, default=Path("runs/benchmarks"))
    asked = parser.parse_args()
    options = Options(
        quick=False,
        seed=1,
        network=EMBEDDED,
        faces=asked.faces,
        device="cpu",
        work=asked.work,
        results=asked.work,
        say=print,
    )
    generator = load_generator(options)
    inverter = Inverter(options, generator, build_perceptual("offline"))
    figures: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in DRAGS}
    rows = []
    for i, photo in enumerate(islice(dev_photos(asked.faces, generator.resolution), asked.photos)):
        tuned = inverter.tune(photo, ProjectionConfig(), TuningConfig())
        before = rendered(tuned)
        for j, drag in enumerate(standard_drags(photo.five, generator.resolution, DRAGS)):
            result, tracks = dragged(tuned, drag)
            measured = measure(before, result, drag.points)
            figures[drag.name].append(
                (measured.arrived, measured.remaining, measured.followed, measured.steps)
            )
            if j == i % len(DRAGS):
                rows.append(sheet_row(asked.faces, tuned, drag, result, tracks))
    contact_sheet(rows, COLUMNS).save(asked.output, quality=90, optimize=True)
    print(table(figures))


def dragged(tuned: TunedPhoto, drag: StandardDrag) -> tuple[DragResult, Tracks]:
    """Drag a tuned photo as the drag stage does; returns the way of each handle, too."""
    steps: list[DragStep] = []
    result = by_session(
        tuned.generator,
        tuned.inversion.w_pivot,
        tuned.inversion.noise_consts,
        drag.points,
        drag.movable_mask,
        config=DragConfig(),
        on_step=steps.append,
    )
    handles = [step.handles for step in steps]
    return result, list(zip(*handles[: handles.index(result.handles) + 1], strict=True))


def sheet_row(
    faces: Path, tuned: TunedPhoto, drag: StandardDrag, result: DragResult, tracks: Tracks
) -> Image.Image:
    """Put the photo, the edited photo and the dragged face with its tracks side by side."""
    with np.load(faces / "dev_landmarks.npz", allow_pickle=False) as stored:
        quad = stored["quad"][list(stored["id"]).index(tuned.photo.name)]
    pixels = read_photo(faces / "dev" / f"{tuned.photo.name}.jpg").pixels
    before = to_uint8(rendered(tuned))
    edited = paste_back(pixels, quad, before, to_uint8(result.picture))
    crops = [Image.fromarray(align(each, quad, TILE).image) for each in (pixels, edited)]
    return beside([*crops, marked(result.picture, drag.points, TILE, tracks)])


def table(figures: Mapping[str, list[tuple[float, float, float, float]]]) -> str:
    """Write how drags ended as Markdown; lengths in pixels of 512."""
    rows: list[tuple[Cell, ...]] = []
    for name, each in figures.items():
        arrived = sum(figure[0] for figure in each)
        remaining, followed, steps = (
            mean_of([figure[i] for figure in each if figure[i] == figure[i]]) for i in (1, 2, 3)
        )
        rows.append((name, len(each), f"{arrived:.0f}", remaining, followed, steps))
    header = ("drag", "photos", "arrived", "remaining", "followed", "steps")
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
