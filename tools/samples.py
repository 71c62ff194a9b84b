"""Faces that a generator draws, and pictures put beside each other to be looked at."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from benchmarks.sheets import beside, contact_sheet
from stylegan2.generator import Generator
from stylegan2.images import to_uint8


@torch.no_grad()
def sample(generator: Generator, n: int, psi: float, seed: int) -> Tensor:
    """Draw n pictures [n, 3, R, R]; they come on the CPU."""
    rng = torch.Generator().manual_seed(seed)
    device = next(generator.parameters()).device
    z = torch.randn(n, generator.config.z_dim, generator=rng)
    return torch.cat([generator(part.to(device), psi).cpu() for part in z.split(16)])


def sheet(pictures: Tensor, columns: int, tile: int | None = None) -> Image.Image:
    """Put pictures [N, 3, R, R] in [-1, 1] beside each other, `tile` or R pixels each."""
    size = (tile or pictures.shape[-1],) * 2
    tiles = [
        Image.fromarray(to_uint8(picture)).resize(size, Image.Resampling.LANCZOS)
        for picture in pictures
    ]
    rows = [beside(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return contact_sheet(rows, 1)
