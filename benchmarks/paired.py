"""Paired reconstruction: drag one picture into another by points on the flow between them.

DragGAN (arXiv 2305.10973), section 4.2. The second picture is the first with its first six ws
part of the way to another face's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.faces import RandomFace, load_generator, random_faces
from benchmarks.flow import READ_RADIUS, SIZE, flow_between, from_512
from benchmarks.kept import Kept
from benchmarks.latent_transformer import (
    TRANSFORMER_EXPLAINED,
    sample_name,
    with_transformer,
)
from benchmarks.measures import EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import MAIN_WITH_NO_EDIT, NO_EDIT, WITH_NO_EDIT, Method
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from drag.points import DragPoint
from inversion.perceptual import PerceptualDistance, build_perceptual
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator
from stylegan2.images import to_uint8

TITLE = "Paired reconstruction"

PERTURBED_WS = 6
TOWARDS = 0.3
"""Of the way to the other face."""

COUNTS = (1, 5, 32)
LEAST_MOVE = 8.0
MOST_MOVE = 64.0
"""Pixels of 512: what moved less is no drag, what moved more is mostly not seen."""

SHOWN = ("remaining", "pixel error", "DAI", "seen", "arrived", "steps")

Key = tuple[int, str]

PAPER_FIGURES = (
    "The paper's own, with 32 points on 512 networks: MSE x100 of lion .66, cat 1.04, dog .48, car "
    "1.67, LPIPS x10 of .72, .82, .44, .74."
)


@dataclass(frozen=True)
class Pair:
    """A face, the picture to reach, and points that lead there, best spread first."""

    first: RandomFace
    second: Tensor
    points: tuple[DragPoint, ...]


def run(options: Options) -> Section:
    """Measure how near drags along the flow come to the second picture."""
    generator = load_generator(options)
    perceptual = build_perceptual(device=options.device)
    kept = Kept(options, "paired", weights_hash(generator))
    number = options.number(1, 25)
    methods = with_transformer(
        MAIN_WITH_NO_EDIT if options.quick else WITH_NO_EDIT, options.transformer, generator
    )
    errors: dict[Key, list[tuple[float, float]]] = {}
    drags: dict[Key, list[Measured]] = {}
    for i, pair in zip(range(number), pairs(generator, options.seed), strict=False):
        for count in COUNTS[1:] if options.quick else COUNTS:
            points = pair.points[:count]
            for name, method in methods.items():
                options.say(f"  pair {i + 1} of {number}, {count} points, {name}")
                make = partial(_sample, generator, pair, points, method, perceptual)
                found = kept.sample(f"{i} {count} {sample_name(name, options.transformer)}", make)
                errors.setdefault((count, name), []).append(tuple(found["errors"]))
                drags.setdefault((count, name), []).append(Measured(**found["measured"]))
    return _section(options, perceptual.name, errors, drags, number)


def _sample(
    generator: Generator,
    pair: Pair,
    points: tuple[DragPoint, ...],
    method: Method,
    perceptual: PerceptualDistance,
) -> dict[str, Any]:
    made = method(generator, pair.first.ws, None, points, None)
    mse = float((made.picture - pair.second).square().mean())
    distance = float(perceptual(made.picture, pair.second)[0])
    measured = vars(measure(pair.first.picture, made, points))
    return {"errors": (100 * mse, 10 * distance), "measured": measured}


def pairs(generator: Generator, seed: int) -> Iterator[Pair]:
    """Yield pairs without end, always the same ones for a seed."""
    faces = random_faces(generator, seed)
    rng = np.random.default_rng(seed)
    while True:
        first, other = next(faces), next(faces)
        ws = first.ws.clone()
        part = slice(0, PERTURBED_WS)
        ws[:, part] = torch.lerp(first.ws[:, part], other.ws[:, part], TOWARDS)
        with torch.no_grad():
            second = generator.synthesis(ws)
        points = _flow_points(first.picture, second, rng, max(COUNTS))
        if len(points) == max(COUNTS):
            yield Pair(first, second, points)


def _flow_points(
    first: Tensor, second: Tensor, rng: np.random.Generator, count: int
) -> tuple[DragPoint, ...]:
    """Draw points, at least twice READ_RADIUS apart, whose flow is checked and not tiny."""
    flow = flow_between(to_uint8(first), to_uint8(second))
    length = np.linalg.norm(flow.moves, axis=2)
    usable = flow.checked & (length >= LEAST_MOVE) & (length <= MOST_MOVE)
    rows, columns = usable.nonzero()
    chosen: list[tuple[int, int]] = []
    for i in rng.permutation(len(rows)):
        x, y = int(columns[i]), int(rows[i])
        if all(np.hypot(x - a, y - b) >= 2 * READ_RADIUS for a, b in chosen):
            chosen.append((x, y))
        if len(chosen) == count:
            break
    size = first.shape[-1]
    points = []
    for x, y in chosen:
        places = np.array([[x, y], flow.moves[y, x] + (x, y)], np.float64)
        handle, target = from_512(places.clip(0, SIZE - 1), size).clip(0, size - 1).tolist()
        points.append(DragPoint((handle[0], handle[1]), (target[0], target[1])))
    return tuple(points)


def _section(
    options: Options,
    distance: str,
    errors: dict[Key, list[tuple[float, float]]],
    drags: dict[Key, list[Measured]],
    number: int,
) -> Section:
    rows: list[tuple[Cell, ...]] = []
    mse: dict[str, dict[str, Mean]] = {}
    near: dict[str, dict[str, Mean]] = {}
    pixels: dict[str, dict[str, Mean]] = {}
    for (count, name), values in errors.items():
        figures = summary(drags[count, name])
        group = f"{count} point{'s' if count > 1 else ''}"
        first, second = mean_of(a for a, _ in values), mean_of(b for _, b in values)
        mse.setdefault(group, {})[name] = first
        near.setdefault(group, {})[name] = second
        pixels.setdefault(group, {})[name] = figures["pixel error"]
        shown = (figures[key] for key in SHOWN)
        rows.append((count, name, first, second, *shown, len(values)))
    header = ("points", "method", "MSE x100", "perceptual x10", *SHOWN, "n")
    table = Table("Error to the second picture", header, tuple(rows))
    bars(
        options.results / "paired.png",
        {"MSE x100": mse, "perceptual x10": near, "pixel error": pixels},
    )
    counts = dict.fromkeys(count for count, _ in drags)
    most = max(counts)
    wanted = mean_of(d.wanted for d in drags[most, NO_EDIT])
    text = (
        f"A picture is dragged into a second one, whose first {PERTURBED_WS} ws lie {TOWARDS:.0%} "
        f"of the way to another face's, by {', '.join(map(str, counts))} random points on "
        "the dense flow between "
        f"the two (OpenCV's DIS, forward-backward checked, {LEAST_MOVE:.0f} to {MOST_MOVE:.0f} "
        f"pixels long, {wanted} on average over the {most}). MSE is of pixels in [-1, 1], the "
        f"perceptual distance is {distance}. {number} pair{'s' if number > 1 else ''}.",
        *((TRANSFORMER_EXPLAINED,) if options.transformer else ()),
        EXPLAINED,
        PAPER_FIGURES,
    )
    everything = {f"{count} {name}": each for (count, name), each in drags.items()}
    figures_of_pairs = {f"{count} {name}": each for (count, name), each in errors.items()}
    return Section(
        "paired",
        TITLE,
        text,
        (table,),
        ("paired.png",),
        {"drags": raw(everything), "mse_x100_and_perceptual_x10": figures_of_pairs},
    )
