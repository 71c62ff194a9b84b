"""Settings of dragging, apart from the algorithm so that reading them loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from drag.methods import METHODS

PAPER = "DragGAN, Pan et al. 2023 (arXiv 2305.10973)"


def _own(setting: str) -> str:
    """Say which number each method has of its own, for the help."""
    numbers = {name: getattr(method, setting) for name, method in METHODS.items()}
    return " and ".join(f"{value:g} for {name}" for name, value in numbers.items() if value)


@dataclass(frozen=True)
class DragConfig:
    """Every number of a drag."""

    method: str = field(
        default="newton",
        metadata={
            "help": "How ws are moved: Gauss-Newton steps on where the handles are (newton), or "
            "motion supervision with Adam as published (draggan).",
            "choices": tuple(METHODS),
            "source": f"newton is ours, see drag/newton.py; draggan: {PAPER}",
        },
    )
    steps: int = field(
        default=300,
        metadata={
            "help": "Most steps.",
            "min": 1,
            "max": 10_000,
            "source": f"ours; the paper tells of 30 to 200 ({PAPER}, section 3.1)",
        },
    )
    patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after this many steps without progress; left out, after "
            f"{_own('patience')}.",
            "min": 1,
            "max": 10_000,
            "source": "ours, not measured: newton's steps are long, draggan's short",
        },
    )
    learning_rate: float | None = field(
        default=None,
        metadata={
            "help": f"Learning rate of Adam; left out, {_own('learning_rate')}: the paper's for "
            "faces, cats and cars. For everything else it takes 0.001. Other methods have none.",
            "min": 1e-7,
            "max": 1.0,
            "source": f"{PAPER}, section 3.4",
        },
    )
    r1: float | None = field(
        default=None,
        metadata={
            "help": f"Radius of the patch that moves with a handle; left out, {_own('r1')}.",
            "unit": "pixels of a 512 image",
            "min": 0.1,
            "max": 100.0,
            "source": f"draggan's is {PAPER}, section 3.4; newton's is ours, measured: "
            "benchmarks/IDEAS.md",
        },
    )
    r2: float = field(
        default=12.0,
        metadata={
            "help": "Radius within which a handle is searched again.",
            "unit": "pixels of a 512 image",
            "min": 0.1,
            "max": 200.0,
            "source": f"{PAPER}, section 3.4",
        },
    )
    lambda_mask: float = field(
        default=20.0,
        metadata={
            "help": "Weight of keeping what the mask protects.",
            "min": 0.0,
            "max": 1e4,
            "source": f"{PAPER}, equation 1 and section 3.4",
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
            "help": "Latents that move, counted from the coarsest; at most as many as the network "
            "has.",
            "min": 1,
            "source": f"{PAPER}, section 3.2",
        },
    )

    def __post_init__(self) -> None:
        """Refuse what does not count: raises ValueError."""
        method = METHODS.get(self.method)
        if method is not None and method.learning_rate is None and self.learning_rate is not None:
            raise ValueError(
                f"learning_rate does not count for the method {self.method}, which has none: "
                "leave it out, or choose another method"
            )
