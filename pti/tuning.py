"""Pivotal tuning: change the generator a little, so that it renders the photo exactly.

Source: Roich et al., 2021, "Pivotal Tuning for Latent-based Editing of Real Images" (PTI,
arXiv 2106.05744), section 3.2. Unlike its reference implementation the noise found by projection
is the noise that is tuned with, and locality regularization is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inversion.perceptual import PerceptualDistance
from inversion.projection import Inversion
from pti.config import TuningConfig
from pti.locality import build_locality_pool
from stylegan2.adam import Adam
from stylegan2.generator import Generator

__all__ = ["TuningConfig", "TuningStep", "tune"]

IMPROVEMENT = 0.99
"""A loss counts as better when it is below this share of the best so far."""

FADE = 0.15
"""Share of the steps over which the learning rate falls at the end."""

BETAS = (0.9, 0.99)
"""Adam's; its usual 0.999 remembers gradients that are as old as a whole tuning."""


@dataclass(frozen=True)
class TuningStep:
    """One step: losses before its update, and why it was the last (None if it was not).

    stop is "converged" (perceptual distance and pixels below their thresholds), "no_progress"
    or "step_limit".
    """

    step: int
    total: int
    perceptual: float
    l2: float
    locality: float
    stop: str | None


def default_learning_rate(resolution: int) -> float:
    """Return PTI's rate for networks of 256 pixels and more, 13 times as much for smaller ones."""
    return 3e-4 if resolution >= 256 else 4e-3


def learning_rate_at(step: int, steps: int, rate: float) -> float:
    """Return the rate of a step from 1 to steps: it falls over the last ones, linearly.

    A photo that is still far when the steps end would else be left in mid-swing.
    """
    return rate * min(1.0, (steps - step + 1) / (FADE * steps + 1))


def default_first_block(resolution: int) -> int:
    """Return the smallest block: 4 for networks of 256 pixels and more, an eighth for smaller.

    What moves a face lies in the coarse blocks. Small networks, of which tuning asks much, lose
    it there: benchmarks/IDEAS.md has the figures.
    """
    return 4 if resolution >= 256 else max(resolution // 8, 4)


def tuned_blocks(generator: Generator, config: TuningConfig) -> list[int]:
    """Return the sizes of the blocks that tuning may change. Raises ValueError without one."""
    sizes = generator.config.block_resolutions
    first_block = config.first_block
    if first_block is None:
        first_block = default_first_block(generator.resolution)
    blocks = [size for size in sizes if first_block <= size <= config.last_block]
    if not blocks:
        raise ValueError(
            f"no block of this network lies between first_block {first_block} and last_block "
            f"{config.last_block}; it has {', '.join(map(str, sizes))}"
        )
    return blocks


def tuned_parameters(generator: Generator, config: TuningConfig) -> list[torch.nn.Parameter]:
    """Return the weights that tuning may change.

    Those of `tuned_blocks`, with or without the toRGB layers. The mapping network is never
    changed: the latents keep their meaning.
    """
    return [
        parameter
        for block in tuned_blocks(generator, config)
        for name, parameter in generator.synthesis.block(block).named_parameters()
        if config.tune_torgb or not name.startswith("torgb")
    ]


def tune(
    generator: Generator,
    targets: Sequence[Tensor],
    inversions: Sequence[Inversion],
    perceptual: PerceptualDistance,
    config: TuningConfig,
    rng: torch.Generator,
    bf16_from: int | None = None,
) -> Iterator[TuningStep]:
    """Tune `generator` in place towards one or several photos; yields after every step.

    targets are [1, 3, R, R] in [-1, 1], one for each inversion; with several, the loss is the
    mean of theirs. Blocks of bf16_from pixels and more compute in bfloat16 while it lasts; their
    weights stay float32. Pass a copy of the generator: its weights change and stay changed. When
    the iterator is closed early the weights are those of the last step.
    """
    if len(targets) != len(inversions) or not targets:
        raise ValueError(f"{len(targets)} targets for {len(inversions)} inversions")
    pool = None
    if config.locality_weight > 0:
        pivots = [inversion.w_pivot for inversion in inversions]
        pool = build_locality_pool(
            generator, pivots, config.locality_alpha, config.locality_pool, rng
        )
    parameters = tuned_parameters(generator, config)
    generator.requires_grad_(False)
    for parameter in parameters:
        # Gradients of weights with channels last take several times as long on a CPU.
        parameter.data = parameter.data.contiguous()
        parameter.requires_grad_(True)
    learning_rate = config.learning_rate
    if learning_rate is None:
        learning_rate = default_learning_rate(generator.resolution)
    optimizer = Adam(parameters, learning_rate, BETAS)
    with torch.no_grad():
        wanted = [perceptual.features(target) for target in targets]
    best, best_step = float("inf"), 0

    def compare(image: Tensor, picture: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        distance = perceptual.between(perceptual.features(image), features).sum()
        return distance, (image - picture).square().mean()

    try:
        for step in range(1, config.steps + 1):
            optimizer.learning_rate = learning_rate_at(step, config.steps, learning_rate)
            for parameter in parameters:
                parameter.grad = None
            distances, squares = [], []
            for target, inversion, features in zip(targets, inversions, wanted, strict=True):
                image = generator.synthesis(
                    inversion.w_pivot, inversion.noise_consts, bf16_from=bf16_from
                )
                distance, l2 = compare(image, target, features)
                loss = config.perceptual_weight * distance + config.l2_weight * l2
                (loss / len(targets)).backward()
                distances.append(float(distance.detach()))
                squares.append(float(l2.detach()))
            perceptual_now, l2_now = max(distances), max(squares)
            total = config.perceptual_weight * sum(distances) + config.l2_weight * sum(squares)
            if total < best * IMPROVEMENT:
                best, best_step = total, step
            stop: str | None = None
            if perceptual_now <= config.perceptual_threshold and l2_now <= config.l2_threshold:
                stop = "converged"
            elif step - best_step >= config.patience:
                stop = "no_progress"
            elif step == config.steps:
                stop = "step_limit"
            locality = 0.0
            if stop != "converged":
                if pool is not None and (step - 1) % config.locality_every == 0:
                    chosen = int(torch.randint(len(pool.ws), [], generator=rng))
                    image = generator.synthesis(pool.ws[chosen], bf16_from=bf16_from)
                    with torch.no_grad():
                        features = perceptual.features(pool.pictures[chosen])
                    distance, l2 = compare(image, pool.pictures[chosen], features)
                    weight = config.locality_weight * config.locality_every
                    (weight * (distance + l2)).backward()
                    locality = float((distance + l2).detach())
                optimizer.step([parameter.grad for parameter in parameters])
            yield TuningStep(step, config.steps, perceptual_now, l2_now, locality, stop)
            if stop is not None:
                return
    finally:
        generator.requires_grad_(False)
