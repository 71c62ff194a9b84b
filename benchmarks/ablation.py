"""PTI's ablation: where the pivot comes from, and what a drag does afterwards.

Roich et al., 2021 (PTI, arXiv 2106.05744), section 4.4.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from benchmarks.drags import standard_drags
from benchmarks.faces import load_generator, random_faces
from benchmarks.frechet import frechet_mean, pooled_features
from benchmarks.inversions import DevPhoto, Inverter, dev_photos, tuned_copy
from benchmarks.inverted import fidelity_table
from benchmarks.kept import Kept
from benchmarks.measures import EXPLAINED, Measured, measure, raw, summary
from benchmarks.methods import DEFAULT, METHODS
from benchmarks.plots import bars
from benchmarks.section import Cell, Mean, Options, Section, Table, mean_of
from inversion.fidelity import fidelity
from inversion.perceptual import build_perceptual
from inversion.projection import Inversion, ProjectionConfig
from pti.config import TuningConfig
from pti.tuning import settled, tuned_parameters
from stylegan2.generator import Generator
from stylegan2.latents import to_ws

TITLE = "PTI's ablation"

TRUNCATION_PSI = 0.7
"""Of the random w."""

QUICK_STEPS = 25
"""Of projection and of tuning, in the quick form."""

Made = tuple[Generator, Inversion]
Way = Callable[[Inverter, DevPhoto, ProjectionConfig, TuningConfig], Made]


def projected(
    inverter: Inverter,
    photo: DevPhoto,
    projection: ProjectionConfig,
    tuning: TuningConfig,
    *,
    space: str,
) -> Made:
    """Project into W or W+, then tune."""
    tuned = inverter.tune(photo, replace(projection, space=space), tuning)
    return tuned.generator, tuned.inversion


def given(
    inverter: Inverter, photo: DevPhoto, _: ProjectionConfig, tuning: TuningConfig, *, start: str
) -> Made:
    """Tune at a w that has nothing to do with the photo."""
    inversion = _start(inverter, start)
    tuned = tuned_copy(
        inverter.generator,
        [photo.target],
        [inversion],
        inverter.perceptual,
        tuning,
        inverter.seed,
    )
    return tuned, inversion


def together(
    inverter: Inverter,
    photo: DevPhoto,
    projection: ProjectionConfig,
    tuning: TuningConfig,
    *,
    start: str,
) -> Made:
    """Optimise w and the network at once, for as many steps as projection and tuning take.

    Without locality: there is no pivot yet around which faces could be held.
    """
    projection = inverter.settled(projection)
    inversion = _start(inverter, start)
    generator = copy.deepcopy(inverter.generator)
    parameters = tuned_parameters(generator, tuning)
    for parameter in parameters:
        parameter.requires_grad_(True)
    w = inversion.w_pivot[:, :1].clone().requires_grad_(True)
    assert projection.steps is not None and projection.learning_rate is not None  # settled
    assert tuning.steps is not None and tuning.learning_rate is not None
    adam = torch.optim.Adam([{"params": parameters, "lr": tuning.learning_rate}])
    adam.add_param_group({"params": [w], "lr": projection.learning_rate})
    wanted = inverter.perceptual.features(photo.target)
    for _ in range(projection.steps + tuning.steps):
        ws = w.expand(-1, generator.num_ws, -1)
        image = generator.synthesis(ws, inversion.noise_consts)
        distance = inverter.perceptual.between(inverter.perceptual.features(image), wanted).sum()
        l2 = (image - photo.target).square().mean()
        adam.zero_grad(set_to_none=True)
        (tuning.perceptual_weight * distance + tuning.l2_weight * l2).backward()
        adam.step()
    generator.requires_grad_(False)
    ws = w.detach().expand(-1, generator.num_ws, -1).clone()
    return generator, Inversion(ws, inversion.noise_consts)


WAYS: Mapping[str, Way] = {
    "A: pivot in W": partial(projected, space="w"),
    "B: pivot in W+": partial(projected, space="w+"),
    "C: the mean w": partial(given, start="mean"),
    "D: a random w": partial(given, start="random"),
    "E: together, from the mean": partial(together, start="mean"),
    "F: together, from a random w": partial(together, start="random"),
}

QUICK_WAYS = ("A", "B", "C", "E")
"""The quick form has no time for those from a random w."""


def run(options: Options) -> Section:
    """Measure fidelity and dragging for each way to a tuned network."""
    generator = load_generator(options)
    perceptual = build_perceptual(device=options.device)
    photos = list(
        islice(
            dev_photos(options.faces, generator.resolution, options.device), options.number(1, 6)
        )
    )
    inverter = Inverter(options, generator, perceptual)
    projection = ProjectionConfig(steps=100)
    tuning = settled(TuningConfig(first_block=4), generator.resolution, encoded=False)
    if options.quick:
        projection, tuning = (
            replace(projection, steps=QUICK_STEPS),
            replace(tuning, steps=QUICK_STEPS),
        )
    kept = Kept(options, "ablation", inverter.weights)
    folder = options.work / "ablation"
    ways = {name: way for name, way in WAYS.items() if not options.quick or name[0] in QUICK_WAYS}
    table, words, to_photo = fidelity_table(kept, inverter, photos, options.quick, folder)
    fidelities: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    drags: dict[str, list[Measured]] = {name: [] for name in ways}
    pooled: dict[str, list[list[float]]] = {name: [] for name in ways}
    for i, photo in enumerate(photos):
        for name, way in ways.items():
            options.say(f"  photo {i + 1} of {len(photos)}, {name}")
            make = partial(_sample, inverter, photo, way, projection, tuning, options.quick)
            sample = kept.sample(f"{photo.name} {name}{' quickly' if options.quick else ''}", make)
            fidelities[name].append(sample["fidelity"])
            drags[name] += [Measured(**each) for each in sample["drags"]]
            pooled[name] += sample["pooled"]
    others = random_faces(generator, options.seed + 2000)
    undragged = pooled_features(
        [face.picture for face in islice(others, 32 if options.quick else 500)], perceptual
    )
    rows: list[tuple[Cell, ...]] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    for name in ways:
        figures = summary(drags[name])
        fit = {
            key: mean_of(each[key] for each in fidelities[name])
            for key in ("perceptual", "l2", "psnr", "ms_ssim")
        }
        frechet = frechet_mean(np.array(pooled[name]), undragged)
        shown = ("remaining", "pixel error", "followed", "arrived", "steps")
        cells = (*fit.values(), *(figures[key] for key in shown), frechet)
        rows.append((name, *cells, len(photos), len(drags[name])))
        for title, value in (
            ("perceptual distance to the photo", fit["perceptual"]),
            ("pixel error", figures["pixel error"]),
            ("arrived", figures["arrived"]),
        ):
            panels.setdefault(title, {}).setdefault(name[0], {})[""] = value
    bars(options.results / "ablation.png", panels)
    text = (
        "Ways to a network that renders a photo, "
        f"{inverter.settled(projection).steps} steps of projection and at most {tuning.steps} of "
        "tuning as PTI has it, then the standard drags by the default method"
        + (" (the quick form: one drag). " if options.quick else ". ")
        + "A is PTI. In E "
        "and F, w and the network are optimised at once, for as many steps as A's two stages. "
        f"Fidelity to the photo: {perceptual.name}, mean squared difference in [-1, 1], PSNR in "
        "dB, MS-SSIM. *Frechet*: of the dragged pictures to undragged random faces (few pictures "
        "are far for being few: compare the ways with each other).",
        EXPLAINED,
        *words,
    )
    header = ("way", "perceptual", "L2", "PSNR", "MS-SSIM", "remaining", "pixel error", "followed")
    return Section(
        "ablation",
        TITLE,
        text,
        (
            table,
            Table(
                "Fidelity, and a drag afterwards",
                (*header, "arrived", "steps", "Frechet", "photos", "drags"),
                tuple(rows),
            ),
        ),
        ("ablation.png",),
        {"to_the_photo": to_photo, "fidelity": fidelities, "drags": raw(drags)},
    )


def _sample(
    inverter: Inverter,
    photo: DevPhoto,
    way: Way,
    projection: ProjectionConfig,
    tuning: TuningConfig,
    quick: bool,
) -> dict[str, Any]:
    tuned, inversion = way(inverter, photo, projection, tuning)
    with torch.no_grad():
        before = tuned.synthesis(inversion.w_pivot, inversion.noise_consts)
    measured, pictures = [], []
    for drag in standard_drags(photo.five, tuned.resolution)[: 1 if quick else None]:
        made = METHODS[DEFAULT](
            tuned, inversion.w_pivot, inversion.noise_consts, drag.points, drag.movable_mask
        )
        measured.append(vars(measure(before, made, drag.points)))
        pictures.append(made.picture)
    return {
        "fidelity": fidelity(before, photo.target, inverter.perceptual),
        "drags": measured,
        "pooled": pooled_features(pictures, inverter.perceptual).tolist(),
    }


@torch.no_grad()
def _start(inverter: Inverter, start: str) -> Inversion:
    """Return the mean w or a random one, with the network's own noise."""
    generator = inverter.generator
    w = inverter.statistics.mean[None]
    if start == "random":
        rng = torch.Generator().manual_seed(inverter.seed + 4000)
        z = torch.randn(1, generator.config.z_dim, generator=rng)
        w = generator.mapping(z.to(w.device), truncation_psi=TRUNCATION_PSI)
    noise = {name: each.clone() for name, each in generator.synthesis.noise_consts().items()}
    return Inversion(to_ws(w, generator.num_ws).clone(), noise)
