"""How fast a drag is: a step of it against the literal one, and a whole drag.

Both drag the same points of the same network in processes of their own. "draggan" is the paper's
method, whose result equals the literal reference (tests hold that); "newton" is the default, whose
steps cost more and of which a drag needs fewer.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.floor import synthesis_flops, windows_flops
from benchmarks.literal import LiteralDrag
from benchmarks.networks import build_network, network_config, random_ws
from benchmarks.plots import bars
from benchmarks.section import Mean, Options, Section, Table
from benchmarks.speed_rows import HEADER, Row, cells, machine_speed, speed_text
from benchmarks.timing import Effort, effort_of, measure_apart, quartiles, repeat, wait_for
from drag.config import DragConfig
from drag.methods import METHODS
from drag.newton import PROBES
from drag.points import DragPoint
from drag.sampling import feature_resolution, to_feature_length
from drag.session import DragSession
from stylegan2.generator import GeneratorConfig

NETWORKS = ("config-f-1024", "config-f-256", "embedded")
COMPARED = tuple(sorted(METHODS))
QUICK_CASES = (("config-f-1024", False), ("config-f-1024", True), ("embedded", False))

GOALS = {
    "cpu": {
        ("config-f-1024", False): 0.15,
        ("config-f-1024", True): 0.5,
        ("config-f-256", False): 0.1,
    },
    "cuda": {("config-f-1024", False): 0.004, ("config-f-1024", True): 0.004},
}
"""Seconds a step, by device, network and mask."""

PREVIEW_GOAL = 1 / 25
"""Seconds of a step of the embedded network with its picture."""

DISTANCE = 0.08
"""How far points are dragged, as a part of the picture's side."""

MOST_STEPS = 150
"""Of a whole drag."""


