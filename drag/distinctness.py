"""How well a handle can be told from its surroundings, and where near it another one could be.

A patch that looks the same a little farther on can be found there as well: handles on skin without
texture drift, as DragGAN (arXiv 2305.10973, section 4.3) says of itself. What a patch's features
change by in the direction in which they change least is the smaller eigenvalue of its structure
tensor (Shi and Tomasi, 1994, "Good features to track"); here of the features that are tracked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from drag.methods import METHODS
from drag.newton import patch_offsets, patch_weights
from drag.sampling import (
    GRID_STEP,
    disk_offsets,
    feature_resolution,
    sample,
    slopes,
    to_feature_length,
    to_feature_xy,
    to_picture_xy,
)
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.partial import features_at

XY = tuple[float, float]

LEAST = 0.12
"""A handle below this may drift.

From 460 drags by 24 pixels of 512 (benchmarks/IDEAS.md, "Dragging"): by optical flow the pixels
at handles below it missed by more than half the way in 81 %, above it in 31 %, and all ten drags
that made no progress began below it.
"""

AMPLE = 2.0
"""What is offered instead has at least this times LEAST: there they missed so in 17 %."""

NEAR = 48.0
"""How far from a handle a better point is looked for, in pixels of a 512 picture. Distinctness
changes slowly: within half of that hardly any handle has one."""

NEAR_POSITIONS = 6
"""Positions that are looked at on that way: every 8 pixels of a 512 picture."""

APART = 8.0
"""A point that is offered is no nearer than this to another handle, in pixels of a 512 picture."""

AT_ONCE = 16
"""Places that are measured at once, to bound the memory of wide patches."""


@dataclass(frozen=True)
class HandleCheck:
    """How distinct a handle is, and if it may drift, the nearest point that holds better.

    better is xy in pixels of the picture, None where there is none within NEAR.
    """

    distinctness: float
    better: XY | None = None

    @property
    def may_drift(self) -> bool:
        """Whether the handle is too little distinct."""
        return self.distinctness < LEAST


@torch.no_grad()
def handle_features(generator: Generator, noise_consts: NoiseConsts | None, ws: Tensor) -> Tensor:
    """Return the features [1, C, h, w] that a drag from ws [1, num_ws, w_dim] tracks."""
    size = feature_resolution(generator.resolution)
    return features_at(generator, ws, noise_consts, size).features


@torch.no_grad()
def distinctness(features: Tensor, handles: Sequence[XY], resolution: int) -> list[float]:
    """Return how distinct each handle is, from 0, not at all (after Shi and Tomasi, 1994).

    features [1, C, h, w] are those of `handle_features`; handles are xy in pixels of the picture,
    whose longer side is resolution. It is how much the default method's patch changes, to first
    order, when it moves by its own radius the way in which that changes least, divided by how
    unlike the patch the picture's pixels are; both root mean square.
    """
    size, channels = max(features.shape[2:]), features.shape[1]
    radius = max(to_feature_length(METHODS["newton"].r1, size), 1.0)
    patch = patch_offsets(radius).to(features)
    weights = patch_weights(patch, features.new_tensor([radius]))[0]
    variance, mean = torch.var_mean(features, dim=(2, 3))
    tiny = torch.finfo(features.dtype).tiny
    places = to_feature_xy(torch.tensor(handles, dtype=torch.float32), resolution, size)
    found = []
    for own in places.to(features).split(AT_ONCE):
        at = own[:, None] + patch
        slope = slopes(features, at)
        tensor = torch.einsum("inkc,jnkc,k->ijn", slope, slope, weights) / channels
        # Its smaller eigenvalue, written out: not every device has a solver.
        (xx, xy), (_, yy) = tensor
        least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
        away = (sample(features, at) - mean).square().mean(dim=2) @ weights + variance.mean()
        found.append(radius * (least.clamp_min(0) / away.clamp_min(tiny)).sqrt())
    values: list[float] = torch.cat(found).tolist()
    return values


def better_handle(
    features: Tensor, handle: XY, resolution: int, others: Sequence[XY] = ()
) -> XY | None:
    """Return the point nearest to a handle that is clearly distinct, None without one in NEAR.

    Positions are xy in pixels of the picture; features as in `distinctness`. What is found keeps
    APART from the handles of other points.
    """
    size = max(features.shape[2:])
    height, width = (side * resolution // size for side in features.shape[2:])
    reach = max(to_feature_length(NEAR, size), 1.0)
    ways = disk_offsets(reach, max(GRID_STEP, reach / NEAR_POSITIONS))[1:]
    start = to_feature_xy(torch.tensor(handle, dtype=torch.float64), resolution, size)
    places = to_picture_xy(start + ways, resolution, size).tolist()
    apart = APART * resolution / 512
    free = [
        (x, y)
        for x, y in places
        if 0 <= x <= width - 1
        and 0 <= y <= height - 1
        and all(math.dist((x, y), other) >= apart for other in others)
    ]
    for i in range(0, len(free), 4 * AT_ONCE):
        some = free[i : i + 4 * AT_ONCE]
        for place, value in zip(some, distinctness(features, some, resolution), strict=True):
            if value >= AMPLE * LEAST:
                return place
    return None


def check_handles(features: Tensor, handles: Sequence[XY], resolution: int) -> list[HandleCheck]:
    """Tell of each handle how it holds, with a better point for those that may drift.

    Arguments as in `distinctness`. No two better points are near each other.
    """
    taken = list(handles)
    checks = []
    for index, value in enumerate(distinctness(features, handles, resolution)):
        check = HandleCheck(value)
        if check.may_drift:
            others = taken[:index] + taken[index + 1 :]
            check = HandleCheck(value, better_handle(features, handles[index], resolution, others))
            if check.better is not None:
                taken.append(check.better)
        checks.append(check)
    return checks
