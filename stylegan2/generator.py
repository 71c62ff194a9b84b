"""StyleGAN2's generator: the mapping network, the synthesis network, and both together.

Source: Karras et al., 2020 (arXiv 1912.04958), figure 2d (weight demodulation) and figure 7b
(skip connections to RGB). Parameter names and shapes are those of NVIDIA's PyTorch checkpoints,
so weights move between tools unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stylegan2.layers import SynthesisBlock, SynthesisLayer
from stylegan2.ops import FullyConnected, bias_act, normalize_2nd_moment, upsample
from stylegan2.sizes import Size

NoiseConsts = Mapping[str, Tensor]
"""One noise image [h, w] per synthesis layer, as large as its block, keyed by the layer's name
("b4.conv1", ...)."""

NoiseMode = Literal["const", "random", "none"]

MAPPING_LR_MULTIPLIER = 0.01
"""Learning rate of the mapping network relative to the rest; also scales its stored weights."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Every size of a generator; all but `conv_clamp` can be read off its weights.

    resolution is the longer side of a picture; channels holds the width of each block up to it;
    first_block is the height and width of the first one, of which the longer is 4.
    """

    resolution: int
    z_dim: int
    w_dim: int
    mapping_layers: int
    channels: tuple[int, ...]
    img_channels: int = 3
    conv_clamp: float | None = None
    first_block: tuple[int, int] = (4, 4)

    def __post_init__(self) -> None:
        if self.resolution not in (16, 32, 64, 128, 256, 512, 1024):
            raise ValueError(
                f"resolution must be a power of two from 16 to 1024, got {self.resolution}"
            )
        if max(self.first_block) != 4 or min(self.first_block) < 2:
            raise ValueError(
                "the first block must be 4 pixels at its longer side and at least 2 at the other, "
                f"it is {self.first_block[0]} high and {self.first_block[1]} wide"
            )
        if self.conv_clamp is not None and not 0 < self.conv_clamp < math.inf:
            raise ValueError(f"conv_clamp must be a number above 0, it is {self.conv_clamp}")
        blocks = int(math.log2(self.resolution)) - 1
        if len(self.channels) != blocks:
            raise ValueError(
                f"resolution {self.resolution} needs {blocks} widths, got {self.channels}"
            )

    @property
    def block_resolutions(self) -> tuple[int, ...]:
        """Longer sides of the blocks, by which they are named: 4, 8, ..., resolution."""
        return tuple(4 << i for i in range(len(self.channels)))

    def block_shape(self, resolution: int) -> tuple[int, int]:
        """Return height and width of the block of that longer side."""
        height, width = self.first_block
        return height * resolution // 4, width * resolution // 4

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.block_shape(self.resolution)

    @property
    def num_ws(self) -> int:
        """Number of latents the synthesis network takes: 2 log2(resolution) - 2."""
        return 2 * len(self.channels)


def standard_channels(resolution: int, base: int = 32768, maximum: int = 512) -> tuple[int, ...]:
    """Return the paper's widths, min(base / block size, maximum); the defaults are config F."""
    return tuple(min(base // (4 << i), maximum) for i in range(int(math.log2(resolution)) - 1))


# ---------------------------------------------------------------------------------------------
# Mapping network f: Z -> W


class MappingNetwork(nn.Module):
    """z [N, z_dim] -> w [N, w_dim]; keeps the running mean of w as `w_avg` [w_dim]."""

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        self.num_layers = layers
        for i in range(layers):
            fc = FullyConnected(
                z_dim if i == 0 else w_dim, w_dim, lr_multiplier=MAPPING_LR_MULTIPLIER
            )
            self.add_module(f"fc{i}", fc)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """Map z to w, pulled towards w_avg when truncation_psi < 1 (1: no truncation)."""
        x = normalize_2nd_moment(z)
        for i in range(self.num_layers):
            fc = self.get_submodule(f"fc{i}")
            assert isinstance(fc, FullyConnected)
            x = bias_act(
                nn.functional.linear(x, fc.weight * fc.weight_gain), fc.bias * fc.bias_gain
            )
        if truncation_psi != 1.0:
            x = self.w_avg.lerp(x, truncation_psi)
        return x


# ---------------------------------------------------------------------------------------------
# Synthesis network g: W -> image


@dataclass(frozen=True)
class BlockOutput:
    """What one block hands to the next.

    features [N, C, h, w] come after the block's last convolution; image [N, 3, h, w] is the
    skip connection's picture so far, None where it was not asked for. resolution is the block's
    longer side.
    """

    resolution: int
    features: Tensor
    image: Tensor | None


class SynthesisNetwork(nn.Module):
    """ws [N, num_ws, w_dim] -> image [N, img_channels, H, W], about [-1, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        in_channels = 0
        for resolution, channels in zip(config.block_resolutions, config.channels, strict=True):
            block = SynthesisBlock(
                in_channels,
                channels,
                config.w_dim,
                resolution,
                config.block_shape(resolution),
                config.img_channels,
                clamp=config.conv_clamp,
            )
            self.add_module(f"b{resolution}", block)
            in_channels = channels

    def block(self, resolution: int) -> SynthesisBlock:
        """Return the block of that size."""
        block = self.get_submodule(f"b{resolution}")
        assert isinstance(block, SynthesisBlock)
        return block

    def layers(self) -> Iterator[tuple[str, SynthesisLayer]]:
        """Yield every layer that takes noise with its name, from 4x4 upwards."""
        for resolution in self.config.block_resolutions:
            block = self.block(resolution)
            if resolution > 4:
                yield f"b{resolution}.conv0", block.conv0
            yield f"b{resolution}.conv1", block.conv1

    def noise_consts(self) -> dict[str, Tensor]:
        """Return the network's own noise images (not copies), keyed by layer name."""
        return {name: layer.noise_const for name, layer in self.layers()}

    def run(
        self,
        ws: Tensor,
        noise_consts: NoiseConsts | None = None,
        noise_mode: NoiseMode = "const",
        *,
        start: BlockOutput | None = None,
        with_image: bool = True,
        rng: torch.Generator | None = None,
        bf16_from: int | None = None,
    ) -> Iterator[BlockOutput]:
        """Yield the output of each block in turn; leaving the loop early saves the rest.

        Starts after the block of `start` when one is given. noise_consts replaces the network's
        own noise where it has an entry; `random` draws from rng, on whichever device that is.
        Blocks of bf16_from pixels and more compute in bfloat16, but for the picture: it is off by
        about a hundredth then.
        """
        config = self.config
        if ws.ndim != 3 or ws.shape[1:] != (config.num_ws, config.w_dim):
            raise ValueError(
                f"ws must be [N, {config.num_ws}, {config.w_dim}], got {tuple(ws.shape)}"
            )
        x = None if start is None else start.features
        image = None if start is None else start.image
        for resolution in config.block_resolutions:
            if start is not None and resolution <= start.resolution:
                continue
            block = self.block(resolution)
            w = iter(ws[:, block.first_w : block.first_w + 3].unbind(dim=1))
            if x is None:
                x = block.const.to(ws.dtype).expand(ws.shape[0], -1, -1, -1)
            else:
                if bf16_from is not None and resolution >= bf16_from:
                    x = x.bfloat16()
                x = block.conv0(
                    x,
                    next(w),
                    self._noise(
                        block.conv0, f"b{resolution}.conv0", x, noise_consts, noise_mode, rng
                    ),
                )
            x = block.conv1(
                x,
                next(w),
                self._noise(block.conv1, f"b{resolution}.conv1", x, noise_consts, noise_mode, rng),
            )
            if with_image:
                rgb = block.torgb(x, next(w)).to(ws.dtype)
                image = rgb if image is None else upsample(image) + rgb
            yield BlockOutput(resolution, x, image)

    def forward(
        self,
        ws: Tensor,
        noise_consts: NoiseConsts | None = None,
        noise_mode: NoiseMode = "const",
        *,
        rng: torch.Generator | None = None,
        bf16_from: int | None = None,
    ) -> Tensor:
        """Render ws. See `run` for noise_consts, noise_mode, rng and bf16_from."""
        image = None
        for output in self.run(ws, noise_consts, noise_mode, rng=rng, bf16_from=bf16_from):
            image = output.image
        assert image is not None
        return image

    @staticmethod
    def _noise(
        layer: SynthesisLayer,
        name: str,
        x: Tensor,
        noise_consts: NoiseConsts | None,
        noise_mode: NoiseMode,
        rng: torch.Generator | None,
    ) -> Tensor | None:
        if noise_mode == "none":
            return None
        if noise_mode == "random":
            shape = (x.shape[0], 1, *layer.noise_const.shape)
            device = x.device if rng is None else rng.device
            return torch.randn(shape, device=device, dtype=x.dtype, generator=rng).to(x.device)
        return noise_of(layer, name, noise_consts)


def noise_of(layer: SynthesisLayer, name: str, noise_consts: NoiseConsts | None) -> Tensor:
    """Return a layer's noise image [h, w]: the given one of that name, else its own."""
    if noise_consts is not None and name in noise_consts:
        return noise_consts[name]
    return layer.noise_const


# ---------------------------------------------------------------------------------------------
# The whole generator


class Generator(nn.Module):
    """Mapping and synthesis together. forward(z) is a convenience for sampling."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config.z_dim, config.w_dim, config.mapping_layers)
        self.synthesis = SynthesisNetwork(config)

    @property
    def resolution(self) -> int:
        """The longer side of the pictures, in pixels."""
        return self.config.resolution

    @property
    def size(self) -> Size:
        """The pictures' size: their side, or (height, width) where they are not square."""
        height, width = self.config.shape
        return height if height == width else (height, width)

    @property
    def num_ws(self) -> int:
        """Number of latents per picture."""
        return self.config.num_ws

    @property
    def w_dim(self) -> int:
        """Length of one latent."""
        return self.config.w_dim

    def forward(
        self, z: Tensor, truncation_psi: float = 1.0, noise_mode: NoiseMode = "const"
    ) -> Tensor:
        """Render z [N, z_dim] as pictures [N, img_channels, H, W]."""
        w = self.mapping(z, truncation_psi)
        image: Tensor = self.synthesis(
            w[:, None].expand(-1, self.num_ws, -1), noise_mode=noise_mode
        )
        return image
