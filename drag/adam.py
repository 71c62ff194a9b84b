"""Adam for one tensor (Kingma and Ba, 2015, arXiv 1412.6980, algorithm 1)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETA1 = 0.9
BETA2 = 0.999
EPSILON = 1e-8


class Adam:
    """Moves `parameter` in place. torch.optim's Adam imports torch's compiler first: 2 seconds."""

    def __init__(self, parameter: Tensor, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._parameter = parameter
        self._mean = torch.zeros_like(parameter, requires_grad=False)
        self._square = torch.zeros_like(parameter, requires_grad=False)
        self._step = 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Take one step against gradient, of the parameter's shape."""
        self._step += 1
        self._mean.lerp_(gradient, 1 - BETA1)
        self._square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        size = self.learning_rate / (1 - BETA1**self._step)
        spread = self._square.sqrt() / math.sqrt(1 - BETA2**self._step)
        self._parameter.addcdiv_(self._mean, spread.add_(EPSILON), value=-size)
