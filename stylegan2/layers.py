"""The layers of StyleGAN2's synthesis network, and the blocks that they make.

Source: Karras et al., 2020 (arXiv 1912.04958), figure 2d (weight demodulation) and figure 7b
(skip connections to RGB).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.ops import (
    LRELU_GAIN,
    LRELU_SLOPE,
    FullyConnected,
    modulated_conv2d,
    modulated_matmul,
)
from stylegan2.weight_forms import Weight, WeightForms

NARROW = 64
"""On a CPU layers of that many channels and fewer keep all channels of a pixel together, which
makes them up to twice as fast; wider ones gain nothing by it, and lose when weights are tuned."""


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias and activation (one grey box of figure 2d)."""

    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        shape: tuple[int, int],
        *,
        up: bool,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.up = up
        self.clamp = clamp
        self.resolution = resolution
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = Weight(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("noise_const", torch.randn(shape))
        self.forms = WeightForms(up=up)

    def forward(
        self,
        x: Tensor,
        w: Tensor,
        noise: Tensor | None,
        padding: tuple[int, int, int, int] | None = None,
    ) -> Tensor:
        """x [N, in, H, W], w [N, w_dim]; noise [H, W] or [N, 1, H, W], None for none.

        padding is for windows cut out of the picture, see `modulated_conv2d`; noise is then that
        of the window.
        """
        return self.styled(x, self.affine(w), noise, padding)

    def styled(
        self,
        x: Tensor,
        styles: Tensor,
        noise: Tensor | None,
        padding: tuple[int, int, int, int] | None = None,
    ) -> Tensor:
        """Do what `forward` does, with the styles [N, in] that w gives."""
        weight, forms = self.weight, self.forms
        packs = forms.packs(weight, x, styles)
        if not packs and x.device.type == "cpu":
            if weight.requires_grad:
                x = x.contiguous()  # their gradient takes four times as long with channels last
            elif weight.shape[0] <= NARROW:
                x = x.contiguous(memory_format=torch.channels_last)
        relaid = self.up and not packs and not weight.requires_grad
        # Leaky ReLU is positively homogeneous, so its gain goes into what comes before it, and
        # each addition is made in place: on a CPU this layer is bound by memory, not arithmetic.
        x = modulated_conv2d(
            x,
            forms.for_transposed(weight) if relaid else weight,
            styles,
            forms.energy(weight),
            up=self.up,
            gain=LRELU_GAIN,
            padding=padding,
            packed=forms.packed(weight) if packs else None,
        )
        if noise is not None:
            x.add_((noise * (self.noise_strength * LRELU_GAIN)).to(x.dtype))
        x.add_((self.bias * LRELU_GAIN).to(x.dtype)[:, None, None])
        x = F.leaky_relu_(x, LRELU_SLOPE)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class ToRGBLayer(nn.Module):
    """Modulated 1x1 convolution to colour, without demodulation."""

    def __init__(
        self, in_channels: int, img_channels: int, w_dim: int, *, clamp: float | None
    ) -> None:
        super().__init__()
        self.clamp = clamp
        self.affine = FullyConnected(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(img_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(img_channels))
        self.weight_gain = 1.0 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        styles = self.affine(w) * self.weight_gain
        x = modulated_matmul(x, self.weight, styles)
        x = x + self.bias.to(x.dtype).reshape(1, -1, 1, 1)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)


class SynthesisBlock(nn.Module):
    """All layers of one size; the first block starts from a learned constant.

    resolution is the longer side, shape height and width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        w_dim: int,
        resolution: int,
        shape: tuple[int, int],
        img_channels: int,
        *,
        clamp: float | None,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, *shape))
        else:
            self.conv0 = SynthesisLayer(
                in_channels, out_channels, w_dim, resolution, shape, up=True, clamp=clamp
            )
        self.conv1 = SynthesisLayer(
            out_channels, out_channels, w_dim, resolution, shape, up=False, clamp=clamp
        )
        self.torgb = ToRGBLayer(out_channels, img_channels, w_dim, clamp=clamp)

    @property
    def first_w(self) -> int:
        """Index of the first of this block's ws; its layers take consecutive ones."""
        return max(0, 2 * int(math.log2(self.resolution)) - 5)
