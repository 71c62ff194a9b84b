"""The network's own pictures along a drag, no finer than the film that is made of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.stages.ground import Ground


@torch.no_grad()
def film_pictures(ground: Ground, ways: Tensor, side: int) -> Iterator[Tensor]:
    """Render ways [N, num_ws, w_dim], even steps of a drag, as [1, 3, H, W] for a film of `side`.

    The blocks beyond `side` run for both ends alone. What they add, colours above all, goes from
    the one to the other in between: without it a picture of the coarser blocks has other colours.
    """
    least = min(side, _full(ground))
    size = min(each for each in ground.generator.config.block_resolutions if each >= least)
    if size == _full(ground):
        yield from (ground.render(ws) for ws in ways.split(1))
        return
    first, last = (ground.render(ws) - _coarse(ground, ws, size) for ws in (ways[:1], ways[-1:]))
    for number, ws in enumerate(ways.split(1)):
        share = number / max(len(ways) - 1, 1)
        yield _coarse(ground, ws, size) + torch.lerp(first, last, share)


def _full(ground: Ground) -> int:
    return ground.generator.resolution


def _coarse(ground: Ground, ws: Tensor, size: int) -> Tensor:
    """Return the picture so far after the block of that size, enlarged to the whole one's."""
    for output in ground.generator.synthesis.run(ws, ground.noise_consts):
        if output.resolution == size:
            break
    assert output.image is not None
    whole = list(ground.generator.config.shape)
    return F.interpolate(output.image, size=whole, mode="bilinear", align_corners=False)