def spread_points(resolution: int, count: int) -> list[DragPoint]:
    """Put points on a grid within the middle of a picture, all to be dragged to the right."""
    rows = max(round(count**0.5), 1)
    columns = -(-count // rows)
    points = []
    for i in range(count):
        x = resolution * (0.25 + 0.5 * (i % columns + 0.5) / columns)
        y = resolution * (0.25 + 0.5 * (i // columns + 0.5) / rows)
        points.append(DragPoint((x, y), (x + DISTANCE * resolution, y)))
    return points


def middle_mask(resolution: int) -> Tensor:
    """Let the middle quarter of a picture move, and protect the rest."""
    mask = torch.zeros(resolution, resolution, dtype=torch.bool)
    quarter = resolution // 4
    mask[quarter:-quarter, quarter:-quarter] = True
    return mask


# ---------------------------------------------------------------------------------------------
# In processes of their own


def measure_literal(
    network: str, masked: bool, count: int, device: str, seed: int, effort: dict[str, Any]
) -> dict[str, Any]:
    """Time the literal step."""
    generator = build_network(network, device, seed)
    points = spread_points(generator.resolution, count)
    mask = middle_mask(generator.resolution).to(device) if masked else None
    drag = LiteralDrag(generator, random_ws(generator, seed), points, mask)
    return {"seconds": repeat(drag.step, Effort(**effort), device)}


class Steps:
    """Steps of a session; one that has stopped is begun anew, off the clock."""

    def __init__(
        self,
        network: str,
        method: str,
        points: Sequence[DragPoint] | int,
        masked: bool,
        device: str,
        seed: int,
    ) -> None:
        self.generator = build_network(network, device, seed)
        size = self.generator.resolution
        self._points = spread_points(size, points) if isinstance(points, int) else list(points)
        self._mask = middle_mask(size).to(device) if masked else None
        self._ws = random_ws(self.generator, seed)
        self._config = DragConfig(method=method)
        self.session = self._begun()

    def _begun(self) -> DragSession:
        return DragSession(self.generator, self._ws, None, self._points, self._config, self._mask)

    def ready(self) -> None:
        """Begin anew if the session has stopped."""
        if self.session.last.stop is not None:
            self.session = self._begun()

    def step(self) -> None:
        """Go one step."""
        self.session.step()

    def step_with_preview(self) -> None:
        """Go one step and render the picture."""
        self.session.step()
        self.session.picture()


def measure_ours(
    network: str,
    method: str,
    masked: bool,
    count: int,
    preview: bool,
    device: str,
    seed: int,
    effort: dict[str, Any],
) -> dict[str, Any]:
    """Time a step of DragSession, with or without a picture after it."""
    steps = Steps(network, method, count, masked, device, seed)
    step = steps.step_with_preview if preview else steps.step
    return {"seconds": repeat(step, Effort(**effort), device, before=steps.ready)}


def measure_whole(
    network: str, method: str, device: str, seed: int, warm_ups: int, repetitions: int
) -> dict[str, Any]:
    """Time whole drags of one point, from the start to the last picture; literal is a method."""
    generator = build_network(network, device, seed)
    points = spread_points(generator.resolution, 1)
    ws = random_ws(generator, seed, 0.5)
    seconds, steps, end = [], 0, ""
    for _ in range(warm_ups + repetitions):
        started = time.perf_counter()
        if method == "literal":
            literal = LiteralDrag(generator, ws, points)
            steps = 0
            while steps < MOST_STEPS and not literal.arrived:
                literal.step()
                steps += 1
            end = "arrived" if literal.arrived else "step limit"
        else:
            config = DragConfig(method=method, steps=MOST_STEPS)
            session = DragSession(generator, ws, None, points, config)
            for step in session.run():
                steps, end = step.step, step.stop.value if step.stop else ""
            session.picture()
        wait_for(device)
        seconds.append(time.perf_counter() - started)
    return {"seconds": seconds[warm_ups:], "steps": steps, "end": end.replace("_", " ")}


# ---------------------------------------------------------------------------------------------
# The floor


def step_flops(config: GeneratorConfig, method: str, masked: bool, count: int) -> int:
    """Count the convolutions that a step cannot do without.

    One forward pass up to the features, where they are read, and one backward pass to the inputs
    for each product that the method asks for. With a mask features are wanted everywhere, but the
    products that tell where the handles are need what is around them only.
    """
    size = feature_resolution(config.resolution)
    r1, r2 = to_feature_length(3.0, size), to_feature_length(12.0, size)
    if method == "newton":
        patch = to_feature_length(METHODS[method].r1, size)
        reach, around, products, everywhere = r2 + patch, patch, 2 * count, PROBES + 1
    else:
        reach, around, products, everywhere = r2 + r1, r1, 1, 1

    def windows(radius: float) -> int:
        return windows_flops(config, size, [round(2 * radius) + 1] * count)

    if not masked:
        return windows(reach) * (1 + products)
    flops = synthesis_flops(config, size, with_image=False) * (1 + everywhere)
    return flops + windows(around) * products if method == "newton" else flops


# ---------------------------------------------------------------------------------------------
# The section


def run(options: Options) -> Section:
    """Time steps and whole drags."""
    effort = effort_of(options.quick)
    kind = options.device.split(":")[0]
    speed = machine_speed(options.device, options.quick)
    raw: dict[str, Any] = {"convolution": speed}
    common: dict[str, Any] = {"device": options.device, "seed": options.seed}
    rows: list[Row] = []
    panels: dict[str, dict[str, dict[str, Mean]]] = {}
    for network in NETWORKS:
        config = network_config(network)
        for masked in (False, True):
            if options.quick and (network, masked) not in QUICK_CASES:
                continue
            what = f"step, {network}, two points{', mask' if masked else ''}"
            case = {"network": network, "masked": masked, "count": 2, **common, "effort": effort}
            options.say(f"{what}: literal")
            literal = measure_apart(__name__, "measure_literal", **case)
            found = {"literal": literal}
            rows.append(Row(what, "literal", literal["seconds"], literal["peak_mb"]))
            for method in COMPARED:
                options.say(f"{what}: {method}")
                ours = measure_apart(__name__, "measure_ours", method=method, preview=False, **case)
                found[method] = ours
                rows.append(
                    Row(
                        what,
                        method,
                        ours["seconds"],
                        ours["peak_mb"],
                        literal["seconds"],
                        GOALS.get(kind, {}).get((network, masked)),
                        step_flops(config, method, masked, 2) / speed["flops_per_second"],
                    )
                )
            raw[what] = found
            panels[f"{network}{', mask' if masked else ''}: seconds a step"] = {
                who: {"seconds a step": Mean(quartiles(one["seconds"]).median, 0.0, 1)}
                for who, one in found.items()
            }
    for method in COMPARED:
        what = "step and picture, embedded, two points"
        options.say(f"{what}: {method}")
        case = {"network": "embedded", "masked": False, "count": 2, **common, "effort": effort}
        ours = measure_apart(__name__, "measure_ours", method=method, preview=True, **case)
        raw[f"{what}, {method}"] = ours
        # The literal step renders the picture in any case.
        literal = raw["step, embedded, two points"]["literal"]
        rows.append(
            Row(
                what,
                method,
                ours["seconds"],
                ours["peak_mb"],
                literal["seconds"],
                PREVIEW_GOAL,
            )
        )
    whole_rows = []
    for method in ("literal", *COMPARED):
        options.say(f"whole drag: {method}")
        whole = measure_apart(
            __name__,
            "measure_whole",
            network="embedded",
            method=method,
            warm_ups=0 if options.quick else 1,
            repetitions=1 if options.quick else 9,
            **common,
        )
        raw[f"whole drag, {method}"] = whole
        spread = quartiles(whole["seconds"])
        whole_rows.append(
            (method, str(spread), int(whole["steps"]), str(whole["end"]), f"{whole['peak_mb']:.0f}")
        )
    plot = "speed_drag.png"
    bars(options.results / plot, panels)
    return Section(
        "speed_drag",
        "Speed: dragging",
        (
            "A step against the literal one of the same run: that renders the whole picture, "
            "modulates weights, and enlarges features to the picture's size, as the field's "
            "reference does. *draggan* is the same method, *newton* (the default) moves farther a "
            "step. " + speed_text(speed),
        ),
        (
            Table("A step", HEADER, cells(rows)),
            Table(
                f"A whole drag of one point by {DISTANCE:.0%} of the picture, embedded network, "
                f"at most {MOST_STEPS} steps",
                ("method", "seconds", "steps", "ended", "peak MB"),
                tuple(whole_rows),
            ),
        ),
        (plot,),
        raw,
    )
