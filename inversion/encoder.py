"""The encoder that was trained with the embedded generator: a photo's w in one pass.

It is only a start for projection, and only for the generator it was trained with.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from stylegan2.ops import LRELU_GAIN, LRELU_SLOPE, FullyConnected, bias_act

SIZE = 64
"""Pictures are looked at in this size, whatever theirs is."""


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
        if images.shape[-1] != SIZE:
            mode = "area" if images.shape[-1] > SIZE else "bilinear"
            images = F.interpolate(images, size=(SIZE, SIZE), mode=mode)
        x = self.convs(images).flatten(1)
        x = bias_act(F.linear(x, self.fc.weight * self.fc.weight_gain), self.fc.bias)
        w: Tensor = self.out(x)
        return w


def encoder_path() -> Path:
    """Return where the embedded encoder lies."""
    return Path(__file__).parent / "weights" / "encoder.safetensors"


@cache
def encoder_for(weights: str) -> Encoder | None:
    """Return the encoder of the generator with this weights hash; None if there is none."""
    with safe_open(encoder_path(), framework="pt") as file:
        header = file.metadata() or {}
        if header.get("generator") != weights:
            return None
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    encoder = Encoder(**json.loads(header["sizes"]))
    encoder.load_state_dict(tensors)
    return encoder.eval().requires_grad_(False)
