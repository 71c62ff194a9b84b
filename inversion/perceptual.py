"""How different two pictures look: LPIPS where its weights are there, else our own network's.

A distance is built once, by `build_perceptual`, and passed to whatever needs one.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inversion.config import OFFLINE_PERCEPTUAL, PERCEPTUAL_CHOICES
from inversion.perceptual_network import PerceptualNetwork, load_network
from inversion.torch_hub import checkpoints_folder
from stylegan2.downloads.known_file import KnownFile, obtain
from stylegan2.downloads.transfer import DownloadFailed, OnProgress

MAX_SIZE = 256
"""Pictures of a longer side are area-averaged to it before comparison, as NVIDIA's projector
does."""


class PerceptualUnavailable(Exception):
    """The weights of the perceptual distance that was asked for cannot be had."""


class PerceptualDistance(nn.Module):
    """A distance between pictures [N, 3, H, W] in [-1, 1]; differentiable in both.

    `features` can be kept for a picture that is compared many times.
    """

    name: str

    def features(self, images: Tensor) -> list[Tensor]:
        """Return feature maps [N, C, h, w]; the distance is the sum of their mean squared gaps."""
        raise NotImplementedError

    def between(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """Return the distance [N] of two lists of features; either may hold one picture for all."""
        gaps = [(x - y).square().sum(dim=1).mean(dim=(1, 2)) for x, y in zip(a, b, strict=True)]
        return torch.stack(gaps).sum(dim=0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance [N] of pictures a and b."""
        return self.between(self.features(a), self.features(b))


def _shrink(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    longer = max(height, width)
    if longer <= MAX_SIZE:
        return images
    size = [max(round(side * MAX_SIZE / longer), 1) for side in (height, width)]
    return F.interpolate(images, size=size, mode="area")


class LpipsDistance(PerceptualDistance):
    """LPIPS (Zhang et al., 2018, arXiv 1801.03924), by the package of its authors."""

    def __init__(self, backbone: str, *, random_backbone: bool = False) -> None:
        super().__init__()
        import lpips

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = lpips.LPIPS(net=backbone, pnet_rand=random_backbone, verbose=False)
        self.name = f"lpips-{backbone}"
        self.model = model.eval().requires_grad_(False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return normalised activations times the root of LPIPS' linear weights."""
        import lpips

        activations = self.model.net(self.model.scaling_layer(_shrink(images)))
        weights = [layer.model[-1].weight for layer in self.model.lins]
        return [
            lpips.normalize_tensor(x) * weight.clamp_min(0).sqrt()
            for x, weight in zip(activations, weights, strict=True)
        ]


class OfflineDistance(PerceptualDistance):
    """The embedded network's distance: nothing to download, small enough for a CPU's every step."""

    name = OFFLINE_PERCEPTUAL

    def __init__(self, network: PerceptualNetwork | None = None) -> None:
        super().__init__()
        self.network = network or load_network()

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the network's weighted features."""
        found: list[Tensor] = self.network(_shrink(images))
        return found


# ---------------------------------------------------------------------------------------------
# Which one


_TORCHVISION = "https://download.pytorch.org/models/"
BACKBONES = {
    "lpips-vgg": KnownFile(
        f"{_TORCHVISION}vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        553,
    ),
    "lpips-alex": KnownFile(
        f"{_TORCHVISION}alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        244,
    ),
    "lpips-squeeze": KnownFile(
        f"{_TORCHVISION}squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        5,
    ),
}
"""The ImageNet networks that LPIPS stands on. Their hashes begin with the digits that torchvision
puts into the files' names."""


def resolve_perceptual(choice: str, on_progress: OnProgress | None = None) -> str:
    """Turn a choice into the distance that will be used: itself, or for "auto" the best there is.

    "auto" is LPIPS on VGG16, as in StyleGAN2's projector; where its weights cannot be had, it is
    the offline distance. Weights that are not there yet are downloaded, which on_progress hears
    of. Raises PerceptualUnavailable when a distance asked for by name cannot be had.
    """
    if choice not in PERCEPTUAL_CHOICES:
        raise ValueError(f"perceptual must be one of {PERCEPTUAL_CHOICES}, got {choice!r}")
    if choice == "offline":
        return choice
    name = "lpips-vgg" if choice == "auto" else choice
    try:
        obtain(BACKBONES[name], checkpoints_folder(), on_progress)
    except DownloadFailed as error:
        if choice == "auto":
            return "offline"
        raise PerceptualUnavailable(
            f"the weights of {name} cannot be had: {error}, or use --perceptual offline"
        ) from error
    return name


def build_perceptual(
    choice: str = "auto",
    device: torch.device | str = "cpu",
    on_progress: OnProgress | None = None,
) -> PerceptualDistance:
    """Build the distance that `resolve_perceptual` settles on."""
    resolved = resolve_perceptual(choice, on_progress)
    distance: PerceptualDistance
    if resolved == "offline":
        distance = OfflineDistance()
    else:
        distance = LpipsDistance(resolved.removeprefix("lpips-"))
    return distance.to(device).eval().requires_grad_(False)
