"""DragGAN written out: one loop per sum, nothing shared with drag/.

The independent reference that the drag package is held against. It follows Pan et al., 2023
(arXiv 2305.10973), equations 1 and 2, with realdrag's stated choices: features of the block of
size min(128, R / 2), bilinear positions with pixel centres, means instead of sums, patch and
search positions in steps of half a feature pixel, and a tracked position refined to 1/32 feature
pixel. All lengths in pixels of a 512 picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2.generator import Generator

XY = tuple[float, float]


@dataclass(frozen=True)
class LiteralStep:
    """State after a step: loss before it, handles in pixels of the picture, all ws."""

    loss: float
    handles: list[XY]
    ws: Tensor


def literal_drag(
    generator: Generator,
    ws: Tensor,
    noise_consts: Mapping[str, Tensor] | None,
    handles: Sequence[XY],
    targets: Sequence[XY],
    steps: int,
    *,
    movable_mask: Tensor | None = None,
    learning_rate: float = 2e-3,
    lambda_mask: float = 20.0,
    r1: float = 3.0,
    r2: float = 12.0,
    num_moving_ws: int = 6,
) -> Iterator[LiteralStep]:
    """Drag for that many steps, whether or not the handles arrive before."""
    resolution = generator.resolution
    size = min(128, resolution // 2)
    tolerance = max((1.0 if len(handles) <= 5 else 2.0) * size / 512, 1 / 16)
    pull = max(1.0 * size / 512, 1 / 16)
    patch_radius = max(r1 * size / 512, 1.0)
    search_radius = max(r2 * size / 512, 1.0)

    moving = ws[:, :num_moving_ws].detach().clone()
    rest = ws[:, num_moving_ws:].detach()
    first_moment = torch.zeros_like(moving)
    second_moment = torch.zeros_like(moving)

    places = [_to_features(xy, resolution, size) for xy in handles]
    goals = [_to_features(xy, resolution, size) for xy in targets]
    # As the later ones are made: the least rounding would give the mask term a gradient at once.
    first = block_features(generator, ws.clone().requires_grad_(), noise_consts, size).detach()
    templates = [bilinear(first, x, y) for x, y in places]

    for step in range(1, steps + 1):
        moving = moving.detach().requires_grad_()
        features = block_features(generator, torch.cat([moving, rest], 1), noise_consts, size)
        loss = features.new_zeros(())
        for (x, y), (goal_x, goal_y) in zip(places, goals, strict=True):
            distance = math.hypot(goal_x - x, goal_y - y)
            if distance <= tolerance:
                continue
            d_x = pull * (goal_x - x) / distance
            d_y = pull * (goal_y - y) / distance
            terms = []
            for q_x, q_y in _disk(x, y, patch_radius):
                source = bilinear(features, q_x, q_y).detach()
                moved = bilinear(features, q_x + d_x, q_y + d_y)
                terms.append((source - moved).abs().sum() / len(source))
            loss = loss + sum(terms) / len(terms)
        if movable_mask is not None:
            total = features.new_zeros(())
            for row in range(size):
                for column in range(size):
                    change = (features[0, :, row, column] - first[0, :, row, column]).abs().sum()
                    total = total + change * _kept(movable_mask, row, column, resolution // size)
            loss = loss + lambda_mask * total / features[0].numel()

        gradient = torch.zeros_like(moving)
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, [moving])
        first_moment = 0.9 * first_moment + 0.1 * gradient
        second_moment = 0.999 * second_moment + 0.001 * gradient**2
        mean = first_moment / (1 - 0.9**step)
        spread = (second_moment / (1 - 0.999**step)).sqrt()
        moving = moving.detach() - learning_rate * mean / (spread + 1e-8)

        ws = torch.cat([moving, rest], 1)
        features = block_features(generator, ws, noise_consts, size)
        places = [
            literal_track(features, template, place, search_radius)
            for template, place in zip(templates, places, strict=True)
        ]
        in_picture = [_to_picture(xy, resolution, size) for xy in places]
        yield LiteralStep(float(loss.detach()), in_picture, ws)


def literal_track(features: Tensor, template: Tensor, place: XY, radius: float) -> XY:
    """Take the most similar position on a half-pixel grid, then halve the step four times."""
    reach = 0
    while (reach + 1) * 0.5 <= radius + 1e-6:
        reach += 1
    step = 0.5
    for _ in range(5):
        best = math.inf
        nearest = 0
        found = place
        for j in range(-reach, reach + 1):
            for i in range(-reach, reach + 1):
                x, y = place[0] + i * step, place[1] + j * step
                if not (-0.5 <= x <= features.shape[3] - 0.5):
                    continue
                if not (-0.5 <= y <= features.shape[2] - 0.5):
                    continue
                mismatch = float((bilinear(features, x, y) - template).abs().mean())
                closer = mismatch == best and i * i + j * j < nearest
                if mismatch < best or closer:
                    best, nearest, found = mismatch, i * i + j * j, (x, y)
        place = found
        reach = 1
        step = step / 2
    return place


def block_features(
    generator: Generator, ws: Tensor, noise_consts: Mapping[str, Tensor] | None, size: int
) -> Tensor:
    """Run the whole synthesis and pick one block's features."""
    outputs = list(generator.synthesis.run(ws, noise_consts, with_image=True))
    (features,) = [output.features for output in outputs if output.resolution == size]
    return features


def bilinear(features: Tensor, x: float, y: float) -> Tensor:
    """Weigh the four pixels around (x, y); beyond the outermost pixels the edge is repeated."""
    height, width = features.shape[2:]
    x = min(max(x, 0.0), width - 1.0)
    y = min(max(y, 0.0), height - 1.0)
    left, top = math.floor(x), math.floor(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    a, b = x - left, y - top
    return (
        features[0, :, top, left] * (1 - a) * (1 - b)
        + features[0, :, top, right] * a * (1 - b)
        + features[0, :, bottom, left] * (1 - a) * b
        + features[0, :, bottom, right] * a * b
    )


def _disk(x: float, y: float, radius: float) -> list[XY]:
    places = []
    for j in range(-64, 65):
        for i in range(-64, 65):
            if math.hypot(0.5 * i, 0.5 * j) <= radius + 1e-6:
                places.append((x + 0.5 * i, y + 0.5 * j))
    return places


def _kept(movable_mask: Tensor, row: int, column: int, cell: int) -> float:
    black = 0
    for y in range(row * cell, (row + 1) * cell):
        for x in range(column * cell, (column + 1) * cell):
            black += not bool(movable_mask[y, x])
    return black / cell**2


def _to_features(xy: XY, resolution: int, size: int) -> XY:
    return (xy[0] + 0.5) * size / resolution - 0.5, (xy[1] + 0.5) * size / resolution - 0.5


def _to_picture(xy: XY, resolution: int, size: int) -> XY:
    return (xy[0] + 0.5) * resolution / size - 0.5, (xy[1] + 0.5) * resolution / size - 0.5
