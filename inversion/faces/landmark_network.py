"""68 points on an aligned face, on a CPU in milliseconds: iBUG's order, see shape68.py.

A small convolutional network that looks at the whole crop and places each point at the mean of a
heatmap ("Integral Human Pose Regression", Sun et al., 2018, arXiv 1711.08229). Trained by
tools/train_landmarks.py; figures and limits are in weights/LANDMARKS_CARD.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load
from torch import Tensor, nn

from inversion.faces.finder_networks import ConvUnit, ResidualUnit, to_input
from inversion.faces.shape68 import MIRRORED68
from stylegan2.arrays import Float32Array, UInt8Image

INPUT = 128
"""Side of the picture that the network sees, in pixels."""
CELL = 4
"""Pixels of the input that one cell of a heatmap stands for."""


class LandmarkNet(nn.Module):
    """Place 68 points in aligned faces.

    [N, 3, 128, 128], values (uint8 - 128) / 64 -> points [N, 68, 2] xy in pixels of the input (an
    integer is a pixel's centre) and the heatmap logits [N, 68, 32, 32] they are the mean of.
    """

    def __init__(self) -> None:
        super().__init__()
        # The finder's refiner and one more scale, which sees the whole face: training starts there.
        self.to32 = nn.Sequential(
            ConvUnit(3, 24, stride=2), ConvUnit(24, 48, stride=2), ResidualUnit(48)
        )
        self.to16 = nn.Sequential(ConvUnit(48, 72, stride=2), ResidualUnit(72), ResidualUnit(72))
        self.to8 = nn.Sequential(ConvUnit(72, 80, stride=2), ResidualUnit(80))
        self.to4 = nn.Sequential(ConvUnit(80, 128, stride=2), ResidualUnit(128))
        self.up8 = nn.Conv2d(128, 80, 1)
        self.up16 = nn.Conv2d(80, 72, 1)
        self.up32 = nn.Conv2d(72, 48, 1)
        self.fuse = ConvUnit(48, 48)
        self.heat = nn.Conv2d(48, len(MIRRORED68), 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x32 = self.to32(x)
        x16 = self.to16(x32)
        x8 = self.to8(x16)
        x8 = x8 + self.up8(F.interpolate(self.to4(x8), scale_factor=2.0))
        x16 = x16 + self.up16(F.interpolate(x8, scale_factor=2.0))
        x32 = x32 + self.up32(F.interpolate(x16, scale_factor=2.0))
        heat: Tensor = self.heat(self.fuse(x32))
        share = heat.flatten(2).softmax(dim=2).view_as(heat)
        middle = torch.arange(INPUT // CELL, dtype=heat.dtype, device=heat.device) * CELL
        middle = middle + (CELL - 1) / 2
        xy = torch.stack([(share.sum(2) * middle).sum(-1), (share.sum(3) * middle).sum(-1)], dim=-1)
        return xy, heat


@dataclass(frozen=True)
class Landmarker:
    """Places the 68 points; see `load_landmarker`."""

    network: LandmarkNet

    def landmarks68(self, image: UInt8Image) -> Float32Array:
        """Place the points in an aligned face, uint8 RGB [S, S, 3], of any size from 32 on.

        Gives float32 [68, 2], xy in pixels of that crop, the first pixel's centre at (0, 0): the
        mean over the crop and its mirror image. Raises ValueError for another shape or type.
        """
        square = image.ndim == 3 and image.shape[0] == image.shape[1] and image.shape[2] == 3
        if image.dtype != np.uint8 or not square or image.shape[0] < 32:
            raise ValueError(f"expected uint8 [S, S, 3], got {image.dtype} {image.shape}")
        size = image.shape[0]
        seen = image
        if size != INPUT:
            picture = Image.fromarray(np.ascontiguousarray(image))
            how = Image.Resampling.BOX if size % INPUT == 0 else Image.Resampling.BILINEAR
            seen = np.asarray(picture.resize((INPUT, INPUT), how, reducing_gap=3.0))
        both = np.stack([seen, seen[:, ::-1]])
        with torch.inference_mode():
            straight, mirrored = self.network(to_input(both))[0].double().numpy()
        mirrored = mirrored[list(MIRRORED68)] * (-1, 1) + (INPUT - 1, 0)
        points = ((straight + mirrored) / 2 + 0.5) * (size / INPUT) - 0.5
        return np.asarray(points, np.float32)


def landmarker_from(tensors: dict[str, Tensor]) -> Landmarker:
    """Build a landmarker from a network's tensors by name."""
    network = LandmarkNet()
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return Landmarker(network.eval().to(memory_format=torch.channels_last))


@cache
def load_landmarker() -> Landmarker:
    """Build the landmarker from the weights in the package, once."""
    path = resources.files(__package__) / "weights" / "landmarks.safetensors"
    return landmarker_from(load(path.read_bytes()))
