"""Orthogonal steps for the weights of convolutions, known as Muon.

Sources: Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks" (momentum,
Nesterov, the iteration's numbers), and Bernstein and Newhouse, 2024 (arXiv 2409.20325): the step of
steepest descent when steps are as long as what they can do to a layer's output at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOMENTUM = 0.9

ROUNDS = 6
"""Of the iteration; the last one has numbers of its own."""

FAST = (3.4445, -4.7750, 2.0315)
"""Jordan et al.: small singular values grow as fast as they can, and end between .7 and 1.2."""

EXACT = (15 / 8, -10 / 8, 3 / 8)
"""The Newton-Schulz iteration of order 5, which brings what is near 1 nearer."""


class Orthogonal:
    """Moves convolutions' `parameters` [out, in, k, k] in place.

    A step's root mean square is `learning_rate`, which may be changed between steps; it is less
    where a gradient has directions of next to no size.
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(each, requires_grad=False) for each in parameters]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take one step against gradients, one for each parameter; None leaves it alone."""
        for parameter, gradient, mean in zip(self._parameters, gradients, self._means, strict=True):
            if gradient is None:
                continue
            mean.lerp_(gradient, 1 - MOMENTUM)
            ahead = gradient.lerp(mean, MOMENTUM).flatten(1)
            turned = orthogonal(ahead)
            size = math.sqrt(turned.numel() / min(turned.shape))
            parameter.add_(turned.view_as(parameter), alpha=-self.learning_rate * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return a matrix [n, m] with all its singular values made about 1; what is zero stays so.

    The iteration works on the smaller product of the matrix with itself, so that its cost is that
    of few small products.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.t()).t()
    gram = matrix @ matrix.t()
    scale = gram.norm().clamp_min(1e-30).reciprocal()
    gram = gram * scale
    one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = one
    for number in range(ROUNDS):
        a, b, c = FAST if number < ROUNDS - 1 else EXACT
        factor = a * one + b * gram + c * (gram @ gram)
        product = factor @ product
        gram = factor @ gram @ factor
    turned: Tensor = (product @ matrix) * scale.sqrt()
    return turned
