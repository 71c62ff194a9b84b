"""How fast projection and tuning are: a step against the literal one, and the way to a distance.

LPIPS has random weights here, which take the same time as learned ones. Tuning's literal step
compares pictures at their full size, as PTI does; realdrag compares them at 256 at most.
"""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.floor import INPUTS_ONLY, WITH_WEIGHTS, module_flops, synthesis_flops
from benchmarks.literal import LiteralProjection, LiteralTuning
from benchmarks.networks import build_distance, build_network, network_config, random_ws
from benchmarks.plots import lines
from benchmarks.section import Cell, Options, Section, Table
from benchmarks.speed_rows import HEADER, Row, cells, machine_speed, speed_text
from benchmarks.timing import Effort, effort_of, measure_apart, peak_mb, repeat, seconds_text
from inversion.encoder_weights import encoder_for
from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.landmarks import find_faces
from inversion.perceptual import PerceptualDistance
from inversion.projection import (
    Inversion,
    ProjectionConfig,
    ProjectionStep,
    encoded_start,
    project,
    settled,
)
from pipeline.machine.precision import bf16_from
from pti.config import TuningConfig
from pti.locality import build_locality_pool
from pti.tuning import PTI, TuningStep, tune
from pti.tuning import settled as settled_tuning
from stylegan2.checkpoint import weights_hash
from stylegan2.generator import Generator, GeneratorConfig
from stylegan2.images import to_tensor
from stylegan2.latents import to_ws, w_statistics

PROJECTIONS = (
    ("config-f-1024", "vgg", True),
    ("config-f-1024", "offline", False),
    ("config-f-256", "vgg", False),
    ("embedded", "offline", True),
)
"""Network, distance, and whether the quick form has it."""

TUNINGS = (
    ("config-f-1024", "alex", True),
    ("config-f-1024", "vgg", False),
    ("config-f-1024", "offline", False),
    ("config-f-256", "alex", False),
    ("embedded", "offline", True),
)

GOALS = {("projection", "config-f-1024"): 1.5, ("tuning", "config-f-1024"): 1.8}
LOCALITY_GOAL = 2.5
"""Seconds a step on two CPU cores."""

MANY = 10_000
"""Steps planned, so that no schedule ends while steps are timed."""

SAMPLES = 1000
"""Of W, for the statistics where nothing depends on their precision."""


def random_target(generator: Generator, seed: int, device: str) -> Tensor:
    """Make a picture [1, 3, R, R] of noise: what is timed does not depend on it."""
    rng = torch.Generator().manual_seed(seed)
    size = generator.resolution
    return (torch.rand(1, 3, size, size, generator=rng) * 2 - 1).to(device)


# ---------------------------------------------------------------------------------------------
# In processes of their own


def measure_projection(
    network: str,
    distance: str,
    who: str,
    device: str,
    seed: int,
    effort: dict[str, Any],
    precision: str = "auto",
) -> dict[str, Any]:
    """Time a step of the projection; who is "literal" or "realdrag"."""
    generator = build_network(network, device, seed)
    perceptual = build_distance(distance, device)
    target = random_target(generator, seed, device)
    rng = torch.Generator().manual_seed(seed)
    statistics = w_statistics(generator, SAMPLES)
    if who == "literal":
        start = statistics.mean[None]
        literal = LiteralProjection(
            generator, target, perceptual, start, statistics.std, rng, steps=MANY
        )
        return {"seconds": repeat(literal.step, Effort(**effort), device)}
    config = settled(ProjectionConfig(steps=MANY, precision=precision), None)
    low = bf16_from(config.precision, device, generator.resolution)
    steps = project(generator, target, perceptual, config, statistics, rng, bf16_from=low)
    return {"seconds": repeat(lambda: next(steps), Effort(**effort), device, first_prepares=True)}


