"""What training needs beside the generator and its encoder: a discriminator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inversion.encoder import Conv
from stylegan2.ops import FullyConnected, bias_act


class DiscriminatorBlock(nn.Module):
    """Residual block that halves the picture; the image enters again at every size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fromrgb = Conv(3, in_channels, 1)
        self.conv0 = Conv(in_channels, in_channels)
        self.conv1 = Conv(in_channels, out_channels)
        self.skip = Conv(in_channels, out_channels, 1, linear=True)

    def forward(self, x: Tensor | None, image: Tensor) -> Tensor:
        rgb = self.fromrgb(image)
        x = rgb if x is None else (x + rgb) * math.sqrt(0.5)
        y = self.conv1(F.avg_pool2d(self.conv0(x), 2))
        out: Tensor = (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)
        return out


class Discriminator(nn.Module):
    """image [N, 3, R, R] -> realness [N]; input skips and residual blocks (section 4.1).

    `channels` are the widths from 4x4 to R. Halving is by area average, which is cheap.
    """

    def __init__(self, channels: tuple[int, ...], group: int = 4) -> None:
        super().__init__()
        self.group = group
        self.sizes = [4 << i for i in range(len(channels))]
        for i in range(len(channels) - 1, 0, -1):
            self.add_module(f"b{self.sizes[i]}", DiscriminatorBlock(channels[i], channels[i - 1]))
        self.conv = Conv(channels[0] + 1, channels[0])
        self.fc = FullyConnected(channels[0] * 16, channels[0])
        self.out = FullyConnected(channels[0], 1)

    def features(self, image: Tensor) -> list[Tensor]:
        """Return the output of every block, finest first."""
        x: Tensor | None = None
        found = []
        for size in reversed(self.sizes[1:]):
            x = self.get_submodule(f"b{size}")(x, image)
            image = F.avg_pool2d(image, 2)
            found.append(x)
        return found

    def head(self, x: Tensor) -> Tensor:
        """Judge the 4x4 features, with the standard deviation over groups as one more channel."""
        n = x.shape[0]
        group = min(self.group, n)
        while n % group:
            group -= 1
        y = x.reshape(group, n // group, *x.shape[1:]).float()
        deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        column = deviation.repeat(group).reshape(n, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        x = self.conv(torch.cat([x, column.to(x.dtype)], dim=1))
        x = F.linear(x.flatten(1), self.fc.weight * self.fc.weight_gain)
        realness: Tensor = self.out(bias_act(x, self.fc.bias))
        return realness[:, 0]

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.features(image)[-1])
