"""Pivotal tuning: change the generator a little, so that it renders the photo exactly.

Source: Roich et al., 2021, "Pivotal Tuning for Latent-based Editing of Real Images" (PTI,
arXiv 2106.05744), section 3.2. Unlike its reference implementation the noise found by projection
is the noise that is tuned with, and locality regularization is on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from inversion.perceptual import PerceptualDistance
from inversion.projection import Inversion
from pti.config import TuningConfig
from pti.locality import build_locality_pool
from pti.optimizer import TuningOptimizer
from stylegan2.generator import BlockOutput, Generator, NoiseConsts

__all__ = ["TuningConfig", "TuningStep", "settled", "tune"]

IMPROVEMENT = 0.99
"""A loss counts as better when it is below this share of the best so far."""


@dataclass(frozen=True)
class Pace:
    """How many steps tuning takes, how long Adam's are, and how long orthogonal ones."""

    steps: int
    rate: float
    orthogonal_rate: float


PTI = Pace(350, 3e-4, 0.0)
SMALL = Pace(350, 4e-3, 0.0)
QUICK = Pace(60, 4e-3, 1e-2)
"""Measured: benchmarks/IDEAS.md."""


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


def settled(config: TuningConfig, resolution: int, *, encoded: bool) -> TuningConfig:
    """Put numbers in place of what was left out.

    PTI's for networks of 256 pixels and more; below, tuning asks much of few weights, and coarse
    blocks, where what moves a face lies, would lose it. A network of 256 pixels and more whose
    encoder gives the pivot (encoded) is tuned in few, long steps.
    """
    small, quick = resolution < 256, encoded and resolution >= 256
    start = QUICK if quick else SMALL if small else PTI
    first_block = max(resolution // 8, 4) if small or quick else 4
    return replace(
        config,
        steps=start.steps if config.steps is None else config.steps,
        learning_rate=start.rate if config.learning_rate is None else config.learning_rate,
        orthogonal_rate=(
            start.orthogonal_rate if config.orthogonal_rate is None else config.orthogonal_rate
        ),
        first_block=first_block if config.first_block is None else config.first_block,
    )


def tuned_blocks(generator: Generator, config: TuningConfig) -> list[int]:
    """Return the sizes of the blocks that tuning may change. Raises ValueError without one."""
    sizes = generator.config.block_resolutions
    if config.first_block is None:
        raise ValueError("config leaves first_block open: pass settled(config, ...)")
    blocks = [size for size in sizes if config.first_block <= size <= config.last_block]
    if not blocks:
        raise ValueError(
            f"no block of this network lies between first_block {config.first_block} and "
            f"last_block {config.last_block}; it has {', '.join(map(str, sizes))}"
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

    targets are [1, 3, H, W] in [-1, 1], one for each inversion; with several, the loss is the
    mean of theirs. Blocks of bf16_from pixels and more compute in bfloat16 while it lasts; their
    weights stay float32. Pass a copy of the generator: its weights change and stay changed. When
    the iterator is closed early the weights are those of the last step. What config leaves out is
    `settled` as for a network without an encoder.
    """
    if len(targets) != len(inversions) or not targets:
        raise ValueError(f"{len(targets)} targets for {len(inversions)} inversions")
    config = settled(config, generator.resolution, encoded=False)
    assert config.steps is not None and config.learning_rate is not None  # settled
    assert config.orthogonal_rate is not None
    blocks = tuned_blocks(generator, config)
    pool, pool_starts = None, []
    if config.locality_weight > 0:
        pivots = [inversion.w_pivot for inversion in inversions]
        pool = build_locality_pool(
            generator, pivots, config.locality_alpha, config.locality_pool, rng
        )
        pool_starts = [_before(generator, ws, None, blocks[0]) for ws in pool.ws]
    generator.requires_grad_(False)
    starts = [_before(generator, each.w_pivot, each.noise_consts, blocks[0]) for each in inversions]
    parameters = tuned_parameters(generator, config)
    for parameter in parameters:
        # Gradients of weights with channels last take several times as long on a CPU.
        parameter.data = parameter.data.contiguous()
        parameter.requires_grad_(True)
    optimizer = TuningOptimizer(
        parameters, config.steps, config.learning_rate, config.orthogonal_rate
    )
    with torch.no_grad():
        wanted = [perceptual.features(target) for target in targets]
    best, best_step = float("inf"), 0

    def compare(image: Tensor, picture: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        distance = perceptual.between(perceptual.features(image), features).sum()
        return distance, (image - picture).square().mean()

    try:
        for step in range(1, config.steps + 1):
            for parameter in parameters:
                parameter.grad = None
            distances, squares = [], []
            for target, inversion, start, features in zip(
                targets, inversions, starts, wanted, strict=True
            ):
                image = _render(
                    generator, inversion.w_pivot, inversion.noise_consts, start, bf16_from
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
                    image = _render(
                        generator, pool.ws[chosen], None, pool_starts[chosen], bf16_from
                    )
                    with torch.no_grad():
                        features = perceptual.features(pool.pictures[chosen])
                    distance, l2 = compare(image, pool.pictures[chosen], features)
                    weight = config.locality_weight * config.locality_every
                    (weight * (distance + l2)).backward()
                    locality = float((distance + l2).detach())
                optimizer.step(step)
            yield TuningStep(step, config.steps, perceptual_now, l2_now, locality, stop)
            if stop is not None:
                return
    finally:
        generator.requires_grad_(False)


@torch.no_grad()
def _before(
    generator: Generator, ws: Tensor, noise_consts: NoiseConsts | None, first_block: int
) -> BlockOutput | None:
    """Return what comes before the smallest tuned block and stays the same; None of nothing."""
    found = None
    for output in generator.synthesis.run(ws, noise_consts):
        if output.resolution >= first_block:
            break
        found = output
    # Tuning computes with channels first, see below, and would change the order at every step.
    return found and replace(found, features=found.features.contiguous())


def _render(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    start: BlockOutput | None,
    bf16_from: int | None,
) -> Tensor:
    image = None
    for output in generator.synthesis.run(ws, noise_consts, start=start, bf16_from=bf16_from):
        image = output.image
    assert image is not None
    return image
