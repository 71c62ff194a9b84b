"""Settings of pivotal tuning, apart from the algorithm so that reading them loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from stylegan2.precision import PRECISION


@dataclass(frozen=True)
class TuningConfig:
    """Every number of pivotal tuning."""

    steps: int | None = field(
        default=None,
        metadata={
            "help": "Most tuning steps; left out, 60 from 256 pixels on where the network's "
            "encoder gives the pivot, else 350.",
            "min": 1,
            "max": 10_000,
            "source": "Roich et al. 2021 (PTI), section 4",
        },
    )
    learning_rate: float | None = field(
        default=None,
        metadata={
            "help": "Learning rate of Adam; left out, 3e-4 from 256 pixels on, and 4e-3 below and "
            "where the network's encoder gives the pivot.",
            "min": 1e-7,
            "max": 1.0,
            "source": "3e-4 is PTI's, section 4; 4e-3 is ours, measured: benchmarks/IDEAS.md",
        },
    )
    orthogonal_rate: float | None = field(
        default=None,
        metadata={
            "help": "Length of a step of the 3x3 weights, whose directions are made orthogonal "
            "(Muon); 0 leaves them to Adam. Left out, 1e-2 from 256 pixels on where the network's "
            "encoder gives the pivot, else 0.",
            "unit": "root mean square; weights are about 1",
            "min": 0.0,
            "max": 1.0,
            "source": "ours, measured: benchmarks/IDEAS.md; Jordan et al. 2024 (Muon); PTI has "
            "Adam alone",
        },
    )
    l2_weight: float = field(
        default=20.0,
        metadata={
            "help": "Weight of the squared pixel difference.",
            "min": 0.0,
            "max": 1e3,
            "source": "ours, measured: PTI, equation 2, has 1, which takes more steps and keeps "
            "other faces no better (benchmarks/IDEAS.md); a mean over pixels, whatever their "
            "number",
        },
    )
    perceptual_weight: float = field(
        default=1.0,
        metadata={
            "help": "Weight of the perceptual distance.",
            "min": 0.0,
            "max": 1e3,
            "source": "PTI, equation 2",
        },
    )
    perceptual_threshold: float = field(
        default=0.03,
        metadata={
            "help": "Stop once the perceptual distance is below this.",
            "min": 0.0,
            "max": 10.0,
            "source": "ours, not measured; PTI's released code stops at 0.06 of LPIPS",
        },
    )
    patience: int = field(
        default=100,
        metadata={
            "help": "Stop after this many steps without progress.",
            "min": 1,
            "max": 10_000,
            "source": "ours, not measured; PTI takes all its steps",
        },
    )
    locality_weight: float = field(
        default=0.1,
        metadata={
            "help": "Weight of the locality regularization; 0 switches it off.",
            "min": 0.0,
            "max": 1e3,
            "source": "PTI, equation 5; ten times as much, or its squares as heavy as the photo's, "
            "keeps other faces no better: benchmarks/IDEAS.md",
        },
    )
    locality_alpha: float = field(
        default=7.07,
        metadata={
            "help": "Distance from the pivot at which other faces are held, in W.",
            "unit": "length in W",
            "min": 0.0,
            "max": 1e3,
            "source": "PTI's alpha = 30 is a norm over 18 copies of w: 30 / sqrt(18) in W",
        },
    )
    locality_every: int = field(
        default=4,
        metadata={
            "help": "Steps from one locality regularization to the next, which then weighs as "
            "many times as much.",
            "min": 1,
            "max": 1000,
            "source": "ours, not measured: a lazy regularization, as StyleGAN2's (Karras et al. "
            "2020, section 3.1); PTI's released code has 1",
        },
    )
    locality_pool: int = field(
        default=32,
        metadata={
            "help": "Faces around the pivot that are held; each step takes one of them.",
            "min": 1,
            "max": 1000,
            "source": "ours, not measured: their pictures are rendered once; PTI draws anew",
        },
    )
    l2_threshold: float = field(
        default=0.004,
        metadata={
            "help": "Stop only once the squared pixel difference is below this, too.",
            "unit": "mean square in [-1, 1]; 0.004 is a PSNR of 30 dB",
            "min": 0.0,
            "max": 4.0,
            "source": "ours: equal looks alone leave edges and teeth wrong; PTI has no such limit",
        },
    )
    first_block: int | None = field(
        default=None,
        metadata={
            "help": "Smallest block that is tuned; left out, all from 256 pixels on, and those "
            "from an eighth of the picture's size on below that and where the network's encoder "
            "gives the pivot, so that the face goes on moving as it did before.",
            "unit": "pixels",
            "min": 4,
            "max": 1024,
            "source": "PTI tunes all blocks",
        },
    )
    last_block: int = field(
        default=1024,
        metadata={
            "help": "Largest block that is tuned.",
            "unit": "pixels",
            "min": 4,
            "max": 1024,
            "source": "PTI tunes all blocks",
        },
    )
    tune_torgb: bool = field(
        default=True,
        metadata={
            "help": "Tune the layers that turn features into colours.",
            "source": "PTI tunes all layers",
        },
    )
    precision: str = field(default="auto", metadata=PRECISION)
