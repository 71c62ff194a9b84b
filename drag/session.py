"""DragSession: the loop of DragGAN (Pan et al., 2023, arXiv 2305.10973, section 3)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from drag.adam import Adam
from drag.config import DragConfig
from drag.motion import directions, kept_share, mask_loss, motion_loss
from drag.points import DragPoint
from drag.sampling import (
    GRID_STEP,
    REFERENCE_RESOLUTION,
    disk_offsets,
    feature_resolution,
    sample,
    square_offsets,
    to_feature_length,
    to_feature_xy,
    to_picture_xy,
)
from drag.stopping import LOST_MISMATCH, MIN_PROGRESS, StopReason, StopRule, tolerance_of
from drag.tracking import Tracked, track, unlikeness
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.partial import features_at, frozen
from stylegan2.windows import Window, features_in_windows, merged

__all__ = ["DragConfig", "DragDiverged", "DragSession", "DragStep", "StopReason"]

PULL = 1.0
"""Length of d_i in pixels of a 512 picture: the paper's unit vector, at any network's size."""

MIN_LENGTH = 1 / 16
"""In feature pixels, the least pull and tolerance: twice the step of tracking.

It matters to networks below 64 pixels only.
"""


@dataclass(frozen=True)
class DragStep:
    """The state after a step: handles (xy) and remaining distances in pixels of the picture.

    loss is the one that this step lowered, 0 before the first.
    """

    step: int
    loss: float
    handles: tuple[tuple[float, float], ...]
    distances: tuple[float, ...]
    stop: StopReason | None


@dataclass(frozen=True)
class _Field:
    """Features [1, C, h, w] around some handles, by index; origin is their first pixel's xy."""

    features: Tensor
    origin: Tensor
    handles: Tensor


class DragDiverged(Exception):
    """The numbers of a drag are no longer finite; the session keeps its last good step."""


