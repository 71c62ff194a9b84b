"""DragSession: steps until the content at the handles is at the targets, or will not come."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from drag.config import DragConfig
from drag.masks import may_change
from drag.methods import METHODS
from drag.points import DragPoint
from drag.sampling import REFERENCE_RESOLUTION, to_picture_xy
from drag.scene import Scene
from drag.stopping import LOST_MISMATCH, MIN_PROGRESS, StopReason, StopRule
from drag.tracking import Moved
from stylegan2.generator import Generator, NoiseConsts

__all__ = ["DragConfig", "DragDiverged", "DragSession", "DragStep", "StopReason"]


@dataclass(frozen=True)
class DragStep:
    """The state after a step: handles (xy) and remaining distances in pixels of the picture.

    loss is what this step lowered, 0 before the first: with draggan its loss, with newton the
    handles' distance, root mean square in feature pixels. held says which handles the mask holds:
    what it keeps is put back over the generator's picture, so these stay where they were.
    """

    step: int
    loss: float
    handles: tuple[tuple[float, float], ...]
    distances: tuple[float, ...]
    held: tuple[bool, ...]
    stop: StopReason | None


LAST_STEP_COUNTS = (StopReason.ARRIVED, StopReason.HELD, StopReason.CANCELLED)


class DragDiverged(Exception):
    """The numbers of a drag are no longer finite; the session keeps its last good step."""


class DragSession:
    """One drag: the first ws change until the content at the handles is at the targets.

    ws is [1, num_ws, w_dim] on the generator's device; points are in pixels of its picture;
    movable_mask is bool [H, W], True where the picture may change (None: everywhere). What ws
    renders when it comes in here is what the handles are recognised by and what the mask keeps.
    A point whose target is its handle is a pin: it holds its place while others move. So does a
    handle where the mask keeps the picture; it is reported as held.
    Nothing of the caller's is changed. The weights are shared, so they must not change either.
    """

    def __init__(
        self,
        generator: Generator,
        ws: Tensor,
        noise_consts: NoiseConsts | None,
        points: Sequence[DragPoint],
        config: DragConfig | None = None,
        movable_mask: Tensor | None = None,
    ) -> None:
        self.config = config = config or DragConfig()
        method = METHODS[config.method]
        _check_arguments(generator, ws, points, config, movable_mask)
        self._points = tuple(points)
        self._shape = generator.config.shape
        self._movable = None if movable_mask is None else movable_mask.cpu()
        self._kept = [self._is_kept(point.handle) for point in points]
        aims = [
            DragPoint(point.handle, point.handle) if kept else point
            for point, kept in zip(points, self._kept, strict=True)
        ]
        self._held = tuple(
            aim.target != point.target for aim, point in zip(aims, points, strict=True)
        )
        self._aims = tuple(point.target for point in aims)
        self._scene = scene = Scene(generator, noise_consts, ws, aims, movable_mask, config)
        self._mover = method.begin(scene, config)
        self._ws = self._mover.view.ws
        # What becomes of a handle that the mask keeps is not seen, so it cannot be lost.
        self._lost_at = [
            math.inf if kept else LOST_MISMATCH * unlike
            for kept, unlike in zip(self._kept, self._mover.unlike.tolist(), strict=True)
        ]
        self._near = scene.r2 * scene.resolution / scene.size
        self._cancelled = False
        handles = tuple(point.handle for point in points)
        self._last = self._step(0, 0.0, handles, None)
        self._nearest = self._last, self._ws
        self._rule = StopRule(
            _distances(handles, self._aims),
            # A little wider than on the device, so that a handle that rests has also arrived here.
            tolerance=scene.tolerance * scene.resolution / scene.size * (1 + 1e-4),
            min_progress=MIN_PROGRESS * scene.resolution / REFERENCE_RESOLUTION,
            max_steps=config.steps,
            patience=method.patience if config.patience is None else config.patience,
        )

    @property
    def ws(self) -> Tensor:
        """The ws [1, num_ws, w_dim] after the last whole step, detached."""
        return self._ws

    @property
    def result(self) -> tuple[DragStep, Tensor]:
        """The step that counts and its ws, detached.

        The last one when the handles arrived or the caller cancelled; after any other end, and
        until there is one, the one that came nearest to the targets on average.
        """
        if self._last.stop in LAST_STEP_COUNTS:
            return self._last, self._ws
        step, ws = self._nearest
        return self._as_seen(step), ws

    @property
    def first_features(self) -> Tensor:
        """The features [1, C, h, w] of the first picture, by which handles are recognised."""
        return self._scene.first_features

    @property
    def last(self) -> DragStep:
        """The last whole step; step 0 before the first."""
        return self._last

    def step(self) -> DragStep:
        """Move ws once by the config's method, and track the handles.

        After `cancel` nothing moves and the last state comes back with that reason. Raises
        DragDiverged when a number is not finite, ValueError when the session has stopped.
        """
        if self._last.stop is not None:
            raise ValueError(f"the session has stopped: {self._last.stop.value}")
        if self._cancelled:
            self._last = replace(self._last, stop=StopReason.CANCELLED)
            return self._last
        number = self._last.step + 1
        with _one_thread() if self._scene.is_small else nullcontext():
            moved = self._mover.step()
        numbers = [moved.loss, *moved.mismatch, *chain.from_iterable(moved.places)]
        if not all(map(math.isfinite, numbers)):
            raise DragDiverged(
                f"step {number}: the drag's numbers are no longer finite; the step before is kept. "
                "Drag again with a smaller learning_rate, or tune the photo again"
            )
        scene = self._scene
        sizes = scene.resolution, scene.size
        handles = tuple(
            (to_picture_xy(x, *sizes), to_picture_xy(y, *sizes)) for x, y in moved.places
        )
        self._ws = moved.ws
        self._last = self._judge(number, moved, handles)
        if self._rule.best_step == number:
            self._nearest = self._last, self._ws
        return self._last

    def run(self) -> Iterator[DragStep]:
        """Yield a step after the other; the last one carries the reason to stop."""
        while self._last.stop is None:
            yield self.step()

    def cancel(self) -> None:
        """Ask the session to stop with the last whole step as its result (from any thread)."""
        self._cancelled = True

    def picture(self) -> Tensor:
        """Render the current ws in full: [1, img_channels, H, W]."""
        view = self._mover.view
        # After numbers that are not finite the view is that of the step that was given up.
        return view.picture() if view.ws is self._ws else self._scene.picture(self._ws)

    def _judge(
        self,
        number: int,
        moved: Moved,
        handles: tuple[tuple[float, float], ...],
    ) -> DragStep:
        distances = _distances(handles, self._aims)
        lost = any(now > limit for now, limit in zip(moved.mismatch, self._lost_at, strict=True))
        lost = lost or self._ran_out(handles, distances)
        stop = self._rule.check(number, distances, lost, moved.spent)
        if stop is None and self._cancelled:
            stop = StopReason.CANCELLED
        step = self._step(number, moved.loss, handles, stop)
        if stop is StopReason.ARRIVED and any(step.held):
            step = replace(step, stop=StopReason.HELD)
        return step

    def _step(
        self,
        number: int,
        loss: float,
        handles: Sequence[tuple[float, float]],
        stop: StopReason | None,
    ) -> DragStep:
        seen = tuple(
            point.handle if kept else now
            for kept, now, point in zip(self._kept, handles, self._points, strict=True)
        )
        step = DragStep(number, loss, seen, self._left(seen), self._held, stop)
        return step if stop is None else self._as_seen(step)

    def _as_seen(self, step: DragStep) -> DragStep:
        """Say of a step that is the last what a person gets, which is the picture in the mask.

        What has come to where the mask keeps the picture is not seen there.
        """
        held = tuple(
            self._is_kept(now) and point.handle != point.target
            for now, point in zip(step.handles, self._points, strict=True)
        )
        handles = tuple(
            point.handle if hidden else now
            for hidden, now, point in zip(held, step.handles, self._points, strict=True)
        )
        return replace(step, handles=handles, distances=self._left(handles), held=held)

    def _left(self, handles: Sequence[tuple[float, float]]) -> tuple[float, ...]:
        return _distances(handles, [point.target for point in self._points])

    def _is_kept(self, xy: tuple[float, float]) -> bool:
        return self._movable is not None and not may_change(xy, self._movable)

    def _ran_out(
        self, handles: tuple[tuple[float, float], ...], distances: Sequence[float]
    ) -> bool:
        """Tell whether a handle came to the picture's edge that has no business there."""
        judged = zip(handles, self._points, distances, self._kept, strict=True)
        return any(
            not kept
            and self._at_edge(now)
            and not self._at_edge(point.handle)
            and distance > self._near
            for now, point, distance, kept in judged
        )

    def _at_edge(self, xy: tuple[float, float]) -> bool:
        """Tell whether a position is at or beyond the centres of the outermost feature pixels."""
        margin = (self._scene.resolution / self._scene.size - 1) / 2
        height, width = self._shape
        return not all(
            margin < value < side - 1 - margin
            for value, side in zip(xy, (width, height), strict=True)
        )


