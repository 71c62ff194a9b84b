"""Frozen features of pictures, and heads that learn to tell from them what is real.

"Projected GANs Converge Faster" (Sauer et al., 2021, arXiv 2111.01007): features of a network that
was trained on other pictures are mixed at random, across channels and scales, and light heads judge
each scale. Spectral normalisation: Miyato et al., 2018 (arXiv 1802.05957).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.keras_graph import KerasGraph

MODEL, WEIGHTS = "features.json", "features.bin"
"""In the folder of the data: MobileNetV2."""

LAYERS = ("block_2_add", "block_5_add", "block_12_add", "block_16_project_BN")
CHANNELS = (24, 32, 96, 320)
MIXED = (64, 128, 256, 512)
PROJECTED = (64, 64, 128, 256)
"""Of the maps at a quarter, 1/8, 1/16 and 1/32 of the picture: as they come, mixed across channels,
and mixed across scales."""

WIDTHS = {128: 64, 64: 64, 32: 128, 16: 256, 8: 512}
"""Channels of a head by the size of its map; each head ends at 8 pixels."""


def frozen_features(data: Path) -> KerasGraph:
    """Load MobileNetV2 from the folder of the data. Raises GraphInvalid."""
    return KerasGraph(data / MODEL, data / WEIGHTS, LAYERS)


class Projector(nn.Module):
    """Four maps of features -> four mixed ones, each twice as wide; nothing here learns.

    `unit` brings each scale to unit variance, see `measure`.
    """

    unit: Tensor

    def __init__(self) -> None:
        super().__init__()
        for i, (given, mixed, out) in enumerate(zip(CHANNELS, MIXED, PROJECTED, strict=True)):
            self.register_buffer(f"channels{i}", torch.randn(mixed, given, 1, 1) * given**-0.5)
            self.register_buffer(f"scales{i}", torch.randn(out, mixed, 1, 1) * mixed**-0.5)
        self.register_buffer("unit", torch.ones(len(CHANNELS)))

    @torch.no_grad()
    def measure(self, features: list[Tensor]) -> None:
        """Set `unit` from features of real pictures."""
        self.unit.copy_(torch.stack([1 / each.float().std() for each in features]))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = []
        for i in reversed(range(len(features))):
            x = features[i] * self.unit[i].to(features[i].dtype)
            x = F.conv2d(x, self.get_buffer(f"channels{i}").to(x.dtype))
            if found:
                x = (x + found[0]) * math.sqrt(0.5)
            # Mixing commutes with the interpolation, and is cheaper before it.
            x = F.conv2d(x, self.get_buffer(f"scales{i}").to(x.dtype))
            found.insert(0, F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return found


class SpectralConv(nn.Module):
    """Convolution whose matrix has norm one, by a power iteration in every pass that learns."""

    vector: Tensor

    def __init__(
        self, given: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, given // groups, kernel, kernel))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.register_buffer("vector", F.normalize(torch.randn(out), dim=0))
        self.stride, self.groups = stride, groups
        self.padding = kernel // 2 if kernel % 2 else 0

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            right = F.normalize(matrix.t() @ self.vector, dim=0)
            left = F.normalize(matrix @ right, dim=0)
            if self.weight.requires_grad:
                self.vector.copy_(left)
        weight = (self.weight / (left @ (matrix @ right))).to(x.dtype)
        return F.conv2d(x, weight, None, self.stride, self.padding, groups=self.groups)


class Halving(nn.Module):
    """Halve a map: depthwise, then across channels, batch norm, leaky ReLU."""

    def __init__(self, given: int, out: int) -> None:
        super().__init__()
        self.depthwise = SpectralConv(given, given, 3, stride=2, groups=given)
        self.pointwise = SpectralConv(given, out, 1)
        self.norm = nn.BatchNorm2d(out, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.pointwise(self.depthwise(x))), 0.2)


class Heads(nn.Module):
    """Projected maps of a batch -> realness [N, M] at every place of every scale.

    look is the width of the pictures that the features saw.
    """

    def __init__(self, look: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList()
        for i, channels in enumerate(PROJECTED):
            size, layers = look // (2 << i), list[nn.Module]()
            while size > 8:
                size //= 2
                layers.append(Halving(channels, WIDTHS[size]))
                channels = WIDTHS[size]
            layers.append(SpectralConv(channels, 1, 4))
            self.scales.append(nn.Sequential(*layers))

    def forward(self, projected: list[Tensor]) -> Tensor:
        judged = [
            head(x).float().flatten(1) for head, x in zip(self.scales, projected, strict=True)
        ]
        return torch.cat(judged, dim=1)
