"""Where projection starts: the sampled face that looks most like the photo.

NVIDIA's projector starts from the mean of W. A few hundred faces drawn once from a network, kept
as small pictures, give a start that has the right pose, hair and light for the price of one
comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.perceptual import PerceptualDistance
from stylegan2.generator import Generator
from stylegan2.latents import to_ws

PREVIEW_SIZE = 64
"""Largest size of the small pictures; a network's skip connection gives it almost for free."""

TRUNCATION_PSI = 0.7


@dataclass(frozen=True)
class StartTable:
    """Sampled latents w [N, w_dim] and their pictures, uint8 [N, 3, h, w]."""

    w: Tensor
    pictures: Tensor


@torch.no_grad()
def build_start_table(generator: Generator, samples: int, rng: torch.Generator) -> StartTable:
    """Draw `samples` latents at psi 0.7 and render each only as far as its small picture."""
    device = generator.mapping.w_avg.device
    size = min(PREVIEW_SIZE, generator.resolution // 2)
    z = torch.randn(samples, generator.config.z_dim, generator=rng).to(device)
    w = generator.mapping(z, truncation_psi=TRUNCATION_PSI)
    pictures = []
    for chunk in w.split(16):
        for output in generator.synthesis.run(to_ws(chunk, generator.num_ws)):
            if output.resolution == size:
                break
        assert output.image is not None
        pixels = (output.image.float() * 127.5 + 127.5).round().clamp(0, 255)
        pictures.append(pixels.to(torch.uint8).cpu())
    return StartTable(w.cpu(), torch.cat(pictures))


@torch.no_grad()
def nearest_w(table: StartTable, target: Tensor, perceptual: PerceptualDistance) -> Tensor:
    """Return the w [1, w_dim] of the table whose picture is nearest to target [1, 3, H, W]."""
    size = list(table.pictures.shape[2:])
    wanted = perceptual.features(F.interpolate(target, size=size, mode="area"))
    distances = []
    for chunk in table.pictures.split(64):
        pictures = chunk.to(target.device).float() / 127.5 - 1.0
        distances.append(perceptual.between(perceptual.features(pictures), wanted))
    return table.w[int(torch.cat(distances).argmin())][None].to(target.device)


@torch.no_grad()
def nearer(
    generator: Generator, target: Tensor, perceptual: PerceptualDistance, one: Tensor, other: Tensor
) -> bool:
    """Tell whether the picture of one latent looks more like target [1, 3, H, W] than another's.

    Each is w [1, w_dim] or ws [1, num_ws, w_dim].
    """
    wanted = perceptual.features(target)
    distances = []
    for latent in (one, other):
        ws = latent if latent.ndim == 3 else to_ws(latent, generator.num_ws)
        picture = generator.synthesis(ws.to(target.device))
        distances.append(float(perceptual.between(perceptual.features(picture), wanted)))
    return distances[0] < distances[1]
