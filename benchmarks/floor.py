"""The floor: seconds that the convolutions alone would take at a large one's speed.

Only multiplications and additions of convolutions that cannot be left out are counted: no
filters, no modulation, no memory traffic. Nobody reaches it; it tells how far there is to go.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stylegan2.generator import GeneratorConfig

TAPS = 9
"""Multiplications per input and output channel of a 3x3 convolution."""

INPUTS_ONLY = 2
"""Forward, and backward to the inputs: as many multiplications again."""

WITH_WEIGHTS = 3
"""Forward, and backward to the inputs and to the weights."""


def block_flops(
    config: GeneratorConfig, resolution: int, outputs: int | None = None, inner: int | None = None
) -> int:
    """Count one block's 3x3 convolutions, forward.

    outputs and inner are how many pixels are wanted of its last and of its upsampling convolution,
    all of them when None. An upsampling convolution multiplies each pixel of its input, of which
    there are a quarter as many, with all nine taps.
    """
    outputs = resolution**2 if outputs is None else outputs
    inner = resolution**2 if inner is None else inner
    index = config.block_resolutions.index(resolution)
    width = config.channels[index]
    flops = 2 * TAPS * width * width * outputs
    if index > 0:
        flops += 2 * TAPS * config.channels[index - 1] * width * inner // 4
    return flops


def synthesis_flops(
    config: GeneratorConfig, until: int | None = None, *, with_image: bool = True
) -> int:
    """Count synthesis up to a block (None: all), forward, with or without the 1x1 toRGB."""
    flops = 0
    for resolution, width in zip(config.block_resolutions, config.channels, strict=True):
        if until is not None and resolution > until:
            break
        flops += block_flops(config, resolution)
        if with_image:
            flops += 2 * width * config.img_channels * resolution**2
    return flops


def windows_flops(config: GeneratorConfig, size: int, windows: Sequence[int]) -> int:
    """Count synthesis, forward, where only square windows of the block of that size are wanted.

    windows holds their sides in feature pixels. Windows are taken not to overlap, and grow by a
    pixel around with each convolution; a block is never counted as more than whole.
    """
    flops = 0
    sides = [float(side) for side in windows]
    for resolution in reversed([r for r in config.block_resolutions if r <= size]):
        whole = resolution**2
        outputs = min(whole, round(sum(side**2 for side in sides)))
        inner = min(whole, round(sum((side + 2) ** 2 for side in sides)))
        flops += block_flops(config, resolution, outputs, inner)
        sides = [(side + 2) / 2 + 1 for side in sides]
    return flops


@torch.no_grad()
def module_flops(module: nn.Module, *inputs: Tensor) -> int:
    """Count what a module multiplies and adds in a forward pass, by watching one."""
    with FlopCounterMode(display=False) as counter:
        module(*inputs)
    return int(counter.get_total_flops())
