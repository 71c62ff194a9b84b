"""Latents: from one w to all ws, and the statistics of W."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stylegan2.generator import Generator


@dataclass(frozen=True)
class WStatistics:
    """Mean [w_dim] and scalar standard deviation of w."""

    mean: Tensor
    std: float


def to_ws(w: Tensor, num_ws: int) -> Tensor:
    """Repeat w [N, w_dim] for every layer: ws [N, num_ws, w_dim] (a view)."""
    if w.ndim != 2:
        raise ValueError(f"w must be [N, w_dim], got {tuple(w.shape)}")
    return w[:, None].expand(-1, num_ws, -1)


@torch.no_grad()
def sample_w(generator: Generator, samples: int, seed: int, truncation_psi: float = 1.0) -> Tensor:
    """Draw w [samples, w_dim], on the generator's device."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(samples, generator.config.z_dim, generator=rng)
    device = generator.mapping.w_avg.device
    return torch.cat([generator.mapping(part.to(device), truncation_psi) for part in z.split(1000)])


def w_statistics(generator: Generator, samples: int = 10_000, seed: int = 123) -> WStatistics:
    """Sample W as NVIDIA's projector does.

    std is the root of the mean squared distance of w to the mean over all samples, not divided
    by w_dim: sqrt(sum((w - mean)^2) / samples), the scale of the projector's noise.
    """
    w = sample_w(generator, samples, seed)
    mean = w.mean(dim=0)
    std = float(((w - mean).square().sum() / samples).sqrt())
    return WStatistics(mean, std)
