"""Fields that give a face another one's shape: what a drag will ask for, thousands of times."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 32
"""Width of a field; thin-plate splines are smooth."""

CANDIDATES = 12
"""Of so many faces the one with the most similar yaw lends its shape."""

SOLVED = 256
"""Fields made at a time."""


def warp_fields(landmarks: Tensor, yaw: Tensor, variants: int, rng: torch.Generator) -> Tensor:
    """Return the fields of every face towards `variants` others: [N, variants, 2, GRID, GRID].

    landmarks [N, 68, 2] in 0..1, yaw [N], on any device; rng is on the CPU. A field, in 0..1 of
    the picture, says from how far away each place takes its colour; it is zero at the border, and
    everywhere for a face whose landmarks are not known (NaN).
    """
    n = len(landmarks)
    known = ~landmarks.isnan().flatten(1).any(dim=1)
    device = landmarks.device
    fields = torch.zeros(n, variants, 2, GRID, GRID, dtype=torch.float16, device=device)
    if int(known.sum()) < 2:
        return fields
    givers = known.nonzero()[:, 0]
    for own in givers.split(SOLVED):
        for k in range(variants):
            drawn = torch.randint(len(givers), (len(own), CANDIDATES), generator=rng)
            others = givers[drawn.to(device)]
            nearest = (yaw[others] - yaw[own][:, None]).abs().argmin(dim=1)
            other = others.gather(1, nearest[:, None])[:, 0]
            fields[own, k] = thin_plate_field(landmarks[other], landmarks[own]).half()
    return fields


def thin_plate_field(at: Tensor, source: Tensor) -> Tensor:
    """Interpolate the shifts source - at, known at the points `at` [N, K, 2]: [N, 2, GRID, GRID].

    Thin-plate splines (Bookstein, 1989), with the border held.
    """
    n, device = len(at), at.device
    edge = torch.linspace(0, 1, 5, device=device)
    border = torch.cartesian_prod(edge, edge)
    border = border[((border == 0) | (border == 1)).any(dim=1)].expand(n, -1, -1)
    knots = torch.cat([at, border], dim=1)
    shift = torch.cat([source - at, torch.zeros_like(border)], dim=1)
    k = knots.shape[1]
    system = torch.zeros(n, k + 3, k + 3, device=device)
    system[:, :k, :k] = _bending(knots, knots) + 1e-3 * torch.eye(k, device=device)
    affine = torch.cat([torch.ones(n, k, 1, device=device), knots], dim=2)
    system[:, :k, k:], system[:, k:, :k] = affine, affine.transpose(1, 2)
    weights = torch.linalg.solve(system, torch.cat([shift, shift.new_zeros(n, 3, 2)], dim=1))
    grid = pixel_grid(GRID, device).reshape(1, -1, 2).expand(n, -1, -1)
    ones = torch.ones(n, GRID**2, 1, device=device)
    basis = torch.cat([_bending(grid, knots), ones, grid], dim=2)
    field: Tensor = (basis @ weights).transpose(1, 2).reshape(n, 2, GRID, GRID)
    return field


def pixel_grid(size: int, device: torch.device) -> Tensor:
    """Return the centres of a picture's pixels, xy in 0..1: [size, size, 2]."""
    line = (torch.arange(size, device=device) + 0.5) / size
    return torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], dim=-1)


def _bending(a: Tensor, b: Tensor) -> Tensor:
    squared = (a[:, :, None] - b[:, None]).square().sum(dim=-1)
    return squared * (squared + 1e-9).log()
