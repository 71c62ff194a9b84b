"""The network behind the offline perceptual distance: features of a picture at five sizes.

Trained by tools/train_perceptual.py; figures and limits are in weights/PERCEPTUAL_CARD.md.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from stylegan2.checkpoint import WeightsInvalid

CHANNELS = (16, 32, 64, 96, 128)
"""Widths, from the picture's own size to a sixteenth of it."""

COLOUR_LEVELS = 3
COLOUR_WEIGHT = 0.1
"""Blurred colours count, too, at a half to an eighth of the size: features of unit length leave a
face's light and complexion too free for a picture that is made by descending on them."""

NORM_EPSILON = 1e-2
"""Squared length that weak features are compared with: less is indistinct, not magnified."""


class PerceptualNetwork(nn.Module):
    """Pictures [N, 3, H, W] in [-1, 1] -> feature maps; squared gaps are the distance.

    As in LPIPS (arXiv 1801.03924, equation 1), features have unit length at every position and
    each channel its own weight. Unlike the networks of LPIPS this one halves by averaging and has
    a smooth activation, because pictures are made by descending on it. After the maps of
    `channels` come blurred colours.
    """

    opponent: Tensor

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        width = 3
        for depth, out in enumerate(channels):
            first = nn.Conv2d(width, out, 3, padding=1)
            second = [nn.Conv2d(out, out, 3, padding=1)] if depth > 1 else []
            self.convs.append(nn.ModuleList([first, *second]))
            width = out
        self.weights = nn.ParameterList([torch.zeros(out) for out in channels])
        rows = [[0.299, 0.587, 0.114], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]]
        opponent = COLOUR_WEIGHT**0.5 * torch.tensor(rows)[:, :, None, None]
        self.register_buffer("opponent", opponent, persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = images.contiguous(memory_format=torch.channels_last)
        found = []
        for depth, (stage, weight) in enumerate(zip(self.convs, self.weights, strict=True)):
            if depth:
                x = _halved(x)
            assert isinstance(stage, nn.ModuleList)
            for conv in stage:
                x = F.silu(conv(x))
            length = x.square().sum(dim=1, keepdim=True) + NORM_EPSILON
            found.append(x * length.rsqrt() * (0.5 * weight).exp()[:, None, None])
        colours = F.conv2d(images, self.opponent)
        for _ in range(COLOUR_LEVELS):
            colours = _halved(colours)
            found.append(colours)
        return found


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2) if min(x.shape[2:]) > 1 else x


def network_path() -> Path:
    """Return where the embedded weights lie."""
    return Path(__file__).parent / "weights" / "perceptual.safetensors"


def load_network(path: Path | None = None) -> PerceptualNetwork:
    """Build the network from its embedded weights, or from another file of the same kind.

    Raises WeightsInvalid.
    """
    path = path or network_path()
    network = PerceptualNetwork()
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
        network.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise WeightsInvalid(
            f"{path} does not hold the perceptual distance ({error}); install realdrag again"
        ) from error
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise WeightsInvalid(f"{path} holds values that are not finite; install realdrag again")
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
