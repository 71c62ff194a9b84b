"""Real photos: standard drags of the development photos, after projection and tuning.

The photos are of real people: what is published is a contact sheet of small pictures.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.drags import FACE, StandardDrag, region_of, standard_drags
from benchmarks.faces import load_generator
from benchmarks.inversions import QUICK_TUNING, Inverter, TunedPhoto, dev_photos
from benchmarks.measures import DETAIL, EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import DEFAULT, MAIN, PAPER, DragResult
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from benchmarks.sheets import beside, contact_sheet, marked
from inversion.fidelity import fidelity
from inversion.perceptual import PerceptualDistance, build_perceptual
from inversion.projection import ProjectionConfig
from pti.config import TuningConfig

TITLE = "Real photos"

SHEET_DRAGS = 20
SHEET_COLUMNS = 2
TILE = 128
"""Of the contact sheet: drags, how many stand beside each other, and pixels of a picture."""

SEEN_ONLY = (
    "A picture that breaks drops out of *pixel error* and *followed*, for no flow is found in it, "
    "and may still have *arrived*: compare them where *seen* is alike, beside *DAI*, and look at "
    "the contact sheet."
)

QUICK_EACH = 2
"""Of the standard drags the quick form makes every second: the literal ones take a minute each."""

SHEET = "photos_sheet.jpg"

Key = tuple[str, str]


def run(options: Options) -> Section:
    """Measure what standard drags do to photos of people."""
    generator = load_generator(options)
    perceptual = build_perceptual(device=options.device)
    photos = list(
        islice(
            dev_photos(options.faces, generator.resolution, options.device), options.number(1, 40)
        )
    )
    inverter = Inverter(options, generator, perceptual)
    tuning = QUICK_TUNING if options.quick else TuningConfig()
    drags: dict[Key, list[Measured]] = {}
    outside: dict[Key, list[float]] = {}
    identity: dict[Key, list[float]] = {}
    stops: dict[str, Counter[str]] = {name: Counter() for name in MAIN}
    fidelities: list[dict[str, float]] = []
    seconds: list[tuple[float, float]] = []
    sheet: list[Image.Image] = []
    for i, photo in enumerate(photos):
        options.say(f"  photo {i + 1} of {len(photos)}")
        tuned = inverter.tune(photo, ProjectionConfig(), tuning)
        before = rendered(tuned)
        fidelities.append(fidelity(before, photo.target, perceptual))
        seconds.append((tuned.projection_seconds, tuned.tuning_seconds))
        chosen = standard_drags(photo.five, generator.resolution)
        if options.quick:
            chosen = chosen[::QUICK_EACH]
        for j, drag in enumerate(chosen):
            results = {}
            for name, method in MAIN.items():
                made = results[name] = method(
                    tuned.generator,
                    tuned.inversion.w_pivot,
                    tuned.inversion.noise_consts,
                    drag.points,
                    drag.movable_mask,
                )
                key = drag.name, name
                drags.setdefault(key, []).append(measure(before, made, drag.points))
                outside.setdefault(key, []).append(change_outside(before, made, drag.region))
                kept = face_distance(before, made.picture, photo.five, perceptual)
                identity.setdefault(key, []).append(kept)
                stops[name][made.stop] += 1
            # In the full form as many of each photo, other drags each time.
            each = -(-SHEET_DRAGS // len(photos))
            if len(sheet) < SHEET_DRAGS and (options.quick or (j - i) % len(chosen) < each):
                sheet.append(_sheet_row(before, drag, results))
    contact_sheet(sheet, SHEET_COLUMNS).save(options.results / SHEET, quality=88, optimize=True)

    names = list(dict.fromkeys(drag for drag, _ in drags))
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    rows: list[tuple[Cell, ...]] = []
    for drag_name in ("all", *names):
        for name in MAIN:
            keys = [(each, name) for each in names if drag_name in ("all", each)]
            figures = summary([drag for key in keys for drag in drags[key]])
            change = mean_of(value for key in keys for value in outside[key])
            kept_distance = mean_of(value for key in keys for value in identity[key])
            shown = (figures[figure] for figure in DETAIL)
            number = sum(len(drags[key]) for key in keys)
            rows.append((drag_name, name, *shown, change, kept_distance, number))
            group = drag_name.replace(" ", "\n")
            for title, value in (
                ("arrived", figures["arrived"]),
                ("pixel error", figures["pixel error"]),
                ("steps", figures["steps"]),
                ("change outside, of 255", change),
            ):
                panels.setdefault(title, {}).setdefault(group, {})[name] = value
    bars(options.results / "photos.png", panels, columns=2)
    header = ("drag", "method", *DETAIL, "outside", "face", "n")
    reasons = tuple(
        (name, *(str(count[reason]) for reason in _reasons(stops))) for name, count in stops.items()
    )
    text = (
        f"{len(photos)} photo{'s' if len(photos) > 1 else ''} through alignment, projection and "
        "tuning"
        + (f" (quick form: {tuning.steps} tuning steps)" if options.quick else "")
        + "; the tuned picture is "
        f"{mean_of(each['psnr'] for each in fidelities)} dB from the photo, "
        f"{perceptual.name} {mean_of(each['perceptual'] for each in fidelities)}; projection took "
        f"{mean_of(a for a, _ in seconds)} s and tuning {mean_of(b for _, b in seconds)} s. "
        "Then the standard drags of `benchmarks/drags.py`. *outside*: mean change of a pixel, of "
        "255, where none was asked for: outside the mask, or outside the face for the head turn, "
        "which has none. *face*: perceptual distance over the face between before and after: "
        "small means that the person stayed the same, but the drag itself counts, too.",
        EXPLAINED,
        SEEN_ONLY,
        "The contact sheet has threes: the tuned picture with handles (red) and targets (blue), "
        "after the default's drag, after the literal one's. Photos: see the model card's sources.",
    )
    return Section(
        "photos",
        TITLE,
        text,
        (
            Table("Standard drags", header, tuple(rows)),
            Table("Why drags stopped", ("method", *_reasons(stops)), reasons),
        ),
        ("photos.png", SHEET),
        {
            "drags": raw({f"{drag}, {name}": each for (drag, name), each in drags.items()}),
            "outside": {f"{drag}, {name}": each for (drag, name), each in outside.items()},
            "face": {f"{drag}, {name}": each for (drag, name), each in identity.items()},
            "fidelity": fidelities,
            "projection_and_tuning_seconds": seconds,
        },
    )


@torch.no_grad()
def rendered(tuned: TunedPhoto) -> Tensor:
    """Render a tuned photo before any drag."""
    inversion = tuned.inversion
    picture: Tensor = tuned.generator.synthesis(inversion.w_pivot, inversion.noise_consts)
    return picture


def change_outside(before: Tensor, made: DragResult, region: Tensor) -> float:
    """Return the mean absolute change, of 255, of the pixels that are not in region."""
    change = (made.picture - before).abs().mean(dim=1)[0] * 127.5
    return float(change[~region.to(change.device)].mean())


@torch.no_grad()
def face_distance(
    before: Tensor, after: Tensor, five: np.ndarray, perceptual: PerceptualDistance
) -> float:
    """Return the perceptual distance over the square around the face."""
    rows, columns = region_of(FACE, five, before.shape[-1]).nonzero(as_tuple=True)
    part = (
        ...,
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )
    return float(perceptual(before[part], after[part])[0])


def _reasons(stops: dict[str, Counter[str]]) -> tuple[str, ...]:
    return tuple(sorted({reason for count in stops.values() for reason in count}))


def _sheet_row(before: Tensor, drag: StandardDrag, results: dict[str, DragResult]) -> Image.Image:
    """Put before, default and literal side by side."""
    pictures = (before, results[DEFAULT].picture, results[PAPER].picture)
    return beside([marked(picture, drag.points, TILE) for picture in pictures])
