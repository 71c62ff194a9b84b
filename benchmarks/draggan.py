"""The paper's drag as a baseline, with the parts that its ablation leaves out.

DragGAN (Pan et al., 2023, arXiv 2305.10973), kept apart from drag/ so that improving that does
not move what it is measured against. It has the paper's settings and stops as the paper does, when
the handles have arrived, or after 300 steps: the paper tells of 30 to 200.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.trackers import Tracker
from drag.points import DragPoint
from stylegan2.arrays import UInt8Image
from stylegan2.generator import Generator, NoiseConsts
from stylegan2.images import to_uint8
from stylegan2.partial import features_at, frozen

REFINEMENTS = 4
HALF = 0.5
LEAST = 1 / 16
"""Feature pixels: steps of tracking, and the least pull and tolerance, as in drag/."""


@dataclass(frozen=True)
class PaperSettings:
    """Section 3.4 of the paper, and a bound on its steps; lengths in pixels of a 512 picture.

    Without tracking a handle is taken to have followed its pull exactly. In "w" one offset moves
    all layers alike, in "w+" the first `num_moving_ws` move freely. features is the side of the
    features that are dragged, None for half the picture's, at most 128.
    """

    tracking: bool = True
    space: str = "w+"
    steps: int = 300
    learning_rate: float = 2e-3
    r1: float = 3.0
    r2: float = 12.0
    lambda_mask: float = 20.0
    num_moving_ws: int = 6
    features: int | None = None


@dataclass(frozen=True)
class PaperDrag:
    """Where a drag ended: ws, handles in pixels of the picture, steps, and whether they arrived."""

    ws: Tensor
    handles: tuple[tuple[float, float], ...]
    steps: int
    arrived: bool


def drag(
    generator: Generator,
    ws: Tensor,
    noise_consts: NoiseConsts | None,
    points: Sequence[DragPoint],
    movable_mask: Tensor | None,
    settings: PaperSettings,
    tracker: Tracker | None = None,
) -> PaperDrag:
    """Drag points (in pixels of the picture) until they have arrived or the steps are over.

    A tracker takes the place of the paper's own tracking in features.
    """
    generator = frozen(generator)
    size = settings.features or min(128, generator.resolution // 2)
    to_features = size / generator.resolution
    unit = size / 512
    tolerance = max((1.0 if len(points) <= 5 else 2.0) * unit, LEAST)
    pull = max(unit, LEAST)
    patch = _grid(max(settings.r1 * unit, 1.0), round_shape=True).to(ws)
    search = _grid(max(settings.r2 * unit, 1.0), round_shape=False).to(ws)

    def render(now: Tensor) -> Tensor:
        return features_at(generator, now, noise_consts, size).features

    start = ws.detach()
    offset = torch.zeros_like(start[:, : settings.num_moving_ws if settings.space == "w+" else 1])

    def moved(change: Tensor) -> Tensor:
        if settings.space == "w":
            return start + change
        return start + F.pad(change, (0, 0, 0, start.shape[1] - change.shape[1]))

    handles = (start.new_tensor([point.handle for point in points]) + 0.5) * to_features - 0.5
    targets = (start.new_tensor([point.target for point in points]) + 0.5) * to_features - 0.5
    offset.requires_grad_()
    features = render(moved(offset))
    first = features.detach()
    template = _read(first, handles)
    kept = None
    if movable_mask is not None:
        black = (~movable_mask).to(start)[None, None]
        kept = F.avg_pool2d(black, generator.resolution // size)[0, 0]

    @torch.no_grad()
    def look() -> UInt8Image:
        return to_uint8(generator.synthesis(moved(offset), noise_consts))

    adam = torch.optim.Adam([offset], lr=settings.learning_rate)
    step, arrived = 0, False
    seen = look() if tracker is not None else None
    while step < settings.steps and not arrived:
        step += 1
        way = targets - handles
        far = way.norm(dim=1, keepdim=True)
        pulls = torch.where(far > tolerance, way / far.clamp_min(1e-9) * pull, 0.0)
        around = handles[:, None] + patch
        gap = _read(features.detach(), around) - _read(features, around + pulls[:, None])
        loss = gap.abs().mean(dim=(1, 2))[far[:, 0] > tolerance].sum()
        if kept is not None:
            loss = loss + settings.lambda_mask * ((features - first).abs() * kept).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        features = render(moved(offset))
        if tracker is not None and seen is not None:
            before, seen = seen, look()
            known = ((handles + 0.5) / to_features - 0.5).cpu().double().numpy()
            found = torch.from_numpy(tracker(before, seen, known)).to(start)
            handles = (found + 0.5) * to_features - 0.5
        elif settings.tracking:
            handles = _track(features.detach(), template, handles, search)
        else:
            handles = handles + torch.where(far > pull, pulls, way)
        arrived = bool(((targets - handles).norm(dim=1) <= tolerance * (1 + 1e-4)).all())
    places = ((handles + 0.5) / to_features - 0.5).tolist()
    return PaperDrag(moved(offset.detach()), tuple((x, y) for x, y in places), step, arrived)


@torch.no_grad()
def _track(features: Tensor, template: Tensor, handles: Tensor, search: Tensor) -> Tensor:
    offsets = search
    for refinement in range(REFINEMENTS + 1):
        places = handles[:, None] + offsets
        mismatch = (_read(features, places) - template[:, None]).abs().mean(dim=2)
        outside = ((places < -0.5) | (places > features.shape[-1] - 0.5)).any(dim=2)
        nearest = mismatch.masked_fill(outside, math.inf).argmin(dim=1)
        handles = places[torch.arange(len(places)), nearest]
        offsets = _grid(1.0, round_shape=False).to(handles)[:9] * HALF**refinement / 2
    return handles


def _grid(radius: float, *, round_shape: bool) -> Tensor:
    """List offsets on a grid of half feature pixels within a radius, nearest first."""
    reach = int(radius / HALF + 1e-6)
    cells = [(i, j) for j in range(-reach, reach + 1) for i in range(-reach, reach + 1)]
    cells.sort(key=lambda cell: cell[0] ** 2 + cell[1] ** 2)
    offsets = torch.tensor(cells, dtype=torch.float32) * HALF
    return offsets[offsets.norm(dim=1) <= radius + 1e-6] if round_shape else offsets


def _read(features: Tensor, xy: Tensor) -> Tensor:
    """Read features [1, C, F, F] at xy [..., 2] bilinearly, repeating the edge: [..., C]."""
    place = ((2 * xy + 1) / features.shape[-1] - 1).reshape(1, 1, -1, 2)
    read = F.grid_sample(features, place, padding_mode="border", align_corners=False)
    return read[0, :, 0].t().reshape(*xy.shape[:-1], -1)