def measure_tuning(
    network: str,
    distance: str,
    who: str,
    device: str,
    seed: int,
    effort: dict[str, Any],
    precision: str = "auto",
) -> dict[str, Any]:
    """Time a step of tuning: "seconds" with locality, "without" it.

    realdrag regularises in some steps only: with it, a value is the mean of a cycle of steps.
    """
    generator = build_network(network, device, seed)
    perceptual = build_distance(distance, device)
    target = random_target(generator, seed, device)
    rng = torch.Generator().manual_seed(seed)
    ws = random_ws(generator, seed)
    if who == "literal":
        found: dict[str, Any] = {}
        for key, locality in (("without", False), ("seconds", True)):
            literal = LiteralTuning(generator, target, perceptual, ws, rng, locality=locality)
            found[key] = repeat(literal.step, Effort(**effort), device)
            found[f"{key}_peak_mb"] = peak_mb(device)
            del literal
        return found
    config = replace(tuning_for_timing(), precision=precision)
    inversion = Inversion(ws, {k: v.clone() for k, v in generator.synthesis.noise_consts().items()})
    low = bf16_from(config.precision, device, generator.resolution)
    steps = tune(generator, [target], [inversion], perceptual, config, rng, low)
    had_locality: list[bool] = []

    def step() -> None:
        taken: TuningStep = next(steps)
        had_locality.append(taken.locality != 0)

    cycle = config.locality_every
    seconds = repeat(step, Effort(**effort), device, unit=cycle, first_prepares=True)
    kinds = had_locality[1:]
    return {
        "seconds": [sum(seconds[i : i + cycle]) / cycle for i in range(0, len(seconds), cycle)],
        "without": [one for one, had in zip(seconds, kinds, strict=True) if not had],
    }


def tuning_for_timing() -> TuningConfig:
    """Return the default tuning without an end, and with one face to keep: steps cost the same."""
    return TuningConfig(
        steps=MANY, patience=10_000, perceptual_threshold=0.0, l2_threshold=0.0, locality_pool=1
    )


def measure_pool(network: str, device: str, seed: int, effort: dict[str, Any]) -> dict[str, Any]:
    """Time one of the pictures that locality regularization prepares."""
    generator = build_network(network, device, seed)
    pivot = random_ws(generator, seed)
    rng = torch.Generator().manual_seed(seed)
    return {
        "seconds": repeat(
            lambda: build_locality_pool(generator, [pivot], 7.07, 1, rng), Effort(**effort), device
        )
    }


def portrait(resolution: int, device: str) -> Tensor:
    """Return scikit-image's astronaut, aligned as the commands do: [1, 3, R, R]."""
    from skimage import data

    pixels = data.astronaut()
    face = find_faces(pixels, "offline", device).faces[0]
    return to_tensor(align(pixels, ffhq_quad(face), resolution).image, device)


def measure_way(who: str, device: str, seed: int, steps: int) -> dict[str, Any]:
    """Project and tune the portrait with the embedded network; tell when it was how near.

    literal starts at the mean and takes `steps`, as NVIDIA's projector takes 1000, then tunes at
    PTI's rate; realdrag goes its own way. projection and tuning hold [seconds, distance] of each
    step, on the clock of each; distances are those that the step itself has computed.
    """
    generator = build_network("embedded", device, seed)
    perceptual = build_distance("offline", device)
    target = portrait(generator.resolution, device)
    rng = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    projection: list[tuple[float, float]] = []
    tuning: list[tuple[float, float]] = []
    if who == "literal":
        statistics = w_statistics(generator)
        start = statistics.mean[None]
        literal = LiteralProjection(
            generator, target, perceptual, start, statistics.std, rng, steps=steps
        )
        for _ in range(steps):
            distance = literal.step()
            projection.append((time.perf_counter() - started, distance))
        ws = to_ws(literal.w.detach(), generator.num_ws)
        started = time.perf_counter()
        tuned = LiteralTuning(generator, target, perceptual, ws, rng, locality=True)
        for _ in range(PTI.steps):
            loss = tuned.step()
            tuning.append((time.perf_counter() - started, loss))
        return {"projection": projection, "tuning": tuning}
    inversion = _projected(generator, target, perceptual, rng, projection, started, device)
    started = time.perf_counter()
    generator = copy.deepcopy(generator)
    encoded = encoder_for(weights_hash(generator)) is not None
    config = settled_tuning(TuningConfig(), generator.resolution, encoded=encoded)
    for step in tune(generator, [target], [inversion], perceptual, config, rng):
        tuning.append((time.perf_counter() - started, step.perceptual + step.l2))
    return {"projection": projection, "tuning": tuning}


