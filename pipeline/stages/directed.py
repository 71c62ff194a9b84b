"""Directions of W that a drag goes along, beside its points."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.stages.work import Work
from stylegan2.formats.direction_files import read_directions
from stylegan2.generator import Generator

INPUT = "directions."
"""How a drag's inputs from files of directions are called: with a number behind it."""


def shift_of(work: Work, generator: Generator) -> Tensor | None:
    """Return what is added to ws in the end, [1, num_ws, w_dim]; None where nothing is asked."""
    asked = work.request.config.get("directions")
    if asked is None:
        return None
    shift = torch.zeros(1, generator.num_ws, generator.w_dim)
    for name in sorted(name for name in work.files if name.startswith(INPUT)):
        for direction in read_directions(work.files[name]).for_generator(generator).values():
            if direction.name in asked:
                shift += direction.shift(asked[direction.name], generator.num_ws)
    return shift.to(work.bench.device)
