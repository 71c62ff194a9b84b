"""Locality regularization: tuning must not change the faces around the pivot.

Source: Roich et al., 2021 (PTI, arXiv 2106.05744), section 3.3, equations 3 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2.generator import Generator
from stylegan2.latents import to_ws


@dataclass(frozen=True)
class LocalityPool:
    """Latents around the pivots, [1, num_ws, w_dim] each, and the untuned network's pictures."""

    ws: list[Tensor]
    pictures: list[Tensor]


@torch.no_grad()
def build_locality_pool(
    generator: Generator, pivots: list[Tensor], alpha: float, size: int, rng: torch.Generator
) -> LocalityPool:
    """Walk from a pivot a distance of alpha towards random w, and render what is there.

    A step moves every layer's w by alpha (equation 3); PTI's alpha = 30 is the norm over all 18
    copies of w at once, which moves each by 30 / sqrt(18) = 7.07. Call it before tuning: the
    pictures are what tuning has to keep, with the network's own noise, as in tuning itself. A
    pool of `size` latents takes the place of a new one each step, and of a second generator.
    """
    device = pivots[0].device
    z = torch.randn(size, generator.config.z_dim, generator=rng).to(device)
    towards = to_ws(generator.mapping(z), generator.num_ws)
    ws, pictures = [], []
    for i in range(size):
        pivot = pivots[i % len(pivots)]
        direction = towards[i : i + 1] - pivot
        length = direction.norm(dim=2, keepdim=True).clamp_min(1e-8)
        near = pivot + alpha * direction / length
        ws.append(near)
        pictures.append(generator.synthesis(near))
    return LocalityPool(ws, pictures)
