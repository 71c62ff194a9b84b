"""How far along directions of its network a drag goes, beside its points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.stages.ground import Ground
from pipeline.stages.work import Work
from stylegan2.formats.direction_files import read_directions
from stylegan2.generator import Generator
from stylegan2.style_space import restyled

INPUT = "directions."
"""How a drag's inputs from files of directions are called: with a number behind it."""


@dataclass(frozen=True)
class Shift:
    """What directions add in the end: to ws, [1, num_ws, w_dim], and to styles [styles], or None.

    Latents cannot hold a shift of styles: it is the network that is another one.
    """

    ws: Tensor
    styles: Tensor | None

    def ground(self, ground: Ground, share: float = 1.0) -> Ground:
        """Return what a drag stands on, with the styles after that share of the way."""
        if self.styles is None:
            return ground
        return replace(ground, generator=restyled(ground.generator, share * self.styles))


def shift_of(work: Work, generator: Generator) -> Shift | None:
    """Return what is added in the end; None where nothing is asked."""
    asked = work.request.config.get("directions")
    if asked is None:
        return None
    ws = torch.zeros(1, generator.num_ws, generator.w_dim)
    styles: Tensor | None = None
    for name in sorted(name for name in work.files if name.startswith(INPUT)):
        for direction in read_directions(work.files[name]).for_generator(generator).values():
            if direction.name not in asked:
                continue
            amount = asked[direction.name]
            if direction.space == "w":
                ws += direction.shift(amount, generator.num_ws)
            else:
                styles = amount * direction.way + (0.0 if styles is None else styles)
    return Shift(ws.to(work.bench.device), styles)
