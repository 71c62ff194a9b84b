"""Reading a feature map at positions between its pixels.

Positions are xy throughout. A picture position x (an integer is a pixel's centre, the picture
spans -0.5 to R - 0.5) is the feature position (x + 0.5) * F / R - 0.5: both grids cover the same
area, and R and F are its longer sides. DragGAN's released code resizes the features to the picture
instead, with positions that are off by up to 0.9 px; reading them where they are needed is the same
interpolation without the resized map and without the shift.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

Positions = TypeVar("Positions", Tensor, float)

REFERENCE_RESOLUTION = 512
"""DragGAN gives its radii in pixels of a 512 picture; so do we, whatever the network's size."""

GRID_STEP = 0.5
"""Spacing of patch and search positions in feature pixels.

Bilinear interpolation has nothing new between two nodes, so a finer patch only repeats itself;
half a pixel keeps a radius of 1.5 feature pixels (r2 on a 128 network) exact.
"""


def feature_resolution(resolution: int) -> int:
    """Return the size of the block whose features are dragged: min(128, resolution / 2).

    512 and 1024 networks use the 128 block, as DragGAN's released code does (its sixth block;
    the paper's text calls it 256x256). A 256 network uses it too, a 128 network its 64 block and
    a 64 network its 32 block: one below the last, where features still tell places apart and
    the last block's texture does not yet disturb.
    """
    return min(128, resolution // 2)


def to_feature_xy(xy: Tensor, resolution: int, feature_size: int) -> Tensor:
    """Turn picture positions into positions on the feature map."""
    return (xy + 0.5) * (feature_size / resolution) - 0.5


def to_picture_xy(xy: Positions, resolution: int, feature_size: int) -> Positions:
    """Turn positions on the feature map, or one coordinate of one, into picture positions."""
    return (xy + 0.5) * (resolution / feature_size) - 0.5


def to_feature_length(length: float, feature_size: int) -> float:
    """Turn a length in pixels of a 512 picture into feature pixels."""
    return length * feature_size / REFERENCE_RESOLUTION


def sample(features: Tensor, xy: Tensor) -> Tensor:
    """Read features [1, C, h, w] at feature positions xy [..., 2], bilinearly: [..., C].

    Beyond the outermost pixel centres the edge is repeated. Differentiable with respect to
    features.
    """
    if features.ndim != 4 or features.shape[0] != 1:
        raise ValueError(f"features must be [1, C, h, w], got {tuple(features.shape)}")
    height, width = features.shape[2:]
    corner, right_share, lower_share = _corners(xy.reshape(-1, 2), height, width)
    # All channels of a pixel in one row: reading rows is four times as fast as columns.
    flat = features[0].permute(1, 2, 0).reshape(height * width, -1)
    upper = torch.lerp(flat[corner], flat[corner + 1], right_share)
    lower = torch.lerp(flat[corner + width], flat[corner + width + 1], right_share)
    return torch.lerp(upper, lower, lower_share).reshape(*xy.shape[:-1], -1)


def spread(values: Tensor, xy: Tensor, height: int, width: int) -> Tensor:
    """Put values [n, K, C] at positions xy [n, K, 2] onto maps [n, C, height, width].

    It is the adjoint of `sample`: the gradient by the features of what is read, times values.
    """
    corner, right_share, lower_share = _corners(xy, height, width)
    first = torch.arange(len(values), device=xy.device)[:, None] * (height * width)
    corner = (first + corner).flatten()
    flat = values.new_zeros(len(values) * height * width, values.shape[2])
    upper, lower = values * (1 - lower_share), values * lower_share
    for offset, row in ((0, upper), (width, lower)):
        flat.index_add_(0, corner + offset, (row * (1 - right_share)).flatten(0, 1))
        flat.index_add_(0, corner + offset + 1, (row * right_share).flatten(0, 1))
    return flat.reshape(len(values), height, width, -1).permute(0, 3, 1, 2)


def _corners(xy: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the upper left pixel's index [...] of each position, and how far right, down [..., 1].

    Beyond the outermost pixel centres a position is moved to the edge.
    """
    x = xy[..., 0].clamp(0, width - 1)
    y = xy[..., 1].clamp(0, height - 1)
    left = x.floor().clamp(max=width - 2)
    top = y.floor().clamp(max=height - 2)
    corner = top.long() * width + left.long()
    return corner, (x - left)[..., None], (y - top)[..., None]


def slopes(features: Tensor, xy: Tensor) -> Tensor:
    """Return what features [1, C, h, w] change by a pixel along x and y at xy: [2, ..., C]."""
    across = GRID_STEP * torch.eye(2, device=xy.device)
    return torch.stack(
        [(sample(features, xy + e) - sample(features, xy - e)) / (2 * GRID_STEP) for e in across]
    )


def square_offsets(radius: float, step: float) -> Tensor:
    """List the xy offsets [K, 2] in multiples of step with |dx|, |dy| <= radius, nearest first.

    Nearest first, so that the first of several equally good positions is the one least moved.
    """
    reach = int(radius / step + 1e-6)
    cells = [(i, j) for j in range(-reach, reach + 1) for i in range(-reach, reach + 1)]
    cells.sort(key=lambda cell: cell[0] ** 2 + cell[1] ** 2)
    return torch.tensor(cells, dtype=torch.float32) * step


def disk_offsets(radius: float, step: float) -> Tensor:
    """List the xy offsets [K, 2] in multiples of step no farther away than radius."""
    offsets = square_offsets(radius, step)
    return offsets[offsets.norm(dim=1) <= radius + 1e-6]
