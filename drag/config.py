"""Settings of dragging, apart from the algorithm so that reading them loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

PAPER = "DragGAN, Pan et al. 2023 (arXiv 2305.10973)"


@dataclass(frozen=True)
class DragConfig:
    """Every number of a drag."""

    method: str = field(
        default="newton",
        metadata={
            "help": "How ws are moved: Gauss-Newton steps on where the handles are (newton), or "
            "motion supervision with Adam as published (draggan).",
            "choices": ("newton", "draggan"),
            "source": f"draggan: {PAPER}",
        },
    )
    steps: int = field(
        default=300,
        metadata={"help": "Most steps.", "min": 1, "max": 10_000, "source": f"{PAPER}, section 4"},
    )
    patience: int = field(
        default=0,
        metadata={
            "help": "Stop after this many steps without progress; 0 takes 8 for newton and 50 for "
            "draggan.",
            "min": 0,
            "max": 10_000,
        },
    )
    learning_rate: float = field(
        default=2e-3,
        metadata={
            "help": "Learning rate of Adam; counts for the method draggan alone.",
            "min": 1e-7,
            "max": 1.0,
            "source": f"{PAPER}, section 4",
        },
    )
    r1: float = field(
        default=0.0,
        metadata={
            "help": "Radius of the patch that moves with a handle; 0 takes 16 for newton and the "
            "paper's 3 for draggan.",
            "unit": "pixels of a 512 image",
            "min": 0.0,
            "max": 100.0,
            "source": f"3 is {PAPER}, section 4",
        },
    )
    r2: float = field(
        default=12.0,
        metadata={
            "help": "Radius within which a handle is searched again.",
            "unit": "pixels of a 512 image",
            "min": 0.1,
            "max": 200.0,
            "source": f"{PAPER}, section 4",
        },
    )
    lambda_mask: float = field(
        default=20.0,
        metadata={
            "help": "Weight of keeping what the mask protects.",
            "min": 0.0,
            "max": 1e4,
            "source": f"{PAPER}, equation 1",
        },
    )
    features: int | None = field(
        default=None,
        metadata={
            "help": "Side of the features in which handles are followed; left out, half the "
            "picture's, at most 128. Coarser ones take longer steps and cost less.",
            "min": 16,
            "max": 512,
            "source": "the default as in DragGAN's released code",
        },
    )
    num_moving_ws: int = field(
        default=6,
        metadata={
            "help": "Latents that move, counted from the coarsest.",
            "min": 1,
            "max": 18,
            "source": f"{PAPER}, section 4",
        },
    )
