"""How different two pictures look: LPIPS where its weights are there, else our own network's.

A distance is built once, by `build_perceptual`, and passed to whatever needs one.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inversion.config import OFFLINE_PERCEPTUAL, PERCEPTUAL_CHOICES
from inversion.perceptual_network import PerceptualNetwork, load_network

MAX_SIZE = 256
"""Larger pictures are area-averaged to this before comparison, as NVIDIA's projector does."""

CONNECT_SECONDS = 4.0


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
    size = images.shape[-1]
    return (
        images
        if size <= MAX_SIZE
        else F.interpolate(images, size=(MAX_SIZE, MAX_SIZE), mode="area")
    )


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


@dataclass(frozen=True)
class Backbone:
    """Where torchvision keeps the weights that LPIPS stands on; the hash is in the file's name."""

    url: str
    hash_prefix: str
    megabytes: int

    @property
    def path(self) -> Path:
        """Return where torch.hub looks for the file."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rsplit("/", 1)[-1]


BACKBONES = {
    "vgg": Backbone("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af", 553),
    "alex": Backbone(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79", 244
    ),
}

_unreachable: set[str] = set()


def fetch_backbone(backbone: Backbone, *, offline: bool = False) -> None:
    """Make sure a backbone's weights are on disk, downloading them when they can be had.

    Raises PerceptualUnavailable without network, when offline, or when the download is damaged.
    An address that did not answer is not tried again by this process.
    """
    if backbone.path.exists():
        return
    if offline or os.environ.get("REALDRAG_OFFLINE") == "1":
        raise PerceptualUnavailable(f"{backbone.path} is not there, and downloads are switched off")
    advice = f"download {backbone.url} to {backbone.path}, or use --perceptual offline"
    if backbone.url in _unreachable:
        raise PerceptualUnavailable(f"{backbone.url} cannot be reached; {advice}")
    try:
        request = urllib.request.Request(backbone.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=CONNECT_SECONDS):
            pass
        backbone.path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            backbone.url, str(backbone.path), hash_prefix=backbone.hash_prefix, progress=False
        )
    except (OSError, RuntimeError) as error:
        _unreachable.add(backbone.url)
        raise PerceptualUnavailable(f"{backbone.url} cannot be had ({error}); {advice}") from error


def resolve_perceptual(choice: str, *, offline: bool = False) -> str:
    """Turn a choice into the distance that will be used: itself, or for "auto" the best there is.

    "auto" is LPIPS on VGG16, as in StyleGAN2's projector; where its weights cannot be had, it is
    the offline distance. Raises PerceptualUnavailable when a distance asked for by name cannot
    be had.
    """
    if choice not in PERCEPTUAL_CHOICES:
        raise ValueError(f"perceptual must be one of {PERCEPTUAL_CHOICES}, got {choice!r}")
    if choice == "offline":
        return choice
    try:
        fetch_backbone(BACKBONES["alex" if choice == "lpips-alex" else "vgg"], offline=offline)
    except PerceptualUnavailable:
        if choice != "auto":
            raise
        return "offline"
    return "lpips-vgg" if choice == "auto" else choice


def build_perceptual(
    choice: str = "auto", device: torch.device | str = "cpu"
) -> PerceptualDistance:
    """Build the distance that `resolve_perceptual` settles on."""
    resolved = resolve_perceptual(choice)
    distance: PerceptualDistance
    if resolved == "offline":
        distance = OfflineDistance()
    else:
        distance = LpipsDistance(resolved.removeprefix("lpips-"))
    return distance.to(device).eval().requires_grad_(False)
