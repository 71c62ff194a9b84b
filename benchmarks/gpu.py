"""What a GPU makes of the steps that people wait for, beside goals and the arithmetic's floor.

All in one process and in under 90 seconds; on a GPU it takes one command to fill the table:
`python -m benchmarks gpu`. The small commands at the end are those of `realdrag demo`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import network_config
from benchmarks.section import Options, Section, SectionSkipped, Table
from benchmarks.speed_drag import measure_ours, step_flops
from benchmarks.speed_inversion import (
    features_flops,
    measure_projection,
    measure_tuning,
    projection_flops,
    tuning_flops,
)
from benchmarks.speed_rows import HEADER, Row, cells
from benchmarks.timing import (
    FULL,
    QUICK,
    Effort,
    measure_convolution,
    peak_mb,
    quartiles,
    seconds_text,
)
from pipeline.jobs.demo import RECIPE, write_demo
from pipeline.jobs.drag import DragRequest, drag
from pipeline.jobs.prepare import invert, tune
from pipeline.machine.bench import Bench
from pipeline.progress import Event, StageDone, follow
from pti.config import TuningConfig

GPU = Effort(2.5, 3, FULL.most)
"""Less than elsewhere: a GPU's steps are short, and its time is dear."""

DEMO_GOALS = {"invert": 2.0, "tune": 2.0, "drag": 0.2}
"""Seconds of the demo's stages."""


@dataclass(frozen=True)
class Case:
    """A step that is measured: what it is, its goal in seconds, its arithmetic in flops."""

    what: str
    who: str
    goal: float
    flops: int
    measure: Callable[[Effort], dict[str, Any]]


def drag_cases(
    device: str, seed: int, large: str = "config-f-1024", middle: str = "config-f-256"
) -> Iterator[Case]:
    """Yield steps of drags: the paper's at 1024, the default at 256, both with the embedded one."""
    for network, method, masked, goal in (
        (large, "draggan", False, 0.004),
        (large, "draggan", True, 0.004),
        (middle, "newton", False, 0.006),
        (middle, "newton", True, 0.008),
        ("embedded", "draggan", False, 0.002),
        ("embedded", "newton", False, 0.004),
    ):
        what = f"drag step, {network}, two points{', mask' if masked else ''}"
        flops = step_flops(network_config(network), method, masked, 2)
        measure = partial(_drag, network, method, masked, device, seed)
        yield Case(what, method, goal, flops, measure)


def _drag(
    network: str, method: str, masked: bool, device: str, seed: int, effort: Effort
) -> dict[str, Any]:
    return measure_ours(network, method, masked, 2, False, device, seed, vars(effort))


def loss_cases(
    device: str, seed: int, network: str = "config-f-1024", distance: str = "vgg"
) -> Iterator[Case]:
    """Yield steps of projection and of tuning with locality, in both precisions."""
    config, features = network_config(network), features_flops(distance, 256)
    every = TuningConfig().locality_every
    for precision in ("fp32", "bf16"):
        given = (network, distance, "realdrag", device, seed)
        yield Case(
            f"projection step, {network}, {distance}", precision, 0.025,
            projection_flops(config, features),
            partial(_loss, measure_projection, given, precision),
        )  # fmt: skip
        yield Case(
            f"tuning step with locality, {network}, {distance}", precision, 0.035,
            tuning_flops(config, features, every),
            partial(_loss, measure_tuning, given, precision),
        )  # fmt: skip


def _loss(
    measure: Callable[..., dict[str, Any]], given: tuple[Any, ...], precision: str, effort: Effort
) -> dict[str, Any]:
    return measure(*given, vars(effort), precision=precision)


def demo_rows(device: str) -> list[tuple[str, str, str]]:
    """Invert, tune and drag the demo's portrait from nothing; return what each stage took."""
    bench, seconds = Bench(device), dict[str, float]()

    def note(event: Event) -> None:
        if isinstance(event, StageDone):
            seconds[event.stage] = event.seconds

    with tempfile.TemporaryDirectory(prefix="realdrag-") as place:
        folder = Path(place)
        photo, points = write_demo(folder)
        workspace = follow(invert(photo, RECIPE, bench, parent=folder), note)
        follow(tune([workspace], RECIPE, bench), note)
        follow(drag(workspace, DragRequest(points), RECIPE, bench), note)
    return [
        (stage, seconds_text(took), seconds_text(goal) if (goal := DEMO_GOALS.get(stage)) else "-")
        for stage, took in seconds.items()
    ]


def run(options: Options) -> Section:
    """Time all of it on the GPU that is there, or on the device that is named."""
    device = options.device
    if device == "cpu":
        if not torch.cuda.is_available():
            raise SectionSkipped("no GPU is here (torch sees no CUDA device)")
        device = "cuda"
    effort = QUICK if options.quick else GPU
    speed = measure_convolution(device, vars(effort))
    flops = speed["flops"] / quartiles(speed["seconds"]).median
    rows, raw = [], dict[str, Any]()
    for case in (*drag_cases(device, options.seed), *loss_cases(device, options.seed)):
        options.say(f"{case.what}: {case.who}")
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        found = case.measure(effort)
        raw[f"{case.what}, {case.who}"] = found
        rows.append(
            Row(
                case.what, case.who, found["seconds"], peak_mb(device), None, case.goal,
                case.flops / flops,
            )
        )  # fmt: skip
    options.say("the demo's portrait")
    demo = demo_rows(device)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Section(
        "gpu",
        "Speed: a GPU",
        (
            f"{name}, all in one process: medians [quartiles] of repetitions after a first one. "
            "LPIPS has random weights, which take the same time. The floor is the arithmetic of "
            "the convolutions that cannot be left out, at the speed of a large fp32 convolution in "
            f"the same run (bf16 can be below it): {flops / 1e9:.0f} GFLOP/s.",
        ),
        (
            Table("Steps", HEADER, cells(rows)),
            Table("The demo's portrait, from nothing", ("stage", "seconds", "goal"), tuple(demo)),
        ),
        (),
        raw,
    )