def _projected(
    generator: Generator,
    target: Tensor,
    perceptual: PerceptualDistance,
    rng: torch.Generator,
    way: list[tuple[float, float]],
    started: float,
    device: str,
) -> Inversion:
    """Project as the commands do by default, with the network's encoder if it has one."""
    encoder = encoder_for(weights_hash(generator))
    config = settled(ProjectionConfig(), encoder)
    start = None if encoder is None else encoded_start(encoder, target, config)
    last: ProjectionStep | None = None
    statistics = w_statistics(generator)
    for last in project(generator, target, perceptual, config, statistics, rng, start):
        way.append((time.perf_counter() - started, last.distance))
    assert last is not None
    return last.inversion


# ---------------------------------------------------------------------------------------------
# The floor


def projection_flops(config: GeneratorConfig, features: int) -> int:
    """Count a step: synthesis and the distance's features, forward and back to the inputs."""
    return INPUTS_ONLY * (synthesis_flops(config) + features)


def tuning_flops(config: GeneratorConfig, features: int, locality_every: int = 0) -> int:
    """Count a step, with gradients of all weights; with locality a share of another.

    The kept picture's features are known beforehand.
    """
    step = WITH_WEIGHTS * synthesis_flops(config) + INPUTS_ONLY * features
    return step + (step // locality_every if locality_every else 0)


def features_flops(distance: str, resolution: int) -> int:
    """Count a perceptual distance's features of one picture, at 256 at most."""
    perceptual = build_distance(distance, "cpu")
    size = min(resolution, 256)

    class Features(torch.nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return perceptual.features(images)

    return module_flops(Features(), torch.zeros(1, 3, size, size))


# ---------------------------------------------------------------------------------------------
# The section


def run(options: Options) -> Section:
    """Time steps, and in the full form the way to a distance."""
    speed = machine_speed(options.device, options.quick)
    per_second = speed["flops_per_second"]
    raw: dict[str, Any] = {"convolution": speed}
    common: dict[str, Any] = {"device": options.device, "seed": options.seed}
    effort = effort_of(options.quick)
    goals = GOALS if options.device == "cpu" else {}
    rows: list[Row] = []
    for network, distance, quick in PROJECTIONS:
        if options.quick and not quick:
            continue
        what = f"projection step, {network}, {distance}"
        config = network_config(network)
        found = _measured(options, what, "measure_projection", network, distance)
        literal, ours = found["literal"], found["realdrag"]
        flops = projection_flops(config, features_flops(distance, config.resolution))
        goal = goals.get(("projection", network))
        rows.append(Row(what, "literal", literal["seconds"], literal["peak_mb"]))
        rows.append(
            Row(
                what,
                "realdrag",
                ours["seconds"],
                ours["peak_mb"],
                literal["seconds"],
                goal,
                flops / per_second,
            )
        )
        raw[what] = found
    for network, distance, quick in TUNINGS:
        if options.quick and not quick:
            continue
        what = f"tuning step, {network}, {distance}"
        config = network_config(network)
        found = _measured(options, what, "measure_tuning", network, distance)
        features = features_flops(distance, config.resolution)
        rows += _tuning_rows(what, config, features, found, per_second, goals, network)
        raw[what] = found
    for network in () if options.quick else ("config-f-1024", "embedded"):
        what = f"a face that locality keeps, {network}"
        options.say(what)
        ours = measure_apart(__name__, "measure_pool", network=network, effort=effort, **common)
        rows.append(Row(what, "realdrag", ours["seconds"], ours["peak_mb"]))
        raw[what] = ours
    tables = [Table("A step", HEADER, cells(rows))]
    plots: tuple[str, ...] = ()
    if not options.quick:
        ways = {}
        for who in ("literal", "realdrag"):
            options.say(f"the way to a distance: {who}")
            ways[who] = measure_apart(__name__, "measure_way", who=who, steps=1000, **common)
        raw["way"] = ways
        tables.append(_way_table(ways))
        plots = ("speed_inversion.png",)
        lines(
            options.results / plots[0],
            {
                stage: {who: best_so_far(way[stage]) for who, way in ways.items()}
                for stage in ("projection", "tuning")
            },
            x_label="seconds",
            y_label="smallest distance so far",
            log=True,
        )
    return Section(
        "speed_inversion",
        "Speed: projection and tuning",
        (
            "Projection and tuning against the literal steps of the same run. Both projections "
            "compare pictures averaged down to 256. The literal tuning compares whole pictures "
            "(with the offline distance, which has no such form, at 256), and keeps to a second "
            "network in each step where realdrag keeps to prepared pictures in every fourth: with "
            "locality, its value is the mean of a cycle. Both rows of a tuning come from one "
            "process. " + speed_text(speed),
        ),
        tuple(tables),
        plots,
        raw,
    )


def _measured(
    options: Options, what: str, function: str, network: str, distance: str
) -> dict[str, dict[str, Any]]:
    """Time a step of the literal one and of ours."""
    found = {}
    for who in ("literal", "realdrag"):
        options.say(f"{what}: {who}")
        found[who] = measure_apart(
            __name__,
            function,
            who=who,
            network=network,
            distance=distance,
            device=options.device,
            seed=options.seed,
            effort=effort_of(options.quick),
        )
    return found


def _tuning_rows(
    what: str,
    config: GeneratorConfig,
    features: int,
    found: dict[str, dict[str, Any]],
    per_second: float,
    goals: dict[tuple[str, str], float],
    network: str,
) -> list[Row]:
    literal, ours = found["literal"], found["realdrag"]
    goal = goals.get(("tuning", network))
    rows = []
    for key, name, target, every in (
        ("without", "without locality", goal, 0),
        (
            "seconds",
            "with locality",
            LOCALITY_GOAL if goal is not None else None,
            TuningConfig().locality_every,
        ),
    ):
        floor = tuning_flops(config, features, every) / per_second
        rows.append(Row(f"{what}, {name}", "literal", literal[key], literal[f"{key}_peak_mb"]))
        rows.append(
            Row(
                f"{what}, {name}",
                "realdrag",
                ours[key],
                ours["peak_mb"],
                literal[key],
                target,
                floor,
            )
        )
    return rows


def best_so_far(way: list[list[float]]) -> list[tuple[float, float]]:
    """Return [seconds, distance] with each distance the smallest up to then."""
    best, found = float("inf"), []
    for seconds, distance in way:
        best = min(best, distance)
        found.append((seconds, best))
    return found


def seconds_until(way: list[list[float]], distance: float) -> float | None:
    """Return when a way first came as near as that; None if it never did."""
    return next((seconds for seconds, now in way if now <= distance), None)


def _way_table(ways: dict[str, dict[str, Any]]) -> Table:
    """Tell how long each takes to the distance that the worse of the two ends at."""
    rows: list[tuple[Cell, ...]] = []
    for stage in ("projection", "tuning"):
        common = max(best_so_far(way[stage])[-1][1] for way in ways.values())
        for who, way in ways.items():
            until = seconds_until(way[stage], common)
            end = best_so_far(way[stage])[-1][1]
            whole = way[stage][-1][0]
            shown = "-" if until is None else seconds_text(until)
            rows.append((stage, who, f"{common:.3f}", shown, f"{end:.3f}", seconds_text(whole)))
    header = ("stage", "who", "distance", "reached after", "smallest", "all of it took")
    return Table("The portrait with the embedded network, offline distance", header, tuple(rows))
