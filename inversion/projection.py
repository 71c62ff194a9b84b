"""Projection of an aligned face into W or W+, with its noise.

After the projector of StyleGAN2 (Karras et al., 2020, arXiv 1912.04958, appendix D): Adam on w and
the noise images, a perceptual distance, decaying noise on w, and noise regularization. It departs
from it in its start (see inversion.nearest), and the optimised noise is part of the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.config import ProjectionConfig
from inversion.encoder_networks import FaceEncoder
from inversion.perceptual import PerceptualDistance
from stylegan2.adam import Adam
from stylegan2.generator import Generator
from stylegan2.latents import WStatistics, to_ws

__all__ = ["Inversion", "ProjectionConfig", "ProjectionStep", "project", "settled"]

NEAR_RATE = 0.02
"""Largest learning rate from a start that is near."""

SMALLEST_NOISE = 8
"""Noise images are regularised at every size down to this longer side."""


@dataclass(frozen=True)
class Inversion:
    """What projection found: w_pivot [1, num_ws, w_dim] and one [h, w] noise image per layer."""

    w_pivot: Tensor
    noise_consts: dict[str, Tensor]


@dataclass(frozen=True)
class ProjectionStep:
    """One step: its number from 1, how many there will be, the distance, and the state so far."""

    step: int
    total: int
    distance: float
    inversion: Inversion


def settled(
    config: ProjectionConfig, encoder: FaceEncoder | None, given: Tensor | None = None
) -> ProjectionConfig:
    """Put words and numbers in place of what was left open; encoder gives the start, or None.

    An encoder's start is so near that NVIDIA's rate would lose it: in W, in 100 small steps, the
    latent stays where the generator makes faces. In W+ it is the result, and so are latents that
    are given, ws [1, num_ws, w_dim]. Raises ValueError where those are no single w and space is w.
    """
    space, rate = config.space, NEAR_RATE
    if given is not None:
        single = bool((given == given[:, :1]).all())
        if space == "w" and not single:
            raise ValueError("space is w, and the latents given have another w for each layer")
        layers, steps = not single, 0
    elif encoder is not None:
        layers = encoder.delta is not None
        steps = 0 if layers and space != "w" else 100
    else:
        layers, steps, rate = False, 500, 0.1
    return replace(
        config,
        space=("w+" if layers else "w") if space == "auto" else space,
        steps=steps if config.steps is None else config.steps,
        learning_rate=rate if config.learning_rate is None else config.learning_rate,
    )


def encoded_start(encoder: FaceEncoder, target: Tensor, config: ProjectionConfig) -> Tensor:
    """Return where a settled projection of target [1, 3, H, W] starts: w, or ws in W+."""
    seen = target.cpu()
    if config.space == "w+" and encoder.delta is not None:
        return encoder.ws(seen, encoder.delta.num_ws).to(target.device)
    with torch.no_grad():
        w: Tensor = encoder.w(seen).to(target.device)
    return w


def learning_rate_at(t: float, config: ProjectionConfig) -> float:
    """Return the learning rate at progress t in 0..1: linear up, then cosine down."""
    rate = config.learning_rate
    if rate is None:
        raise ValueError("config leaves learning_rate open: pass settled(config, ...)")
    down = min(1.0, (1.0 - t) / config.ramp_down) if config.ramp_down > 0 else 1.0
    down = 0.5 - 0.5 * math.cos(down * math.pi)
    up = min(1.0, t / config.ramp_up) if config.ramp_up > 0 else 1.0
    return rate * down * up


def noise_regularization(noises: Sequence[Tensor]) -> Tensor:
    """Return the squared correlation of noise images [h, w] with their neighbours, at all scales.

    All images go down together, so that each scale is looked at once.
    """
    loss = noises[0].new_zeros([])
    by_side = sorted(noises, key=lambda noise: max(noise.shape))
    last = min(max(by_side[0].shape), SMALLEST_NOISE)
    level = noises[0].new_zeros([0, *by_side[-1].shape])
    while (side := max(level.shape[1:])) >= last:
        # What was larger once stops at SMALLEST_NOISE; what is smaller from the start counts.
        above = [level] if side >= SMALLEST_NOISE else []
        level = torch.cat(above + [each[None] for each in noises if each.shape == level.shape[1:]])
        for dim in (1, 2):
            loss = loss + (level * level.roll(1, dims=dim)).mean(dim=(1, 2)).square().sum()
        level = F.avg_pool2d(level, 2)
    return loss


def project(
    generator: Generator,
    target: Tensor,
    perceptual: PerceptualDistance,
    config: ProjectionConfig,
    statistics: WStatistics,
    rng: torch.Generator,
    start: Tensor | None = None,
    bf16_from: int | None = None,
) -> Iterator[ProjectionStep]:
    """Find the latent and the noise whose picture looks like target [1, 3, H, W] in [-1, 1].

    Starts at start, [1, w_dim] or [1, num_ws, w_dim], the mean of W when None. Yields after every
    step; the last step's inversion is the result. No step is one, too: it yields the start with
    the network's own noise. The generator is not changed. config must be settled. Blocks of
    bf16_from pixels and more compute in bfloat16; what is optimised stays float32.
    """
    if config.steps is None or config.learning_rate is None or config.space == "auto":
        raise ValueError("config leaves something open: pass settled(config, ...)")
    wanted_shape = (1, 3, *generator.config.shape)
    if target.shape != wanted_shape:
        raise ValueError(f"target must be {list(wanted_shape)}, got {tuple(target.shape)}")
    device = target.device
    start = (statistics.mean[None] if start is None else start).to(device)
    w = start if start.ndim == 3 else to_ws(start, generator.num_ws)
    if config.steps == 0:
        yield _start_as_it_is(generator, w, target, perceptual)
        return
    w = (w if config.space == "w+" else w[:, :1]).clone().requires_grad_(True)
    noise_consts = {
        name: torch.randn(noise.shape, generator=rng).to(device).requires_grad_(True)
        for name, noise in generator.synthesis.noise_consts().items()
    }
    parameters = [w, *noise_consts.values()]
    optimizer = Adam(parameters, config.learning_rate)
    with torch.no_grad():
        wanted = perceptual.features(target)
    for step in range(config.steps):
        t = step / config.steps
        optimizer.learning_rate = learning_rate_at(
            (step + 1) / config.steps if step == 0 else t, config
        )
        sigma = config.w_noise * statistics.std * max(0.0, 1.0 - t / config.w_noise_share) ** 2
        jitter = torch.randn(w.shape, generator=rng).to(device) * sigma
        ws = (w + jitter).expand(-1, generator.num_ws, -1)
        image = generator.synthesis(ws, noise_consts, bf16_from=bf16_from)
        distance = perceptual.between(perceptual.features(image), wanted).sum()
        correlation = noise_regularization(list(noise_consts.values()))
        loss = distance + config.noise_weight * correlation
        optimizer.step(torch.autograd.grad(loss, parameters))
        with torch.no_grad():
            for noise in noise_consts.values():
                noise -= noise.mean()
                noise *= noise.square().mean().clamp_min(1e-12).rsqrt()
        yield ProjectionStep(
            step + 1,
            config.steps,
            float(distance.detach()),
            Inversion(
                w.detach().expand(-1, generator.num_ws, -1).clone(),
                {name: noise.detach().clone() for name, noise in noise_consts.items()},
            ),
        )


@torch.no_grad()
def _start_as_it_is(
    generator: Generator, ws: Tensor, target: Tensor, perceptual: PerceptualDistance
) -> ProjectionStep:
    own = {name: noise.clone() for name, noise in generator.synthesis.noise_consts().items()}
    distance = float(perceptual(generator.synthesis(ws, own), target))
    return ProjectionStep(0, 0, distance, Inversion(ws.clone(), own))
