"""How cost grows: with resolution, points, distance between two points, and photos in one tuning.

Curves, not a comparison to the last percent: all figures of a curve come from one process, from
small to large, so that its largest memory after each is that of the size.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.literal import LiteralDrag, LiteralProjection, LiteralTuning
from benchmarks.networks import build_distance, build_network, network_config, random_ws
from benchmarks.plots import lines
from benchmarks.section import Cell, Options, Section, Table
from benchmarks.speed_drag import Steps, middle_mask, spread_points
from benchmarks.speed_inversion import MANY, SAMPLES, random_target, tuning_for_timing
from benchmarks.timing import FULL, Effort, measure_apart, peak_mb, quartiles, repeat
from drag.methods import METHODS
from drag.points import DragPoint
from drag.sampling import feature_resolution
from inversion.projection import Inversion, ProjectionConfig, project, settled
from pti.tuning import tune
from stylegan2.latents import w_statistics

QUICK = Effort(0.2, 1, 5)

RESOLUTIONS = (64, 128, 256, 512, 1024)
QUICK_RESOLUTIONS = RESOLUTIONS[:3]
WORKS = ("drag", "drag, mask", "projection", "tuning")

POINTS = (1, 2, 5, 10, 20, 68)
QUICK_POINTS = (1, 4, 16)

GAPS = (0, 4, 8, 12, 16, 24, 32, 48, 64)
"""Distances of two points in feature pixels: their windows lie on each other, overlap, and part."""
QUICK_GAPS = (0, 16, 48)

PHOTOS = (1, 2, 4, 8)
QUICK_PHOTOS = (1, 2, 4)

Curve = list[tuple[float, float, float]]
"""What grows, median seconds, MB."""


def measure_resolutions(
    work: str, who: str, sizes: list[int], device: str, seed: int, effort: dict[str, Any]
) -> dict[str, Any]:
    """Time one kind of step with config-F networks of several sizes."""
    curve: Curve = []
    for size in sizes:
        seconds = _timed(work, who, f"config-f-{size}", device, seed, Effort(**effort))
        curve.append((size, quartiles(seconds).median, peak_mb(device)))
    return {"curve": curve}


def _timed(
    work: str, who: str, network: str, device: str, seed: int, effort: Effort
) -> list[float]:
    """Time a step of a drag by two points, of projection or of tuning with locality."""
    masked = work == "drag, mask"
    if work.startswith("drag"):
        if who != "literal":
            steps = Steps(network, who, 2, masked, device, seed)
            return repeat(steps.step, effort, device, before=steps.ready)
        generator = build_network(network, device, seed)
        mask = middle_mask(generator.resolution).to(device) if masked else None
        points = spread_points(generator.resolution, 2)
        drag = LiteralDrag(generator, random_ws(generator, seed), points, mask)
        return repeat(drag.step, effort, device)
    if work == "projection":
        return _projection(who, network, device, seed, effort)
    return _tuning(who, network, 1, device, seed, effort)


def _projection(who: str, network: str, device: str, seed: int, effort: Effort) -> list[float]:
    generator = build_network(network, device, seed)
    perceptual = build_distance("offline", device)
    target = random_target(generator, seed, device)
    rng = torch.Generator().manual_seed(seed)
    statistics = w_statistics(generator, SAMPLES)
    if who == "literal":
        literal = LiteralProjection(
            generator, target, perceptual, statistics.mean[None], statistics.std, rng, steps=MANY
        )
        return repeat(literal.step, effort, device)
    config = settled(ProjectionConfig(steps=MANY), None)
    steps = project(generator, target, perceptual, config, statistics, rng)
    return repeat(lambda: next(steps), effort, device, first_prepares=True)


def _tuning(
    who: str, network: str, photos: int, device: str, seed: int, effort: Effort
) -> list[float]:
    """Time a tuning step of several photos; the literal one has a network for each."""
    generator = build_network(network, device, seed)
    perceptual = build_distance("offline", device)
    rng = torch.Generator().manual_seed(seed)
    targets = [random_target(generator, seed + i, device) for i in range(photos)]
    every = [random_ws(generator, seed + i) for i in range(photos)]
    if who == "literal":
        pairs = zip(targets, every, strict=True)
        tunings = [
            LiteralTuning(generator, target, perceptual, ws, rng, locality=True)
            for target, ws in pairs
        ]
        return repeat(lambda: [tuning.step() for tuning in tunings], effort, device)
    noise = {name: one.clone() for name, one in generator.synthesis.noise_consts().items()}
    inversions = [Inversion(ws, noise) for ws in every]
    config = tuning_for_timing()
    steps = tune(generator, targets, inversions, perceptual, config, rng)
    cycle = config.locality_every
    seconds = repeat(lambda: next(steps), effort, device, unit=cycle, first_prepares=True)
    return [sum(seconds[i : i + cycle]) / cycle for i in range(0, len(seconds), cycle)]


def measure_points(
    who: str, network: str, counts: list[int], device: str, seed: int, effort: dict[str, Any]
) -> dict[str, Any]:
    """Time a drag step with more and more points, no mask."""
    curve: Curve = []
    for count in counts:
        seconds = _drag(who, network, count, device, seed, Effort(**effort))
        curve.append((count, quartiles(seconds).median, peak_mb(device)))
    return {"curve": curve}


def measure_gaps(
    who: str, network: str, gaps: list[int], device: str, seed: int, effort: dict[str, Any]
) -> dict[str, Any]:
    """Time a drag step of two points farther and farther from each other, no mask."""
    curve: Curve = []
    size = network_config(network).resolution
    scale = size / feature_resolution(size)
    for gap in gaps:
        # One pixel apart at least: handles must differ.
        apart = max(gap * scale, 1.0) / 2
        middle, way = size / 2, size / 8
        handles = ((middle - apart, middle), (middle + apart, middle))
        points = [DragPoint((x, y), (x, y - way)) for x, y in handles]
        seconds = _drag(who, network, points, device, seed, Effort(**effort))
        curve.append((gap, quartiles(seconds).median, peak_mb(device)))
    return {"curve": curve}


def _drag(
    who: str, network: str, points: list[DragPoint] | int, device: str, seed: int, effort: Effort
) -> list[float]:
    if who != "literal":
        steps = Steps(network, who, points, False, device, seed)
        return repeat(steps.step, effort, device, before=steps.ready)
    generator = build_network(network, device, seed)
    if isinstance(points, int):
        points = spread_points(generator.resolution, points)
    drag = LiteralDrag(generator, random_ws(generator, seed), points)
    return repeat(drag.step, effort, device)


def measure_photos(
    who: str, network: str, counts: list[int], device: str, seed: int, effort: dict[str, Any]
) -> dict[str, Any]:
    """Time a tuning step of more and more photos."""
    curve: Curve = []
    for count in counts:
        seconds = _tuning(who, network, count, device, seed, Effort(**effort))
        curve.append((count, quartiles(seconds).median, peak_mb(device)))
    return {"curve": curve}


# ---------------------------------------------------------------------------------------------
# The section


def run(options: Options) -> Section:
    """Measure all curves."""
    quick = options.quick
    common: dict[str, Any] = {
        "device": options.device,
        "seed": options.seed,
        "effort": QUICK if quick else FULL,
    }
    sizes = QUICK_RESOLUTIONS if quick else RESOLUTIONS
    drag_network = "embedded" if quick else "config-f-256"
    ours = tuple(sorted(METHODS))
    panels: dict[str, dict[str, Curve]] = {}

    def add(panel: str, who: str, function: str, **given: Any) -> None:
        options.say(f"{panel}: {who}")
        found = measure_apart(__name__, function, who=who, **given, **common)
        curve = [(float(x), float(y), float(mb)) for x, y, mb in found["curve"]]
        panels.setdefault(panel, {})[who] = curve

    for work in WORKS[:1] if quick else WORKS:
        for who in ("literal", *(ours if work.startswith("drag") else ("realdrag",))):
            add(f"resolution, {work}", who, "measure_resolutions", work=work, sizes=list(sizes))
    for who in ("literal", *ours):
        counts = list(QUICK_POINTS if quick else POINTS)
        add("points", who, "measure_points", network=drag_network, counts=counts)
    for who in ours if quick else ("literal", *ours):
        gaps = list(QUICK_GAPS if quick else GAPS)
        # The embedded network's windows are most of its blocks, which then run whole.
        add("distance of two points", who, "measure_gaps", network="config-f-256", gaps=gaps)
    for who in ("literal", "realdrag"):
        counts = list(QUICK_PHOTOS if quick else PHOTOS)
        add("photos in one tuning", who, "measure_photos", network="embedded", counts=counts)
    plot = "growth.png"
    lines(
        options.results / plot,
        {
            panel: {who: [(x, y) for x, y, _ in curve] for who, curve in curves.items()}
            for panel, curves in panels.items()
        },
        x_label="what grows",
        y_label="seconds a step",
    )
    return Section(
        "growth",
        "Speed: how cost grows",
        (
            "Medians of a step's seconds (and the process's largest memory so far in MB). "
            f"Resolutions are config F's with two points; points were added with the network "
            f"{drag_network}; distances are in feature pixels of a 256 network, where a distance "
            "of 0 stands for one pixel; photos were tuned together with the embedded network, by "
            "the literal reference each with a network of its own. Tuning is with locality, "
            "perceptual distances are the offline one.",
        ),
        tuple(_table(panel, curves) for panel, curves in panels.items()),
        (plot,),
        {"curves": panels},
    )


def _table(panel: str, curves: dict[str, Curve]) -> Table:
    """Make a table with one row for each size, and growth as a factor to the first."""
    sizes = [x for x, _, _ in next(iter(curves.values()))]
    header = [panel.split(",")[0]]
    for who in curves:
        header += [who, "times the first", "MB"]
    rows: list[tuple[Cell, ...]] = []
    for i, size in enumerate(sizes):
        row: list[Cell] = [f"{size:g}"]
        for curve in curves.values():
            _, seconds, megabytes = curve[i]
            row += [f"{seconds:.4g} s", f"{seconds / curve[0][1]:.2f}", f"{megabytes:.0f}"]
        rows.append(tuple(row))
    return Table(panel, tuple(header), tuple(rows))
