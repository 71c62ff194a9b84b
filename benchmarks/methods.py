"""The ways of dragging that are compared: name -> callable. A new one is one line in METHODS."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.draggan import PaperSettings, drag
from drag.masks import keep_outside
from drag.points import DragPoint
from drag.session import DragConfig, DragSession, StopReason
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
) -> DragResult:
    """Drag as the paper does, or as its ablation does."""
    started = time.perf_counter()
    made = drag(generator, ws, noise_consts, points, movable_mask, settings)
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
) -> DragResult:
    """Drag as realdrag's drag stage does.

    The last step counts when it arrived, else the nearest one; what a mask keeps is put back.
    """
    started = time.perf_counter()
    session = DragSession(generator, ws, noise_consts, points, config, movable_mask)
    before, best = session.picture(), session.last
    for step in session.run():
        if session.best_ws is session.ws:
            best = step
    last = session.last
    assert last.stop is not None
    if last.stop is StopReason.ARRIVED:
        best, made, picture = last, session.ws, session.picture()
    else:
        made = session.best_ws
        with torch.no_grad():
            picture = generator.synthesis(made, noise_consts)
    if movable_mask is not None:
        picture = keep_outside(picture, before, movable_mask)
    seconds = time.perf_counter() - started
    return DragResult(made, picture, best.handles, last.step, last.stop.value, seconds)


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

WITH_NO_EDIT: Mapping[str, Method] = {NO_EDIT: stay, **METHODS}
