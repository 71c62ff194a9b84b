"""Pictures for training: the project's generator, in the form that the device is fast at."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from stylegan2.generator import Generator
from stylegan2.layers import SynthesisLayer, ToRGBLayer
from stylegan2.ops import FIR_TAPS, LRELU_GAIN, LRELU_SLOPE, demodulation, upsample, weight_energy


def render(generator: Generator, ws: Tensor, dtype: torch.dtype, rng: torch.Generator) -> Tensor:
    """Draw ws [N, num_ws, w_dim] with random noise: pictures [N, 3, R, R] in float32.

    On a CPU that is the generator's own way. On a GPU, where depthwise filters and transposed
    convolutions are slow, upsampling layers are one convolution that yields all four phases.
    """
    if ws.device.type == "cpu" and dtype == torch.float32:
        picture: Tensor = generator.synthesis(ws, noise_mode="random", rng=rng)
        return picture
    return by_phases(generator, ws, dtype, rng)


def by_phases(generator: Generator, ws: Tensor, dtype: torch.dtype, rng: torch.Generator) -> Tensor:
    """Do what `generator.synthesis` does in the given type, all channels of a pixel together."""
    x, image = None, None
    for resolution in generator.config.block_resolutions:
        block = generator.synthesis.block(resolution)
        w = iter(ws[:, block.first_w : block.first_w + 3].unbind(dim=1))
        if x is None:
            x = block.const.to(dtype).expand(len(ws), -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            x = _layer(block.conv0, x, next(w), rng)
        x = _layer(block.conv1, x, next(w), rng)
        rgb = _to_rgb(block.torgb, x, next(w))
        image = rgb if image is None else upsample(image) + rgb
    assert image is not None
    return image


def _layer(layer: SynthesisLayer, x: Tensor, w: Tensor, rng: torch.Generator) -> Tensor:
    styles: Tensor = layer.affine(w)
    scale = demodulation(styles, weight_energy(layer.weight)) * LRELU_GAIN
    x = x * styles.to(x.dtype)[:, :, None, None]
    weight = phase_weight(layer.weight) if layer.up else layer.weight
    x = F.conv2d(x, weight.to(x.dtype).contiguous(memory_format=torch.channels_last), padding=1)
    if layer.up:
        x = interleaved(x)
    shape = (len(x), 1, layer.resolution, layer.resolution)
    noise = torch.randn(shape, device=x.device, dtype=x.dtype, generator=rng)
    noise = noise * (layer.noise_strength * LRELU_GAIN).to(x.dtype)
    bias = (layer.bias * LRELU_GAIN).to(x.dtype)[:, None, None]
    return F.leaky_relu(x * scale.to(x.dtype)[:, :, None, None] + (noise + bias), LRELU_SLOPE)


def phase_weight(weight: Tensor) -> Tensor:
    """Fold an upsampling filter into weight [out, in, 3, 3]: [4 out, in, 3, 3].

    A transposed convolution of stride two, then StyleGAN2's filter (Karras et al., 2020, appendix
    B), gives each of the four phases of the picture, rows first, as a convolution of three taps.
    """
    taps = _phase_taps(weight.device)
    out, given = weight.shape[:2]
    phases = torch.einsum("pka,qlb,oiab->pqoikl", taps, taps, weight)
    return phases.reshape(4 * out, given, 3, 3)


def _phase_taps(device: torch.device) -> Tensor:
    """Return what kernel element a puts into tap k of phase p: [2, 3, 3]."""
    gain = 2 / sum(FIR_TAPS)
    # Built on the device: a copy from the host would break a captured graph.
    phase, tap, element = torch.meshgrid(
        *(torch.arange(n, device=device) for n in (2, 3, 3)), indexing="ij"
    )
    place = 2 * (tap - 1) + element + 1 - phase
    taps = torch.zeros(2, 3, 3, device=device)
    for i, value in enumerate(FIR_TAPS):
        taps = taps + (place == i) * (value * gain)
    return taps


def interleaved(x: Tensor) -> Tensor:
    """Put four phases [N, 4 C, H, W] into one picture [N, C, 2 H, 2 W]."""
    n, channels, height, width = x.shape
    x = x.permute(0, 2, 3, 1).reshape(n, height, width, 2, 2, channels // 4)
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, channels // 4)
    return x.permute(0, 3, 1, 2)


def _to_rgb(layer: ToRGBLayer, x: Tensor, w: Tensor) -> Tensor:
    styles = layer.affine(w) / math.sqrt(layer.weight.shape[1])
    colours = (layer.weight[:, :, 0, 0] * styles[:, None]).to(x.dtype)
    n, _, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).flatten(1, 2) @ colours.transpose(1, 2)
    picture = rows.reshape(n, height, width, -1).permute(0, 3, 1, 2).float()
    biased: Tensor = picture + layer.bias[:, None, None]
    return biased
