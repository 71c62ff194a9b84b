"""The training pictures on the device, drawn by weight, warped, turned and mirrored."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from inversion.encoder_networks import SIZE as ENCODED
from tools.adversarial.packing import Pack
from tools.adversarial.warps import pixel_grid, warp_fields

VARIANTS = 8
"""Other faces whose shape each face can take."""

WARPED = 0.6
"""Share of pictures that are warped."""

SHIFT, ROLL, SCALE = 0.01, 0.035, 0.03
"""Standard deviations of how alignment is varied: widths of the picture, radians, parts."""

OPEN_MOUTH, CLOSED_EYE, TURNED = 0.3, 0.2, 20.0
"""Gap of the inner lips over the mouth's width, gap of the lids over the eye's width, degrees."""

INNER_LIPS, MOUTH = (62, 66), (48, 54)
LIDS = (((37, 41), (38, 40), (36, 39)), ((43, 47), (44, 46), (42, 45)))
"""In iBUG's order: upper and lower point of a gap, and the corners."""


def rare(landmarks: Tensor, yaw: Tensor) -> Tensor:
    """Tell which faces [N] show what few do and drags ask for: an open mouth, a closed eye, a turn.

    landmarks [N, 68, 2], NaN where they are not known; yaw [N] in degrees.
    """

    def length(pair: tuple[int, int]) -> Tensor:
        found: Tensor = (landmarks[:, pair[0]] - landmarks[:, pair[1]]).norm(dim=1)
        return found

    open_mouth = length(INNER_LIPS) > OPEN_MOUTH * length(MOUTH)
    gaps = [(length(a) + length(b)) / 2 / length(corners) for a, b, corners in LIDS]
    return open_mouth | (torch.stack(gaps).amin(dim=0) < CLOSED_EYE) | (yaw.abs() > TURNED)


def draw_weights(pack: Pack, rare_weight: float, by_source: Mapping[str, float]) -> Tensor:
    """Return how often each picture is drawn, relative to others: [N].

    rare_weight multiplies what `rare` tells; by_source multiplies sources, by how they begin.
    """
    weights = torch.where(rare(pack.landmarks, pack.yaw), rare_weight, 1.0)
    for start, factor in by_source.items():
        chosen = torch.tensor([source.startswith(start) for source in pack.source])
        weights = torch.where(chosen, weights * factor, weights)
    return weights


class Pictures:
    """All pictures, their warps and how often each is drawn; nothing here waits for the device."""

    def __init__(self, pack: Pack, weights: Tensor, device: torch.device) -> None:
        self.images = pack.images.to(device)
        self.size = self.images.shape[-1]
        # What the encoder looks at: a bank of its latents is renewed all the time.
        factor = max(1, self.size // ENCODED)
        self.small = torch.cat(
            [F.avg_pool2d(part.float(), factor).round().byte() for part in self.images.split(256)]
        )
        landmarks, yaw = pack.landmarks.to(device), pack.yaw.to(device)
        self.fields = warp_fields(landmarks, yaw, VARIANTS, torch.Generator().manual_seed(0))
        self.cumulative = (weights.double().cumsum(0) / weights.double().sum()).float().to(device)
        self.grid = pixel_grid(self.size, device)

    def __len__(self) -> int:
        return len(self.images)

    def indices(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw n pictures by weight."""
        where = torch.rand(n, generator=rng, device=self.images.device)
        return torch.searchsorted(self.cumulative, where).clamp_max(len(self) - 1)

    def draw(self, n: int, warp: float, rng: torch.Generator) -> Tensor:
        """Draw n pictures [n, 3, S, S] in [-1, 1]; shapes go up to `warp` of the way to others."""
        device, size = self.images.device, self.size

        def uniform(*shape: int) -> Tensor:
            return torch.rand(n, *shape, generator=rng, device=device)

        def normal(*shape: int) -> Tensor:
            return torch.randn(n, *shape, generator=rng, device=device)

        index = self.indices(n, rng)
        variant = torch.randint(VARIANTS, (n,), generator=rng, device=device)
        strength = warp * uniform() * (uniform() < WARPED)
        field = self.fields[index, variant].float() * strength[:, None, None, None]
        field = F.interpolate(field, size=(size, size), mode="bilinear", align_corners=False)
        angle, scale = ROLL * normal(), 1 + SCALE * normal()
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1)
        places = (self.grid + field.permute(0, 2, 3, 1) - 0.5).flatten(1, 2)
        places = places @ (turn.reshape(n, 2, 2) * scale[:, None, None])
        places = ((places + SHIFT * normal(1, 2)) * 2).reshape(n, size, size, 2)
        pictures = F.grid_sample(
            self.images[index].float() / 127.5 - 1,
            places,
            mode="bilinear",
            padding_mode="reflection",
            align_corners=False,
        )
        return torch.where(uniform(1, 1, 1) < 0.5, pictures.flip(3), pictures)
