"""Every number of an adversarial training."""

from __future__ import annotations

from dataclasses import dataclass

SIDES = (32, 64, 128, 256)
"""Sides that pictures may have, and at which the frozen features may look at them."""


@dataclass(frozen=True)
class AdversarialConfig:
    """Sizes, rates and weights; kept in the checkpoint.

    look is the width at which pictures are shown to the frozen features.
    resolution, channel_base and channel_max fix the widths, w_dim, mapping_layers and
    encoder_width the rest.
    rate is Adam's for the generator, the encoders' is encoder_rate times it: a mean of W that
    wanders quickly leaves samples behind. average_kimg is the averages' longest half-life, in
    thousands of pictures. feature_weight and pixel_weight are of encoded photos beside themselves;
    with the defaults their gradient at the picture is about a third as long as the adversarial
    one. With less colours drift at once. latent_weight is of the encoders finding a sample's own
    latents, delta_weight of how far W+ may be from W. mixing is the share of samples with two
    faces' styles, w_noise what is added to an encoded w. bank latents stand for the distribution
    of w, of which `fresh` are encoded anew in each iteration. warp is how far shapes go towards
    other faces', rare_weight how often open mouths, closed eyes and turned heads are drawn.
    """

    resolution: int = 256
    look: int = 256
    channel_base: int = 8192
    channel_max: int = 384
    w_dim: int = 256
    mapping_layers: int = 4
    encoder_width: int = 48
    batch: int = 32
    rate: float = 1.5e-3
    heads_rate: float = 2e-3
    encoder_rate: float = 0.3
    warm_kimg: float = 8.0
    steady: float = 0.65
    last: float = 0.1
    average_kimg: float = 10.0
    feature_weight: float = 30.0
    pixel_weight: float = 200.0
    latent_weight: float = 3.0
    delta_weight: float = 4.0
    mixing: float = 0.5
    w_noise: float = 0.1
    bank: int = 2048
    fresh: int = 256
    warp: float = 0.3
    rare_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("resolution", "look"):
            if getattr(self, name) not in SIDES:
                raise ValueError(f"{name} must be one of {SIDES}, is {getattr(self, name)}")
        if self.batch < 4 or self.batch % 2:
            raise ValueError(f"batch must be even and at least 4, is {self.batch}")
        if self.bank % self.fresh:
            raise ValueError(f"bank ({self.bank}) must be a multiple of fresh ({self.fresh})")


@dataclass(frozen=True)
class Rates:
    """Adam's rates of generator and heads, and how much of itself an average keeps a step."""

    generator: float
    heads: float
    kept: float


def rates(config: AdversarialConfig, seen: int, progress: float) -> Rates:
    """Say how to learn after `seen` pictures, with `progress` in 0..1 of the run behind it.

    The generator's rate rises with the first pictures, while Adam's moments are few; both rates
    fall to `last` of themselves after `steady` of the run. The averages begin short.
    """
    past = max(0.0, progress - config.steady) / (1 - config.steady)
    fall = 1 - (1 - config.last) * min(1.0, past)
    kimg = seen / 1000
    half_life = min(config.average_kimg, max(0.3, 0.1 * kimg))
    return Rates(
        config.rate * min(1.0, kimg / config.warm_kimg) * fall,
        config.heads_rate * fall,
        0.5 ** (config.batch / 1000 / half_life),
    )
