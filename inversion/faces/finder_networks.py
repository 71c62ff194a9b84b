"""The two networks of the offline face finder, and what they see and answer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stylegan2.arrays import UInt8Image

STRIDE = 8
"""Side of a detector's cell, in pixels."""
REACH = 16.0
"""Pixels of a detector picture that one unit of its offset output stands for."""
CROP = 80
"""Side of the refiner's crop, in pixels."""


class ConvUnit(nn.Module):
    """3x3 convolution, batch norm while training (folded away afterwards), ReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride, dilation, dilation)
        self.norm = nn.BatchNorm2d(out_channels) if normalise else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x if self.norm is None else self.norm(x))


class ResidualUnit(nn.Module):
    """One ConvUnit added to its input."""

    def __init__(self, channels: int, *, dilation: int = 1, normalise: bool = False) -> None:
        super().__init__()
        self.unit = ConvUnit(channels, channels, dilation=dilation, normalise=normalise)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.unit(x)
        return y


class FaceDetector(nn.Module):
    """Propose faces whose eyes are about 8 to 23 pixels apart.

    [N, 3, H, W], sides multiples of 8, values (uint8 - 128) / 64 -> face logit [N, h, w] and point
    offsets [N, 5, 2, h, w] in units of REACH from the centre of each 8-pixel cell.
    """

    def __init__(self, *, normalise: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvUnit(3, 16, stride=2, normalise=normalise),
            ConvUnit(16, 32, stride=2, normalise=normalise),
            ResidualUnit(32, normalise=normalise),
            ConvUnit(32, 64, stride=2, normalise=normalise),
            *(ResidualUnit(64, dilation=d, normalise=normalise) for d in (1, 2, 4, 1, 2)),
        )
        self.head = nn.Conv2d(64, 11, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out: Tensor = self.head(self.body(x))
        n, _, h, w = out.shape
        return out[:, 0], out[:, 1:].view(n, 5, 2, h, w)


class FaceRefiner(nn.Module):
    """Place points in a straightened crop and judge whether it shows a face.

    [N, 3, 80, 80], values as for FaceDetector -> points [N, P, 2] xy in crop pixels, heatmap
    logits [N, P, 20, 20] they are the mean of, face logit [N]. P is 5; training adds the other
    landmarks because they steady the five.
    """

    def __init__(self, points: int = 5, *, normalise: bool = False) -> None:
        super().__init__()
        self.to20 = nn.Sequential(
            ConvUnit(3, 24, stride=2, normalise=normalise),
            ConvUnit(24, 48, stride=2, normalise=normalise),
            ResidualUnit(48, normalise=normalise),
        )
        self.to10 = nn.Sequential(
            ConvUnit(48, 72, stride=2, normalise=normalise),
            ResidualUnit(72, normalise=normalise),
            ResidualUnit(72, normalise=normalise),
        )
        self.to5 = nn.Sequential(
            ConvUnit(72, 80, stride=2, normalise=normalise),
            ResidualUnit(80, normalise=normalise),
        )
        self.up10 = nn.Conv2d(80, 72, 1)
        self.up20 = nn.Conv2d(72, 48, 1)
        self.fuse = ConvUnit(48, 48, normalise=normalise)
        self.heat = nn.Conv2d(48, points, 1)
        self.face = nn.Linear(80, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x20 = self.to20(x)
        x10 = self.to10(x20)
        x5 = self.to5(x10)
        face: Tensor = self.face(x5.mean(dim=(2, 3)))[:, 0]
        x10 = x10 + self.up10(F.interpolate(x5, scale_factor=2.0))
        x20 = x20 + self.up20(F.interpolate(x10, scale_factor=2.0))
        heat: Tensor = self.heat(self.fuse(x20))
        share = heat.flatten(2).softmax(dim=2).view_as(heat)
        cell = torch.arange(heat.shape[-1], dtype=heat.dtype, device=heat.device) * 4 + 1.5
        xy = torch.stack([(share.sum(2) * cell).sum(-1), (share.sum(3) * cell).sum(-1)], dim=-1)
        return xy, heat, face


def to_input(pictures: UInt8Image) -> Tensor:
    """Turn uint8 [N, H, W, 3] into the networks' input, float32 [N, 3, H, W] channels last."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return (x.float() - 128) / 64
