"""The ways of dragging that are compared: name -> callable. A new one is one line in METHODS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from benchmarks.draggan import PaperSettings, drag
from benchmarks.trackers import Tracker
from drag.masks import keep_outside
from drag.points import DragPoint
from drag.session import DragConfig, DragSession, DragStep, StopReason
from stylegan2.generator import Generator, NoiseConsts


@dataclass(frozen=True)
class DragResult:
    """What a drag made: ws and picture, where it says the handles are, and why it stopped."""

    ws: Tensor
    picture: Tensor
    handles: tuple[tuple[float, float], ...]
    steps: int
    stop: str
    seconds: float


Method = Callable[
    [Generator, Tensor, NoiseConsts | None, Sequence[DragPoint], Tensor | None], DragResult
]


def stay(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    points: Sequence[DragPoint],
    movable_mask: Tensor | None,
) -> DragResult:
    """Do nothing: what the figures are without a drag."""
    with torch.no_grad():
        picture = generator.synthesis(ws, noise_consts)
    return DragResult(ws, picture, tuple(point.handle for point in points), 0, "step_limit", 0.0)


def by_paper(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    points: Sequence[DragPoint],
    movable_mask: Tensor | None,
    *,
    settings: PaperSettings,
    tracker: Tracker | None = None,
) -> DragResult:
    """Drag as the paper does, or as its ablation does."""
    started = time.perf_counter()
    made = drag(generator, ws, noise_consts, points, movable_mask, settings, tracker)
    with torch.no_grad():
        picture = generator.synthesis(made.ws, noise_consts)
    seconds = time.perf_counter() - started
    stop = StopReason.ARRIVED if made.arrived else StopReason.STEP_LIMIT
    return DragResult(made.ws, picture, made.handles, made.steps, stop.value, seconds)


def by_session(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    points: Sequence[DragPoint],
    movable_mask: Tensor | None,
    *,
    config: DragConfig,
    on_step: Callable[[DragStep], None] | None = None,
) -> DragResult:
    """Drag as realdrag's drag stage does, which puts back what a mask keeps.

    on_step is told of each step, step 0 first.
    """
    started = time.perf_counter()
    session = DragSession(generator, ws, noise_consts, points, config, movable_mask)
    before = session.picture() if movable_mask is not None else None
    for step in chain([session.last], session.run()):
        if on_step is not None:
            on_step(step)
    end, made = session.result
    with torch.no_grad():
        picture = generator.synthesis(made, noise_consts)
    if movable_mask is not None and before is not None:
        picture = keep_outside(picture, before, movable_mask)
    seconds = time.perf_counter() - started
    assert session.last.stop is not None
    return DragResult(
        made, picture, end.handles, session.last.step, session.last.stop.value, seconds
    )


NO_EDIT = "no edit"
PAPER = "draggan"
DEFAULT = "default"

METHODS: Mapping[str, Method] = {
    PAPER: partial(by_paper, settings=PaperSettings()),
    "draggan without tracking": partial(by_paper, settings=PaperSettings(tracking=False)),
    "draggan in W": partial(by_paper, settings=PaperSettings(space="w")),
    DEFAULT: partial(by_session, config=DragConfig()),
}

MAIN: Mapping[str, Method] = {name: METHODS[name] for name in (PAPER, DEFAULT)}
"""For the measures that take long."""

MAIN_WITH_NO_EDIT: Mapping[str, Method] = {NO_EDIT: stay, **MAIN}

WITH_NO_EDIT: Mapping[str, Method] = {NO_EDIT: stay, **METHODS}
