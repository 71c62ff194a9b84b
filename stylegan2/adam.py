"""Adam (Kingma and Ba, 2015, arXiv 1412.6980, algorithm 1).

torch.optim has it, too, but importing that loads torch's compiler, and takes longer than most drags
do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-8


class Adam:
    """Moves `parameters` in place, at `learning_rate`, which may be changed between steps."""

    def __init__(
        self,
        parameters: Sequence[Tensor],
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        self.learning_rate = learning_rate
        self._betas = betas
        self._parameters = list(parameters)
        self._means = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self._squares = [torch.zeros_like(each, requires_grad=False) for each in parameters]
        self._step = 0

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None]) -> None:
        """Take one step against gradients, one for each parameter; None leaves it alone."""
        self._step += 1
        beta1, beta2 = self._betas
        size = self.learning_rate / (1 - beta1**self._step)
        root = math.sqrt(1 - beta2**self._step)
        for parameter, gradient, mean, square in zip(
            self._parameters, gradients, self._means, self._squares, strict=True
        ):
            if gradient is None:
                continue
            mean.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            spread = square.sqrt().div_(root).add_(EPSILON)
            parameter.addcdiv_(mean, spread, value=-size)
