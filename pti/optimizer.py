"""What moves the weights in tuning: Adam, or orthogonal steps and Adam, and their rates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pti.orthogonal import Orthogonal
from stylegan2.adam import Adam

FADE = 0.15
"""Share of the steps over which the rates fall at the end."""

LONG_FADE = 0.4
"""The same for orthogonal steps, which are as long at the end as at the beginning otherwise."""

WARM_UP = 3
"""Steps over which orthogonal steps grow to their length: momentum knows no direction yet."""

BETAS = (0.9, 0.99)
"""Adam's; its usual 0.999 remembers gradients that are as old as a whole tuning."""


def share_at(step: int, steps: int, fade: float, warm_up: int = 1) -> float:
    """Return which part of its rate a step from 1 to steps has: it rises, and falls, linearly.

    A photo that is still far when the steps end would else be left in mid-swing.
    """
    return min(1.0, step / warm_up, (steps - step + 1) / (fade * steps + 1))


class TuningOptimizer:
    """Moves `parameters` in place against their gradients.

    With orthogonal_rate above 0 the weights of convolutions take orthogonal steps of that length,
    and Adam moves the rest.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        steps: int,
        learning_rate: float,
        orthogonal_rate: float,
    ) -> None:
        self._steps = steps
        self._rates = learning_rate, orthogonal_rate
        # Colours are 1x1 convolutions: three rows, for which orthogonal steps mean little.
        convolutions = [each for each in parameters if each.ndim == 4 and each.shape[-1] > 1]
        self._turned = convolutions if orthogonal_rate > 0 else []
        turned = {id(each) for each in self._turned}
        self._rest = [each for each in parameters if id(each) not in turned]
        self._orthogonal = Orthogonal(self._turned, orthogonal_rate)
        self._adam = Adam(self._rest, learning_rate, BETAS)

    def step(self, number: int) -> None:
        """Take step `number`, counted from 1."""
        long = self._turned != []
        share = share_at(number, self._steps, LONG_FADE if long else FADE, WARM_UP if long else 1)
        self._adam.learning_rate, self._orthogonal.learning_rate = (
            rate * share for rate in self._rates
        )
        self._adam.step([each.grad for each in self._rest])
        self._orthogonal.step([each.grad for each in self._turned])
