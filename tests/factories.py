"""Small networks and pictures that tests share."""

from __future__ import annotations

import torch

from stylegan2.generator import Generator, GeneratorConfig, standard_channels


def tiny_generator(
    resolution: int = 32,
    *,
    seed: int = 0,
    w_dim: int = 16,
    z_dim: int = 16,
    layers: int = 2,
    channel_base: int = 512,
    channel_max: int = 16,
    conv_clamp: float | None = None,
) -> Generator:
    """Build a small generator with random weights, biases and noise strengths all non-zero."""
    config = GeneratorConfig(
        resolution=resolution,
        z_dim=z_dim,
        w_dim=w_dim,
        mapping_layers=layers,
        channels=standard_channels(resolution, channel_base, channel_max),
        conv_clamp=conv_clamp,
    )
    rng = torch.Generator().manual_seed(seed)
    generator = Generator(config).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        noise = torch.randn(tensor.shape, generator=rng)
        if name.endswith("mapping.w_avg"):
            tensor.copy_(0.1 * noise)
        elif name.startswith("mapping.") and name.endswith("weight"):
            tensor.copy_(100.0 * noise)
        elif name.endswith("affine.bias"):
            tensor.copy_(1.0 + 0.1 * noise)
        elif name.endswith("bias") or name.endswith("noise_strength"):
            tensor.copy_(0.1 * noise)
        else:
            tensor.copy_(noise)
    return generator
