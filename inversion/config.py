"""Settings of the inversion, apart from the algorithms so that reading them loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from stylegan2.precision import PRECISION

PERCEPTUAL_CHOICES = ("auto", "lpips-vgg", "lpips-alex", "lpips-squeeze", "offline")
"""Perceptual distances that can be asked for."""

CLOSE_PSNR = 26.0
"""From this on, in dB, a rebuilt face is close to the photo; below, it is visibly another."""

OFFLINE_PERCEPTUAL = "realdrag-v2"
"""Name of the distance behind "offline"; it changes whenever that distance does."""


@dataclass(frozen=True)
class ProjectionConfig:
    """Every number of the projection of an aligned face into W or W+."""

    steps: int | None = field(
        default=None,
        metadata={
            "help": "Optimisation steps; left out, none from an encoder's start in W+ or latents "
            "of a file, 100 from an encoder's in W, else 500.",
            "min": 0,
            "max": 10_000,
            "source": "NVIDIA's projector takes 1000 from the mean; ours starts nearer, and where "
            "an encoder knows W+ its steps are better spent on tuning: benchmarks/IDEAS.md",
        },
    )
    learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Largest learning rate of Adam; left out, 0.02 from an encoder's start or "
            "latents of a file, else 0.1.",
            "min": 1e-7,
            "max": 10.0,
            "source": "0.1 is NVIDIA's projector's",
        },
    )
    ramp_up: float = field(
        default=0.05,
        metadata={
            "help": "Share of the steps with a growing learning rate.",
            "min": 0.0,
            "max": 1.0,
            "source": "NVIDIA's projector",
        },
    )
    ramp_down: float = field(
        default=0.25,
        metadata={
            "help": "Share of the steps with a falling learning rate.",
            "min": 0.0,
            "max": 1.0,
            "source": "NVIDIA's projector",
        },
    )
    w_noise: float = field(
        default=0.05,
        metadata={
            "help": "Noise added to w at the first step.",
            "unit": "standard deviations of w",
            "min": 0.0,
            "max": 1.0,
            "source": "NVIDIA's projector",
        },
    )
    w_noise_share: float = field(
        default=0.75,
        metadata={
            "help": "Share of the steps after which w is left without noise.",
            "min": 0.01,
            "max": 1.0,
            "source": "NVIDIA's projector",
        },
    )
    noise_weight: float = field(
        default=1e5,
        metadata={
            "help": "Weight of the noise regularization.",
            "min": 0.0,
            "max": 1e9,
            "source": "NVIDIA's projector; Karras et al. 2020, appendix D",
        },
    )
    start: str = field(
        default="auto",
        metadata={
            "help": "Start from the network's encoder if it has one (auto; one in a file of pSp or "
            "e4e where it comes nearer), from the nearest of many sampled faces, or from the mean.",
            "choices": ("auto", "nearest", "mean"),
            "source": "ours, measured: stylegan2/weights/MODEL_CARD.md; NVIDIA's projector starts "
            "from the mean",
        },
    )
    start_samples: int = field(
        default=500,
        metadata={
            "help": "Sampled faces among which the nearest is the start.",
            "min": 1,
            "max": 100_000,
            "source": "ours, not measured: rendered once for a network and kept",
        },
    )
    space: str = field(
        default="auto",
        metadata={
            "help": "One w for all layers, or one for each (w+); auto is w+ where the network's "
            "encoder knows it and gives the start, or where latents of a file have it, else w.",
            "choices": ("auto", "w", "w+"),
            "source": "PTI projects into W; Abdal et al. 2019 into W+; encoders that keep the "
            "layers' w together stay editable: Tov et al. 2021 (arXiv 2102.02766)",
        },
    )
    precision: str = field(default="auto", metadata=PRECISION)
