"""There and back: a drag, and a second one that brings the handles back to where they were.

FreeDrag (Ling et al., 2023, arXiv 2307.04684) calls the distance to the start CCSD.
"""

from __future__ import annotations

import torch

from benchmarks.drags import standard_drags
from benchmarks.faces import LandmarkDetector, faces_with_landmarks, five_of, load_generator
from benchmarks.measures import DETAIL, EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import MAIN, METHODS, DragResult, Method
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from drag.points import DragPoint
from inversion.perceptual import build_perceptual
from stylegan2.generator import Generator

TITLE = "There and back"


def there_and_back(
    method: Method,
    generator: Generator,
    ws: torch.Tensor,
    points: tuple[DragPoint, ...],
    movable_mask: torch.Tensor | None,
) -> tuple[DragResult, DragResult]:
    """Drag, then drag from where the handles are said to be to where they began."""
    there = method(generator, ws, None, points, movable_mask)
    last = generator.resolution - 0.5
    back_points = tuple(
        DragPoint((min(max(x, -0.5), last), min(max(y, -0.5), last)), point.handle)
        for (x, y), point in zip(there.handles, points, strict=True)
    )
    return there, method(generator, there.ws, None, back_points, movable_mask)


def run(options: Options) -> Section:
    """Measure how far from its start a picture is after being dragged there and back."""
    generator = load_generator(options)
    detector = LandmarkDetector()
    perceptual = build_perceptual(device=options.device)
    number = options.number(1, 12)
    methods = MAIN if options.quick else METHODS
    drags: dict[str, list[Measured]] = {}
    by_drag: dict[str, dict[str, list[Measured]]] = {}
    outward: dict[str, list[float]] = {}
    remaining: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    faces = faces_with_landmarks(generator, detector, options.seed + 3000)
    for i in range(number):
        options.say(f"  face {i + 1} of {number}")
        face, landmarks = next(faces)
        chosen = standard_drags(five_of(landmarks), generator.resolution)
        for drag in chosen[::2] if options.quick else chosen:
            for name, method in methods.items():
                there, back = there_and_back(
                    method, generator, face.ws, drag.points, drag.movable_mask
                )
                measured = measure(face.picture, there, drag.points)
                drags.setdefault(name, []).append(measured)
                by_drag.setdefault(drag.name, {}).setdefault(name, []).append(measured)
                with torch.no_grad():
                    out = float(perceptual(there.picture, face.picture)[0])
                    home = float(perceptual(back.picture, face.picture)[0])
                outward.setdefault(name, []).append(out)
                remaining.setdefault(name, []).append(home)
                steps.setdefault(name, []).append(float(there.steps + back.steps))
    rows: list[tuple[Cell, ...]] = []
    distance: dict[str, dict[str, Mean]] = {"there": {}, "and back": {}}
    for name, each in drags.items():
        figures = summary(each)
        away, after = mean_of(outward[name]), mean_of(remaining[name])
        distance["there"][name], distance["and back"][name] = away, after
        share = mean_of(b / a for a, b in zip(outward[name], remaining[name], strict=True) if a > 0)
        shown = (figures[key] for key in ("remaining", "pixel error", "followed", "arrived"))
        rows.append((name, after, away, share, *shown, mean_of(steps[name]), len(each)))
    header = ("method", "after both", "after the first", "ratio", "remaining", "pixel error")
    table = Table(
        "Perceptual distance to the start, and the first drag",
        (*header, "followed", "arrived", "steps of both", "n"),
        tuple(rows),
    )
    detailed: tuple[tuple[Cell, ...], ...] = tuple(
        (drag, name, *(summary(each)[key] for key in DETAIL), len(each))
        for drag, per_method in by_drag.items()
        for name, each in per_method.items()
    )
    panels = {
        "perceptual distance to the start": distance,
        "arrived": _panel(by_drag, "arrived"),
        "pixel error": _panel(by_drag, "pixel error"),
        "steps": _panel(by_drag, "steps"),
    }
    bars(options.results / "there_and_back.png", panels, columns=2)
    text = (
        "Random faces are dragged (the standard drags of `benchmarks/drags.py`: head turn without "
        "a mask, the others inside one) and then back from where the handles are said to have "
        f"arrived. The distance to the start is {perceptual.name}. A method that hardly moves "
        "anything comes back easily, so the distance after the first drag, their ratio and what "
        f"the pixels did stand beside it. {number} faces.",
        EXPLAINED,
    )
    return Section(
        "there_and_back",
        TITLE,
        text,
        (table, Table("The first drag, by kind", ("drag", "method", *DETAIL, "n"), detailed)),
        ("there_and_back.png",),
        {"drags": raw(drags), "after_both": remaining, "after_the_first": outward},
    )


def _panel(
    by_drag: dict[str, dict[str, list[Measured]]], figure: str
) -> dict[str, dict[str, Mean]]:
    return {
        drag.replace(" ", "\n"): {name: summary(each)[figure] for name, each in methods.items()}
        for drag, methods in by_drag.items()
    }
