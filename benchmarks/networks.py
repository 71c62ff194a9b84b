"""Networks that speed is measured with: the paper's widths with random weights, and real ones."""

from __future__ import annotations

import torch

from inversion.perceptual import LpipsDistance, OfflineDistance, PerceptualDistance
from stylegan2.formats.convert import load_network
from stylegan2.generator import Generator, GeneratorConfig, standard_channels
from stylegan2.zoo import resolve

CONFIG_F = "config-f-"
"""Names of networks with config F's widths (Karras et al., 2020): config-f-1024, ..."""

NOISE_STRENGTH = 0.1


def network_config(name: str) -> GeneratorConfig:
    """Return a network's sizes, of a config-F network without building it."""
    if not name.startswith(CONFIG_F):
        return build_network(name, "cpu", 0).config
    resolution = int(name.removeprefix(CONFIG_F))
    return GeneratorConfig(resolution, 512, 512, 8, standard_channels(resolution))


def build_network(name: str, device: str, seed: int) -> Generator:
    """Build a config-F network with random weights, or load the network of that name or path."""
    if not name.startswith(CONFIG_F):
        return load_network(resolve(name), device).eval().requires_grad_(False)
    config = network_config(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(config)
    generator.eval().requires_grad_(False)
    for _, layer in generator.synthesis.layers():
        layer.noise_strength.fill_(NOISE_STRENGTH)
    return generator.to(device)


def build_distance(name: str, device: str) -> PerceptualDistance:
    """Build the offline distance, or LPIPS on a backbone (vgg, alex) with random weights.

    Random weights take the same time as learned ones, and need no download.
    """
    distance: PerceptualDistance
    lpips = name != "offline"
    distance = LpipsDistance(name, random_backbone=True) if lpips else OfflineDistance()
    return distance.to(device).eval().requires_grad_(False)


def random_ws(generator: Generator, seed: int, truncation_psi: float = 0.7) -> torch.Tensor:
    """Sample the ws [1, num_ws, w_dim] of one face."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(1, generator.config.z_dim, generator=rng)
    with torch.no_grad():
        w: torch.Tensor = generator.mapping(z.to(generator.mapping.w_avg.device), truncation_psi)
    return w[:, None].repeat(1, generator.num_ws, 1)
