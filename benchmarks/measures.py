"""What is measured of one drag, and the table of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.flow import SIZE, flow_between, moves_at, to_512
from benchmarks.methods import DragResult
from benchmarks.section import Mean, mean_of
from drag.points import DragPoint
from drag.sampling import sample, square_offsets
from drag.session import StopReason
from stylegan2.images import to_uint8

UNITS = "Lengths are in pixels of a 512 picture."

DAI_RADIUS = 10
"""Pixels of 512: one of the radii of Drag100 (GoodDrag, Zhang et al., 2024, arXiv 2404.07206)."""

EXPLAINED = (
    f"{UNITS} *remaining*: how far the method itself says the handles are from their targets. "
    "*pixel error*: how far they are by where the pixels at the handles went: optical flow from "
    "the start to the result, which passed a forward-backward check; *followed* is the part of "
    "the wanted way that they went, and *seen* the share of handles where the flow passed the "
    "check. *arrived*: share of drags that ended because, by the method's own account, all handles "
    f"had arrived. *DAI* (Drag100): mean squared difference, in [-1, 1], of the squares of "
    f"{2 * DAI_RADIUS + 1} pixels around a handle before and around its target after."
)


@dataclass(frozen=True)
class Measured:
    """One drag. Lengths in pixels of 512, means over the handles; NaN where nothing was seen."""

    wanted: float
    remaining: float
    pixel_error: float
    followed: float
    seen: float
    arrived: float
    steps: float
    seconds: float
    dai: float

    def as_json(self) -> dict[str, float]:
        """Give the figures by name, rounded."""
        return {name: round(value, 5) for name, value in vars(self).items()}


def measure(start: Tensor, result: DragResult, points: Sequence[DragPoint]) -> Measured:
    """Measure a drag that made `result` from the picture `start` [1, 3, R, R]."""
    scale = SIZE / start.shape[-1]
    handles = np.array([point.handle for point in points])
    wanted = (np.array([point.target for point in points]) - handles) * scale
    moves = moves_at(
        flow_between(to_uint8(start), to_uint8(result.picture)), to_512(handles, start.shape[-1])
    )
    seen = ~np.isnan(moves[:, 0])
    lengths = np.linalg.norm(wanted, axis=1)
    error = np.linalg.norm(moves - wanted, axis=1)
    pulled = seen & (lengths > 1e-6)
    followed = (moves * wanted).sum(axis=1)[pulled] / lengths[pulled] ** 2
    remaining = [math.dist(at, to.target) for at, to in zip(result.handles, points, strict=True)]
    return Measured(
        wanted=float(lengths.mean()),
        remaining=float(np.mean(remaining)) * scale,
        pixel_error=float(error[seen].mean()) if seen.any() else math.nan,
        followed=float(followed.mean()) if pulled.any() else math.nan,
        seen=float(seen.mean()),
        arrived=float(result.stop == StopReason.ARRIVED.value),
        steps=float(result.steps),
        seconds=result.seconds,
        dai=accuracy_index(start, result.picture, points),
    )


@torch.no_grad()
def accuracy_index(
    start: Tensor, picture: Tensor, points: Sequence[DragPoint], radius: int = DAI_RADIUS
) -> float:
    """Compare the patches at the handles in `start` with those at the targets in `picture`.

    Both are [1, 3, R, R] in [-1, 1]. It is Drag100's dragging accuracy index: squared differences,
    mean over the pixels (of 512) within the square of that radius, the colours and the points.
    """
    size = start.shape[-1]
    patch = square_offsets(float(radius), 1.0).to(start) * (size / SIZE)
    ends = start.new_tensor([[point.handle, point.target] for point in points])
    before = sample(start, ends[:, :1] + patch)
    after = sample(picture.to(start), ends[:, 1:] + patch)
    return float((before - after).square().mean())


FIGURES = {
    "remaining": "remaining",
    "pixel error": "pixel_error",
    "followed": "followed",
    "DAI": "dai",
    "seen": "seen",
    "arrived": "arrived",
    "steps": "steps",
    "seconds": "seconds",
}
"""The figures of `summary`, by the attributes they are means of."""

DETAIL = tuple(FIGURES)
"""Those that tables show."""


def summary(drags: Sequence[Measured]) -> dict[str, Mean]:
    """Return the mean of each figure over those drags that have it."""
    return {
        name: mean_of(
            value for value in (getattr(drag, of) for drag in drags) if not math.isnan(value)
        )
        for name, of in FIGURES.items()
    }


def raw(by_method: Mapping[str, Sequence[Measured]]) -> dict[str, list[dict[str, float]]]:
    """Give every drag's figures for the record."""
    return {name: [drag.as_json() for drag in drags] for name, drags in by_method.items()}
