"""Encoders, trained with a generator: where in its W or W+ a photo lies, in one pass.

What they say is a start for projection, and only for the generator that they were trained with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.latents import to_ws
from stylegan2.ops import LRELU_GAIN, LRELU_SLOPE, FullyConnected, bias_act

SIZE = 64
"""Pictures are looked at in this size by `Encoder`, whatever theirs is."""

DELTA_SIZE = 128
"""Pictures are looked at in this size by `DeltaEncoder`."""


def seen_at(images: Tensor, size: int) -> Tensor:
    """Bring pictures [N, 3, R, R] to [N, 3, size, size]."""
    if images.shape[-1] == size:
        return images
    mode = "area" if images.shape[-1] > size else "bilinear"
    return F.interpolate(images, size=(size, size), mode=mode)


class Conv(nn.Module):
    """Convolution with equalised learning rate, bias and (unless linear) leaky ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.gain = 1.0 / math.sqrt(in_channels * kernel * kernel)
        self.stride = stride
        self.padding = kernel // 2
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        # Leaky ReLU is positively homogeneous: its gain can go into weights and bias.
        gain = 1.0 if self.linear else LRELU_GAIN
        weight, bias = self.weight * (self.gain * gain), self.bias * gain
        x = F.conv2d(x, weight, bias, self.stride, self.padding)
        return x if self.linear else F.leaky_relu(x, LRELU_SLOPE)


class Encoder(nn.Module):
    """Aligned faces [N, 3, R, R] in [-1, 1] -> w [N, w_dim]."""

    def __init__(self, w_dim: int, width: int = 48) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            Conv(3, width, 5, stride=2),
            Conv(width, 2 * width, 3, stride=2),
            Conv(2 * width, 4 * width, 3, stride=2),
            Conv(4 * width, 4 * width, 3),
            Conv(4 * width, 5 * width, 3, stride=2),
        )
        self.fc = FullyConnected(5 * width * 16, 512)
        self.out = FullyConnected(512, w_dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.convs(seen_at(images, SIZE)).flatten(1)
        x = bias_act(F.linear(x, self.fc.weight * self.fc.weight_gain), self.fc.bias)
        w: Tensor = self.out(x)
        return w


class DeltaEncoder(nn.Module):
    """Aligned faces [N, 3, R, R] in [-1, 1] -> what each layer's w adds to the one w.

    [N, num_ws, w_dim]. W+ as w and small differences: Tov et al., 2021 (arXiv 2102.02766).
    """

    def __init__(self, w_dim: int, num_ws: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 192, 256)
        self.convs = nn.Sequential(
            *(
                Conv(widths[i], widths[i + 1], 5 if i == 0 else 3, stride=2)
                for i in range(len(widths) - 1)
            )
        )
        self.fc = FullyConnected(widths[-1] * 16, 512)
        self.out = FullyConnected(512, num_ws * w_dim)
        self.num_ws = num_ws

    def forward(self, images: Tensor) -> Tensor:
        x = self.convs(seen_at(images, DELTA_SIZE)).flatten(1)
        x = bias_act(F.linear(x, self.fc.weight * self.fc.weight_gain), self.fc.bias)
        deltas: Tensor = self.out(x).reshape(len(x), self.num_ws, -1)
        return deltas


@dataclass(frozen=True)
class FaceEncoder:
    """What knows one generator's latents: w, and the differences from it, if those were learnt."""

    w: Encoder
    delta: DeltaEncoder | None = None

    @torch.no_grad()
    def ws(self, images: Tensor, num_ws: int) -> Tensor:
        """Return ws [N, num_ws, w_dim] of aligned faces [N, 3, R, R] in [-1, 1]."""
        ws = to_ws(self.w(images), num_ws)
        return ws if self.delta is None else ws + self.delta(images)
