"""The few operations StyleGAN2 is made of, in plain torch. Nothing is compiled at import.

Sources: "Analyzing and Improving the Image Quality of StyleGAN" (Karras et al., 2020,
arXiv 1912.04958), sections 2.2 and 4 and appendix B; tensor layouts follow NVIDIA's checkpoints.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.packed import PackedConv2d, can_pack

FIR_TAPS = (1.0, 3.0, 3.0, 1.0)
"""The resampling filter of StyleGAN2, before normalisation; applied along both axes."""

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)


def is_usual_filter(kernel: Tensor, gain: float = 1.0) -> bool:
    """Tell whether a kernel is that of FIR_TAPS [4, 4], summing to gain."""
    taps = torch.tensor(FIR_TAPS)
    wanted = torch.outer(taps, taps) * (gain / float(taps.sum()) ** 2)
    return kernel.shape == wanted.shape and torch.allclose(kernel.float(), wanted, atol=1e-5)


def fir_kernel(channels: int, like: Tensor, gain: float = 1.0) -> Tensor:
    """Return the depthwise [channels, 1, 4, 4] resampling kernel, summing to `gain`."""
    return _fir(gain, like.device, like.dtype).expand(channels, 1, 4, 4)


@cache
def _fir(gain: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Make the kernel [4, 4], once for each device: every step would copy it there otherwise."""
    with torch.inference_mode(False):  # else the first caller's mode would be everyone's
        taps = torch.tensor(FIR_TAPS, device=device, dtype=dtype)
        taps = taps / taps.sum()
        return torch.outer(taps, taps) * gain


def fir_filter(x: Tensor, padding: tuple[int, int, int, int], gain: float = 1.0) -> Tensor:
    """Low-pass x [N, C, H, W]; padding is (left, right, top, bottom) and filled with zeros."""
    channels = x.shape[1]
    x, inside = padded(x, padding)
    if can_pack(x):
        return _packed_fir(channels, gain)(x, inside)
    return F.conv2d(x, fir_kernel(channels, x, gain), padding=inside, groups=channels)


def padded(x: Tensor, padding: tuple[int, int, int, int]) -> tuple[Tensor, tuple[int, int]]:
    """Pad x where a convolution cannot do it by itself; return what is left for that to do.

    padding is (left, right, top, bottom), negative crops; what is left is (vertical, horizontal).
    """
    left, right, top, bottom = padding
    if left == right >= 0 and top == bottom >= 0:
        return x, (top, left)
    return F.pad(x, padding), (0, 0)


@cache
def _packed_fir(channels: int, gain: float) -> PackedConv2d:
    like = torch.empty(0, device="cpu", dtype=torch.float32)
    return PackedConv2d(fir_kernel(channels, like, gain), groups=channels)


def upsample(x: Tensor) -> Tensor:
    """Double the size of x [N, C, H, W]: insert zeros, then low-pass (gain 4 keeps brightness).

    With the taps [1, 3, 3, 1] that is bilinear interpolation beyond whose edge there are zeros,
    which every device does fast.
    """
    padded = F.pad(x, (1, 1, 1, 1))
    doubled = F.interpolate(padded, scale_factor=2, mode="bilinear", align_corners=False)
    return doubled[:, :, 2:-2, 2:-2]


def weight_energy(weight: Tensor) -> Tensor:
    """Return the sum of squares of each kernel, [out, in], of weight [out, in, k, k]."""
    return weight.square().sum(dim=(2, 3))


def demodulation(styles: Tensor, energy: Tensor) -> Tensor:
    """Return what brings each output channel to unit variance, [N, out] (equation 3)."""
    return (styles.square() @ energy.t() + 1e-8).rsqrt()


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    energy: Tensor,
    *,
    up: bool = False,
    gain: float = 1.0,
    padding: tuple[int, int, int, int] | None = None,
    packed: PackedConv2d | None = None,
) -> Tensor:
    """Convolve x [N, in, H, W] with weight [out, in, k, k] scaled per sample by styles [N, in].

    Equations 1 and 3 of the paper, modulation and demodulation; energy is the `weight_energy` of
    weight. The activations are scaled before and after the convolution instead of the weights,
    which is the same function: the batch shares one convolution, and a backward pass to the styles
    alone needs no gradient of the weights. Only where that gradient is wanted anyway, and one
    sample has more activations than there are weights, the weights are scaled. With up=True the
    output is twice as large: transposed convolution, then the FIR filter. The result is multiplied
    by gain, which costs nothing.

    padding (left, right, top, bottom; negative crops) is that of the convolution, with up=True
    that of the FIR filter; None keeps the size, or doubles it. packed is the same weight for a
    pass without gradients, see `can_pack`.
    """
    demodulated = demodulation(styles, energy) * gain
    after: Tensor | None = demodulated
    learns = weight.requires_grad and packed is None
    if x.shape[0] == 1 and learns and weight.numel() <= x.numel():
        weight = weight * styles[0, :, None, None] * demodulated[0, :, None, None, None]
        after = None
    else:
        x = x * styles.to(x.dtype)[:, :, None, None]
    if up:
        if packed is not None:
            x = packed(x)
        else:
            x = F.conv_transpose2d(x, weight.to(x.dtype).transpose(0, 1), stride=2)
        x = fir_filter(x, padding or (1, 1, 1, 1), gain=4.0)
    else:
        x, inside = padded(x, padding or (weight.shape[2] // 2,) * 4)
        if packed is not None:
            x = packed(x, inside)
        else:
            x = F.conv2d(x, weight.to(x.dtype), padding=inside)
    return x if after is None else x * after.to(x.dtype)[:, :, None, None]


def modulated_matmul(x: Tensor, weight: Tensor, styles: Tensor) -> Tensor:
    """Do what `modulated_conv2d` does with a 1x1 weight [out, in, 1, 1], without demodulation.

    The few weights are scaled instead of the many activations.
    """
    modulated = (weight[:, :, 0, 0] * styles[:, None]).to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):
        # Row by row: one product over all pixels has a slow gradient.
        rows = x.permute(0, 2, 3, 1) @ modulated.transpose(1, 2)[:, None]
        return rows.permute(0, 3, 1, 2)
    colours = modulated @ x.flatten(2)
    return colours.reshape(len(x), -1, *x.shape[2:])


def bias_act(x: Tensor, bias: Tensor) -> Tensor:
    """Add bias [C] to x [N, C], and apply leaky ReLU times sqrt(2)."""
    return F.leaky_relu(x + bias.to(x.dtype), LRELU_SLOPE) * LRELU_GAIN


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scale each row of x [N, C] to mean square 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class FullyConnected(nn.Module):
    """Linear layer with equalised learning rate: weight [out, in], bias [out]."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        # Few inputs are scaled instead of many weights.
        return F.linear(x * self.weight_gain, self.weight, self.bias * self.bias_gain)