class DragSession:
    """One drag: the first ws change until the content at the handles is at the targets.

    ws is [1, num_ws, w_dim] on the generator's device; points are in pixels of its picture;
    movable_mask is bool [R, R], True where the picture may change (None: everywhere). What ws
    renders when it comes in here is what the handles are recognised by and what the mask keeps.
    Nothing of the caller's is changed. The weights are shared, so they must not change either.

    A handle within the tolerance rests: it is tracked but not pulled, until the others drag it
    away (DragGAN's released code does the same).
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
        _check_arguments(generator, ws, points, movable_mask)
        self.config = config = config or DragConfig()
        self._generator = frozen(generator)
        self._noise_consts = noise_consts
        self._resolution = resolution = generator.resolution
        self._size = size = feature_resolution(resolution)
        device = ws.device

        self._ws = ws.detach().clone()
        self._best_ws = self._ws
        self._moving = self._ws[:, : config.num_moving_ws].clone().requires_grad_()
        self._adam = Adam(self._moving, config.learning_rate)

        tolerance = to_feature_length(tolerance_of(len(points)), size)
        self._tolerance = max(tolerance, MIN_LENGTH)
        self._pull = max(to_feature_length(PULL, size), MIN_LENGTH)
        # Below one feature pixel a patch has no neighbours, and a search nowhere to go.
        r1 = max(to_feature_length(config.r1, size), 1.0)
        r2 = max(to_feature_length(config.r2, size), 1.0)
        self._patch = disk_offsets(r1, GRID_STEP).to(device)
        self._search = square_offsets(r2, GRID_STEP).to(device)
        self._near = r2 * resolution / size

        self._points = tuple(points)
        self._handles = self._to_features([point.handle for point in points])
        self._targets = self._to_features([point.target for point in points])
        # How far from a handle features are read: its search, then its patch at the new place.
        self._reach = r2 + GRID_STEP + r1 + self._pull
        first = self._whole_features()
        self._template = sample(first, self._handles)
        self._lost_at = (LOST_MISMATCH * unlikeness(first, self._template)).tolist()
        self._first_features: Tensor | None = None
        if movable_mask is not None and not bool(movable_mask.all()):
            self._first_features = first
            self._kept = kept_share(movable_mask.to(device), size)
        self._places: Sequence[Sequence[float]] = self._handles.tolist()
        self._fields = self._render_fields(self._places)

        self._cancelled = False
        handles = tuple(point.handle for point in points)
        self._last = DragStep(0, 0.0, handles, self._distances(handles), None)
        self._rule = StopRule(
            self._last.distances,
            # A little wider than on the device, so that a handle that rests has also arrived here.
            tolerance=self._tolerance * resolution / size * (1 + 1e-4),
            min_progress=MIN_PROGRESS * resolution / REFERENCE_RESOLUTION,
            max_steps=config.steps,
        )

    @property
    def ws(self) -> Tensor:
        """The ws [1, num_ws, w_dim] after the last whole step, detached."""
        return self._ws

    @property
    def best_ws(self) -> Tensor:
        """The ws of the step that came closest to the targets on average, detached."""
        return self._best_ws

    @property
    def last(self) -> DragStep:
        """The last whole step; step 0 before the first."""
        return self._last

    @torch.enable_grad()
    def step(self) -> DragStep:
        """Pull once (motion supervision and an Adam step on ws), then track the handles.

        After `cancel` nothing moves and the last state comes back with that reason. Raises
        DragDiverged when a number is not finite, ValueError when the session has stopped.
        """
        if self._last.stop is not None:
            raise ValueError(f"the session has stopped: {self._last.stop.value}")
        if self._cancelled:
            self._last = replace(self._last, stop=StopReason.CANCELLED)
            return self._last
        number = self._last.step + 1
        loss = self._loss()
        (gradient,) = torch.autograd.grad(loss, [self._moving])
        self._adam.step(gradient)
        self._fields = self._render_fields(self._places)
        found = self._track()
        # The step's only wait for the device.
        numbers = torch.cat([loss.detach()[None], found.mismatch, found.handles.flatten()]).tolist()
        if not all(map(math.isfinite, numbers)):
            raise DragDiverged(
                f"step {number}: the drag's numbers are no longer finite; the step before is kept. "
                "Drag again with a smaller learning_rate, or tune the photo again"
            )
        count = len(self._points)
        mismatch, flat = numbers[1 : count + 1], numbers[count + 1 :]
        self._handles = found.handles
        self._places = list(zip(flat[::2], flat[1::2], strict=True))
        on_features = torch.tensor(self._places, dtype=torch.float64)
        in_picture = to_picture_xy(on_features, self._resolution, self._size).tolist()
        handles = tuple((x, y) for x, y in in_picture)
        self._ws = self._current_ws().detach()
        self._last = self._judge(number, numbers[0], handles, mismatch)
        return self._last

    def run(self) -> Iterator[DragStep]:
        """Yield a step after the other; the last one carries the reason to stop."""
        while self._last.stop is None:
            yield self.step()

    def cancel(self) -> None:
        """Ask the session to stop with the last whole step as its result (from any thread)."""
        self._cancelled = True

    @torch.no_grad()
    def picture(self) -> Tensor:
        """Render the current ws in full: [1, img_channels, R, R]."""
        picture: Tensor = self._generator.synthesis(self._ws, self._noise_consts)
        return picture

    def _loss(self) -> Tensor:
        towards = directions(self._handles, self._targets, self._pull, self._tolerance)
        loss = towards.new_zeros([])
        for field in self._fields:
            own = field.handles
            places = self._handles[own] - field.origin
            loss = loss + motion_loss(field.features, places, towards[own], self._patch)
        if self._first_features is not None:
            kept = mask_loss(self._fields[0].features, self._first_features, self._kept)
            loss = loss + self.config.lambda_mask * kept
        return loss

    def _track(self) -> Tracked:
        """Find all handles again, each in its field."""
        handles, mismatch = (
            torch.empty_like(self._handles),
            self._handles.new_empty(len(self._points)),
        )
        for field in self._fields:
            own, least = field.handles, -0.5 - field.origin
            found = track(
                field.features.detach(),
                self._template[own],
                self._handles[own] - field.origin,
                self._search,
                (least, least + self._size),
            )
            handles[own] = found.handles + field.origin
            mismatch[own] = found.mismatch
        return Tracked(handles, mismatch)

    def _judge(
        self,
        number: int,
        loss: float,
        handles: tuple[tuple[float, float], ...],
        mismatch: Sequence[float],
    ) -> DragStep:
        distances = self._distances(handles)
        lost = any(now > limit for now, limit in zip(mismatch, self._lost_at, strict=True))
        lost = lost or self._ran_out(handles, distances)
        stop = self._rule.check(number, distances, lost)
        if self._rule.best_step == number:
            self._best_ws = self._ws
        if stop is None and self._cancelled:
            stop = StopReason.CANCELLED
        return DragStep(number, loss, handles, distances, stop)

    def _ran_out(
        self, handles: tuple[tuple[float, float], ...], distances: Sequence[float]
    ) -> bool:
        """Tell whether a handle came to the picture's edge that has no business there."""
        return any(
            self._at_edge(now) and not self._at_edge(point.handle) and distance > self._near
            for now, point, distance in zip(handles, self._points, distances, strict=True)
        )

    def _at_edge(self, xy: tuple[float, float]) -> bool:
        """Tell whether a position is at or beyond the centres of the outermost feature pixels."""
        margin = (self._resolution / self._size - 1) / 2
        return not all(margin < value < self._resolution - 1 - margin for value in xy)

    def _distances(self, handles: Sequence[tuple[float, float]]) -> tuple[float, ...]:
        return tuple(
            math.dist(handle, point.target)
            for handle, point in zip(handles, self._points, strict=True)
        )

    def _current_ws(self) -> Tensor:
        return torch.cat([self._moving, self._ws[:, self.config.num_moving_ws :]], dim=1)

    @torch.no_grad()
    def _whole_features(self) -> Tensor:
        ws = self._current_ws()
        return features_at(self._generator, ws, self._noise_consts, self._size).features

    def _render_fields(self, handles: Sequence[Sequence[float]]) -> list[_Field]:
        """Render the features around handles (in feature pixels); with a mask, all of them."""
        device, size = self._ws.device, self._size
        around = [_window(x, y, self._reach, size) for x, y in handles]
        windows = merged(around)
        if self._first_features is not None:
            windows = [Window(0, 0, size, size)]
        with torch.enable_grad():
            parts = features_in_windows(
                self._generator, self._current_ws(), self._noise_consts, size, windows
            )
        home = [next(w for w in windows if _contains(w, own)) for own in around]
        fields = []
        for features, window in zip(parts, windows, strict=True):
            inside = [i for i, own in enumerate(home) if own is window]
            origin = torch.tensor([window.left, window.top], dtype=torch.float32, device=device)
            fields.append(_Field(features, origin, torch.tensor(inside, device=device)))
        return fields

    def _to_features(self, places: Sequence[tuple[float, float]]) -> Tensor:
        xy = torch.tensor(places, dtype=torch.float32)
        return to_feature_xy(xy, self._resolution, self._size).to(self._ws.device)


