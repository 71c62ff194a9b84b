"""Point tracking (DragGAN, arXiv 2305.10973, section 3.3, equation 2).

A pixel of a 512 picture is an eighth of a feature pixel on a 128 network, so a search over whole
feature pixels could not tell whether a handle has arrived. Positions are therefore compared on a
grid of half feature pixels within r2, and the best one is refined by halving the step four times
on its eight neighbours: handles end on multiples of 1/32 feature pixel from where they started.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from drag.sampling import GRID_STEP, sample, square_offsets
from drag.scene import Field, Places

REFINEMENTS = 4
"""How often the search step is halved: GRID_STEP / 2^4 = 1/32 feature pixel."""

AT_ONCE = 8
"""Handles that are compared at once, to bound the memory of wide patches."""

PLACES = 32
"""Places along the longer side at which a picture is compared with a patch, to know how unlike it
usually is."""

VALUES_AT_ONCE = 2**22
"""Values of features that are read at once where the whole picture is looked at."""


@dataclass(frozen=True)
class Tracked:
    """Where the handles [P, 2] are, in feature pixels, and how unlike the template [P] that is.

    mismatch is the mean absolute difference over the channels.
    """

    handles: Tensor
    mismatch: Tensor


@dataclass(frozen=True)
class Moved:
    """A step, on the host: what it lowered, where the handles are now, how unlike; and all ws.

    spent says that another step would not be worth it.
    """

    loss: float
    places: Places
    mismatch: list[float]
    ws: Tensor
    spent: bool = False

    @classmethod
    def read(cls, loss: Tensor, found: Tracked, ws: Tensor) -> Moved:
        """Fetch the numbers from the device, all at once."""
        loss_now, *numbers = torch.cat(
            [loss.detach()[None], found.mismatch, found.handles.flatten()]
        ).tolist()
        count = len(found.mismatch)
        xy = numbers[count:]
        return cls(loss_now, list(zip(xy[::2], xy[1::2], strict=True)), numbers[:count], ws)


@torch.no_grad()
def track(
    features: Tensor,
    template: Tensor,
    handles: Tensor,
    search: Tensor,
    *,
    patch: Tensor | None = None,
    weights: Tensor | None = None,
    limits: tuple[Tensor, Tensor] | None = None,
    distrust: Tensor | None = None,
) -> Tracked:
    """Find each handle's template again near where the handle was, or is expected.

    features [1, C, h, w]; template [P, C], the features at the first handles in the first
    picture; handles [P, 2] and search offsets [K, 2], nearest first, in feature pixels.
    Distance is L1 as in the paper (the released code takes L2). Of equal positions the least
    moved one wins; positions outside the picture are never taken.

    With patch offsets [Q, 2] a template is a patch, [P, Q, C], its positions weighted by weights
    [P, Q], which sum to 1 for each handle. When features are a window of the
    map, limits are the least and the greatest xy [2] of the picture seen from that window.
    distrust [P] is what a feature pixel away from the expected place adds to the mismatch.
    """
    if patch is None:
        template, patch = template[:, None], handles.new_zeros(1, 2)
    if weights is None:
        weights = handles.new_full(template.shape[:2], 1 / template.shape[1])
    if limits is None:
        least = handles.new_tensor([-0.5, -0.5])
        height, width = features.shape[2:]
        limits = least, least + least.new_tensor([width, height])
    expected, found = handles, Tracked(handles, handles.new_zeros(len(handles)))
    rows = torch.arange(len(handles), device=handles.device)
    neighbours = _neighbours(search.device, search.dtype)
    step = 2 * GRID_STEP
    for refinement in range(REFINEMENTS + 1):
        step = step / 2
        offsets = search if refinement == 0 else neighbours * step
        places = found.handles[:, None] + offsets
        mismatch = torch.cat(
            [
                _mismatch(features, at[:, :, None] + patch, own[:, None], share[:, None])
                for at, own, share in zip(
                    places.split(AT_ONCE),
                    template.split(AT_ONCE),
                    weights.split(AT_ONCE),
                    strict=True,
                )
            ]
        )
        score = mismatch
        if distrust is not None:
            away = (places - expected[:, None]).norm(dim=2)
            score = mismatch + distrust[:, None] * away
        outside = ((places < limits[0]) | (places > limits[1])).any(dim=2)
        index = score.masked_fill(outside, torch.inf).argmin(dim=1)
        found = Tracked(places[rows, index], mismatch[rows, index])
    return found


@cache
def _neighbours(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return a place and its eight neighbours [9, 2] in steps, nearest first; once a device."""
    with torch.inference_mode(False):
        return square_offsets(1.0, 1.0).to(device, dtype)


def _mismatch(features: Tensor, places: Tensor, template: Tensor, weights: Tensor) -> Tensor:
    return ((sample(features, places) - template).abs().mean(dim=-1) * weights).sum(dim=-1)


def track_in_fields(
    fields: Sequence[Field],
    template: Tensor,
    patch: Tensor,
    weights: Tensor,
    handles: Tensor,
    search: Tensor,
    extent: Tensor,
    distrust: Tensor | None = None,
) -> Tracked:
    """Find all handles [P, 2] again, each in its field. See `track`.

    extent [2] is width and height of the map that the fields are windows of.
    """
    places, mismatch = torch.empty_like(handles), handles.new_empty(len(handles))
    for field in fields:
        own, least = field.handles, -0.5 - field.origin
        found = track(
            field.features.detach(),
            template[own],
            handles[own] - field.origin,
            search,
            patch=patch,
            weights=weights[own],
            limits=(least, least + extent),
            distrust=None if distrust is None else distrust[own],
        )
        places[own] = found.handles + field.origin
        mismatch[own] = found.mismatch
    return Tracked(places, mismatch)


@torch.no_grad()
def unlikeness(features: Tensor, template: Tensor, patch: Tensor, weights: Tensor) -> Tensor:
    """Return how unlike each template [P, Q, C] the picture is: the median mismatch [P].

    Over PLACES places along its longer side, at least two feature pixels apart; patch [Q, 2] holds
    the template's positions, weights [P, Q] what each counts.
    """
    height, width = features.shape[2:]
    step = max(max(height, width) // PLACES, 2)
    columns, rows = (
        torch.arange(0, side, step, device=features.device, dtype=features.dtype)
        for side in (width, height)
    )
    places = torch.cartesian_prod(columns, rows)[:, None] + patch
    # Each place reads a whole patch of all channels.
    parts = places.split(max(VALUES_AT_ONCE // template[0].numel(), 1))
    found = []
    for own, share in zip(template, weights, strict=True):
        mismatch = torch.cat([_mismatch(features, part, own, share) for part in parts])
        found.append(mismatch.median())
    return torch.stack(found)
