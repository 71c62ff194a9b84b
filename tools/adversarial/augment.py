"""Differentiable augmentation: what the heads see is disturbed, so that few photos suffice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 1 / 8
HOLE = 1 / 2
"""Of the picture's width: how far it moves at most, and the square that is cut out."""


class Augmentation:
    """Colour, translation and cut-out, drawn once for a batch of n pictures R pixels wide.

    After Zhao et al., 2020 (arXiv 2006.10738). Applied to generated and to real pictures alike, so
    that the k-th of both are disturbed in the same way and can be compared.
    """

    def __init__(self, n: int, size: int, rng: torch.Generator, device: torch.device) -> None:
        def uniform() -> Tensor:
            return torch.rand(n, 1, 1, 1, generator=rng, device=device)

        def whole(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (n, 1), generator=rng, device=device)

        self.brightness, self.saturation, self.contrast = uniform() - 0.5, 2 * uniform(), uniform()
        self.reach = round(size * SHIFT)
        line = torch.arange(size, device=device)
        self.rows, self.columns = (
            line + self.reach + whole(-self.reach, self.reach) for _ in range(2)
        )
        across, down = ((line - whole(0, size)).abs() < size * HOLE / 2 for _ in range(2))
        self.keep = 1.0 - (down[:, None, :, None] & across[:, None, None, :]).float()

    def __call__(self, x: Tensor) -> Tensor:
        """Disturb pictures [n, 3, R, R]."""
        n, channels, size, _ = x.shape
        x = x + self.brightness
        grey = x.mean(dim=1, keepdim=True)
        x = grey + (x - grey) * self.saturation
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = mean + (x - mean) * (self.contrast + 0.5)
        x = F.pad(x, (self.reach,) * 4)
        wide = x.shape[3]
        x = x.gather(2, self.rows[:, None, :, None].expand(n, channels, size, wide))
        x = x.gather(3, self.columns[:, None, None, :].expand(n, channels, size, size))
        return x * self.keep