def _window(x: float, y: float, reach: float, size: int) -> Window:
    """Return the pixels that bilinear reading needs within `reach` of (x, y)."""

    def span(middle: float) -> tuple[int, int]:
        low = min(max(math.floor(middle - reach), 0), size - 2)
        return low, max(min(math.floor(middle + reach) + 2, size), low + 2)

    (left, right), (top, bottom) = span(x), span(y)
    return Window(left, top, right, bottom)


def _contains(window: Window, other: Window) -> bool:
    return (
        window.left <= other.left
        and window.top <= other.top
        and other.right <= window.right
        and other.bottom <= window.bottom
    )


def _check_arguments(
    generator: Generator, ws: Tensor, points: Sequence[DragPoint], movable_mask: Tensor | None
) -> None:
    resolution = generator.resolution
    if ws.shape != (1, generator.num_ws, generator.w_dim):
        expected = (1, generator.num_ws, generator.w_dim)
        raise ValueError(f"ws must be {list(expected)}, got {list(ws.shape)}")
    if not points:
        raise ValueError("points is empty")
    for point in points:
        if not all(-0.5 <= value <= resolution - 0.5 for value in (*point.handle, *point.target)):
            raise ValueError(f"{point} lies outside the picture of {resolution} pixels")
    if movable_mask is not None and (
        movable_mask.dtype != torch.bool or movable_mask.shape != (resolution, resolution)
    ):
        raise ValueError(
            f"movable_mask must be bool [{resolution}, {resolution}], "
            f"got {movable_mask.dtype} {list(movable_mask.shape)}"
        )