def _distances(
    handles: Sequence[tuple[float, float]], targets: Sequence[tuple[float, float]]
) -> tuple[float, ...]:
    return tuple(math.dist(handle, target) for handle, target in zip(handles, targets, strict=True))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _check_arguments(
    generator: Generator,
    ws: Tensor,
    points: Sequence[DragPoint],
    config: DragConfig,
    movable_mask: Tensor | None,
) -> None:
    height, width = generator.config.shape
    if config.num_moving_ws > generator.num_ws:
        raise ValueError(
            f"num_moving_ws must be at most {generator.num_ws}, as many latents as this network "
            f"has, got {config.num_moving_ws}"
        )
    if ws.shape != (1, generator.num_ws, generator.w_dim):
        expected = (1, generator.num_ws, generator.w_dim)
        raise ValueError(f"ws must be {list(expected)}, got {list(ws.shape)}")
    if not points:
        raise ValueError("points is empty")
    for point in points:
        if not all(
            -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
            for x, y in (point.handle, point.target)
        ):
            raise ValueError(f"{point} lies outside the picture of {width} x {height} pixels")
    if movable_mask is not None and (
        movable_mask.dtype != torch.bool or movable_mask.shape != (height, width)
    ):
        raise ValueError(
            f"movable_mask must be bool [{height}, {width}], "
            f"got {movable_mask.dtype} {list(movable_mask.shape)}"
        )
