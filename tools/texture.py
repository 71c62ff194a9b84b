"""How different the textures of two pictures are, wherever exactly each hair lies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PATCH = 5
"""Width of the patches of colours, in pixels of each of their three sizes."""

PATCH_WINDOWS = (16, 8, 8)
"""Widths of the windows in which patches are compared: 16, 16 and 32 pixels of the picture."""

FEATURE_WINDOWS = (16, 8, 4)
"""The same for the first three feature maps, each of half the size of the one before."""

COLOUR_SHARE = 0.3
"""How much of a patch's colour counts beside its grey."""


def local_sliced_wasserstein(x: Tensor, y: Tensor, window: int, rng: torch.Generator) -> Tensor:
    """Compare which values maps x and y [N, C, H, W] have in each window, not where.

    Values of each channel are sorted inside windows of `window` pixels, whose corner is drawn, and
    compared in order: the Wasserstein distance of their distributions. Over random projections of
    patches or features it is the sliced one (Rabin et al., 2011; Heitz et al., 2021, arXiv
    2006.07229; Elnekave and Weiss, 2022, arXiv 2203.11862). H and W are multiples of the window.
    """
    shift = tuple(torch.randint(0, window, (2,), generator=rng).tolist())
    both = torch.cat([x, y]).roll(shift, (2, 3))
    n, c, h, w = both.shape
    tiles = both.reshape(n, c, h // window, window, w // window, window)
    values = tiles.transpose(3, 4).reshape(n, c, -1, window * window).sort(dim=-1).values
    a, b = values.chunk(2)
    return (a - b).abs().mean()


def patch_distance(x: Tensor, y: Tensor, directions: int, rng: torch.Generator) -> Tensor:
    """Compare the patches of pictures x and y [N, 3, R, R] at three sizes; R is 64 or more."""
    both, gaps = torch.cat([x, y]), []
    for window in PATCH_WINDOWS:
        kernels = torch.randn(directions, 3, PATCH, PATCH, generator=rng)
        grey = kernels.mean(dim=1, keepdim=True)
        kernels = grey + COLOUR_SHARE * (kernels - grey)
        kernels = kernels - kernels.mean(dim=(1, 2, 3), keepdim=True)
        kernels = F.normalize(kernels.flatten(1), dim=1).reshape(kernels.shape)
        border = (PATCH // 2,) * 4
        a, b = F.conv2d(F.pad(both, border, mode="reflect"), kernels).chunk(2)
        gaps.append(local_sliced_wasserstein(a, b, window, rng))
        both = F.avg_pool2d(both, 2)
    return torch.stack(gaps).sum()


def feature_distance(
    x: list[Tensor], y: list[Tensor], directions: int, rng: torch.Generator
) -> Tensor:
    """Compare feature maps of two pictures, from those of the picture's own size on."""
    gaps = []
    for a, b, window in zip(x, y, FEATURE_WINDOWS, strict=False):
        onto = F.normalize(torch.randn(directions, a.shape[1], 1, 1, generator=rng), dim=1)
        gaps.append(local_sliced_wasserstein(F.conv2d(a, onto), F.conv2d(b, onto), window, rng))
    return torch.stack(gaps).sum()
