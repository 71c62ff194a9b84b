"""Directions of W: ways in which pictures change, found in a generator without a label.

Components of w are GANSpace's (Harkonen et al., 2020, arXiv 2004.02546), closed-form factors
SeFa's (Shen and Zhou, 2021, arXiv 2007.06600). How far +1 goes is ours: every direction is as long
as w itself varies along it.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from stylegan2.generator import Generator
from stylegan2.latents import sample_w

SAMPLES = 10_000
"""Latents from which the spread of w is known."""

UNIT = 2.0
"""+1 goes so many standard deviations of w along the direction."""

REACH = 1.5
"""From -REACH to REACH is where a direction may be followed: three standard deviations."""

STANDS_OUT = 1.05
"""A factor stands out when its eigenvalue is this many times the largest that weights without
any structure would have (Marchenko and Pastur, 1967)."""

LEAST_FACTORS = 2


class SpectrumFlat(Exception):
    """A generator's weights single out no factors."""


class DirectionsInvalid(Exception):
    """A file holds no directions for this generator, or none of that name."""


@dataclass(frozen=True)
class Direction:
    """A way through W that has a name, or through the styles.

    way is where +1 goes: [w_dim] for the layers from the first on to before the second of layers,
    or [num_ws, w_dim] with its own way for each layer; in the space of styles [styles], see
    `stylegan2/style_space.py`. low and high are the amounts between which it holds; about says
    what it is.
    """

    name: str
    way: Tensor
    layers: tuple[int, int]
    low: float = -REACH
    high: float = REACH
    about: str = ""
    space: Literal["w", "styles"] = "w"

    def shift(self, amount: float, num_ws: int) -> Tensor:
        """Return what is added to ws, [1, num_ws, w_dim].

        Raises ValueError for other layers, and for a direction of styles.
        """
        if self.space != "w":
            raise ValueError(f"{self.name} is a direction of styles")
        first, end = self.layers
        known = len(self.way) if self.way.ndim == 2 else num_ws
        if known != num_ws or end > num_ws:
            raise ValueError(f"{self.name} is for {max(end, known)} layers, not {num_ws}")
        shift = torch.zeros(1, num_ws, self.way.shape[-1])
        own = self.way if self.way.ndim == 1 else self.way[first:end]
        shift[:, first:end] = amount * own.to("cpu", torch.float32)
        return shift


_drawn: dict[tuple[str, int], Tensor] = {}
"""What was drawn last, by the mapping's weights and the seed: one request asks several times."""


def typical_w(generator: Generator, seed: int = 0) -> Tensor:
    """Draw w [SAMPLES, w_dim], by which lengths are measured, on the CPU. Not to be changed.

    The last draw is kept, whichever copy of a generator it was for: tuning leaves the mapping.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.mapping.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    key = digest.hexdigest(), seed
    drawn = _drawn.get(key)
    if drawn is None:
        drawn = sample_w(generator, SAMPLES, seed).cpu()
        _drawn.clear()
        _drawn[key] = drawn
    return drawn


def spread_along(w: Tensor, way: Tensor) -> float:
    """Return the standard deviation of w [N, w_dim] along a way [w_dim] of any length."""
    return float((w @ (way / way.norm())).std())


def as_long_as_w(way: Tensor, w: Tensor) -> Tensor:
    """Make a way [w_dim] or [num_ws, w_dim] as long as `UNIT` standard deviations of w [N, w_dim].

    With a way for each layer their lengths keep their proportions; the mean of those that move is
    as long. Raises DirectionsInvalid for a way that goes nowhere.
    """
    lengths = way.reshape(-1, way.shape[-1]).norm(dim=1)
    moving = way.reshape(-1, way.shape[-1])[lengths > 0]
    if not len(moving) or not way.isfinite().all():
        raise DirectionsInvalid("a direction is nothing but zeros, or not finite")
    spread = sum(spread_along(w, each) for each in moving) / len(moving)
    return way * (UNIT * spread / float(lengths[lengths > 0].mean()))


def principal_directions(
    generator: Generator, count: int, layers: tuple[int, int], seed: int = 0
) -> list[Direction]:
    """Return the first components of w, the one along which it varies most first (GANSpace)."""
    w = typical_w(generator, seed).double()
    centred = w - w.mean(dim=0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(w) - 1))
    shares = (values / values.sum()).flip(0).tolist()
    return [
        Direction(
            f"pc{i}",
            (_signed(vectors[:, -1 - i]) * (UNIT * math.sqrt(float(values[-1 - i])))).float(),
            layers,
            about=f"component of w: {shares[i]:.1%} of its variance",
        )
        for i in range(min(count, len(values)))
    ]


def factor_directions(
    generator: Generator, count: int, layers: tuple[int, int], seed: int = 0
) -> list[Direction]:
    """Return the ways along which the styles of some layers change most (SeFa).

    These are eigenvectors of A A^T, where A [w_dim, styles] holds the layers' affine weights, every
    column of length 1. At most those that stand out. Raises SpectrumFlat where hardly any do.
    """
    a = torch.cat(_affine_weights(generator, layers)).double().cpu()
    a = a / a.norm(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(a.T @ a)
    relative = (values / values.mean()).flip(0)
    edge = (1 + math.sqrt(generator.w_dim / len(a))) ** 2
    standing = int((relative > STANDS_OUT * edge).sum())
    if standing < LEAST_FACTORS:
        first = ", ".join(f"{value:.2f}" for value in relative[:5].tolist())
        raise SpectrumFlat(
            f"this network's weights single out no factors: the spectrum is flat ({first}, ... of "
            f"its mean, and weights without structure would reach {edge:.2f}). Fit pca or measures"
        )
    w = typical_w(generator, seed)
    return [
        Direction(
            f"factor{i}",
            as_long_as_w(_signed(vectors[:, -1 - i]).float(), w),
            layers,
            about=f"factor of the weights: {relative[i]:.2f} times the mean",
        )
        for i in range(min(count, standing))
    ]


def _affine_weights(generator: Generator, layers: tuple[int, int]) -> list[Tensor]:
    """Return the affine weights [styles, w_dim] of the convolutions that take these ws."""
    first, end = layers
    return [
        layer.affine.weight
        for number, (_, layer) in enumerate(generator.synthesis.layers())
        if first <= number < end
    ]


def _signed(vector: Tensor) -> Tensor:
    """Settle an eigenvector's sign, which is arbitrary: the largest part is positive."""
    return vector * vector[vector.abs().argmax()].sign()
