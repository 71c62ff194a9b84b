"""Point tracking (DragGAN, arXiv 2305.10973, section 3.3, equation 2).

A pixel of a 512 picture is an eighth of a feature pixel on a 128 network, so a search over whole
feature pixels could not tell whether a handle has arrived. Positions are therefore compared on a
grid of half feature pixels within r2, and the best one is refined by halving the step four times
on its eight neighbours: handles end on multiples of 1/32 feature pixel from where they started.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from drag.sampling import GRID_STEP, sample, square_offsets

REFINEMENTS = 4
"""How often the search step is halved: GRID_STEP / 2^4 = 1/32 feature pixel."""


@dataclass(frozen=True)
class Tracked:
    """Where the handles [P, 2] are, in feature pixels, and how unlike the template [P] that is.

    mismatch is the mean absolute difference over the channels.
    """

    handles: Tensor
    mismatch: Tensor


@torch.no_grad()
def track(
    features: Tensor,
    template: Tensor,
    handles: Tensor,
    search: Tensor,
    limits: tuple[Tensor, Tensor] | None = None,
) -> Tracked:
    """Find each handle's template again near where the handle was.

    features [1, C, F, F]; template [P, C], the features at the first handles in the first
    picture; handles [P, 2] and search offsets [K, 2], nearest first, in feature pixels.
    Distance is L1 as in the paper (the released code takes L2). Of equal positions the least
    moved one wins; positions outside the picture are never taken. When features are a window of
    the map, limits are the least and the greatest xy [2] of the picture seen from that window.
    """
    if limits is None:
        least = handles.new_tensor([-0.5, -0.5])
        limits = least, least + features.shape[-1]
    found = _best(features, template, handles, search, limits)
    neighbours = square_offsets(GRID_STEP, GRID_STEP).to(search)
    for _ in range(REFINEMENTS):
        neighbours = neighbours / 2
        found = _best(features, template, found.handles, neighbours, limits)
    return found


def _best(
    features: Tensor,
    template: Tensor,
    handles: Tensor,
    offsets: Tensor,
    limits: tuple[Tensor, Tensor],
) -> Tracked:
    places = handles[:, None] + offsets
    mismatch = (sample(features, places) - template[:, None]).abs().mean(dim=2)
    outside = ((places < limits[0]) | (places > limits[1])).any(dim=2)
    mismatch = mismatch.masked_fill(outside, torch.inf)
    smallest, index = mismatch.min(dim=1)
    rows = torch.arange(len(handles), device=places.device)
    return Tracked(places[rows, index], smallest)


@torch.no_grad()
def unlikeness(features: Tensor, template: Tensor) -> Tensor:
    """Return how unlike each template [P, C] the map's pixels are: the median mismatch [P]."""
    pixels = features[0].flatten(1).t()
    return torch.stack([(pixels - own).abs().mean(dim=1).median() for own in template])
