"""The networks that are known by name: where they are, and what they are.

Addresses are the publishers' own. Hashes were taken from a model hub, not from the publishers.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownNetwork:
    """One downloadable generator. size_mb is approximate; sha256 None means not on record."""

    name: str
    title: str
    url: str
    resolution: int
    licence: str
    size_mb: int = 370
    sha256: str | None = None


_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
_TENSORFLOW = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/"
_SELF_DISTILLED = "https://storage.googleapis.com/self-distilled-stylegan/"
_NON_COMMERCIAL = "NVIDIA, non-commercial"


def _ngc(data: str, resolution: int, title: str, sha256: str | None = None) -> KnownNetwork:
    url = f"{_NGC}stylegan2-{data}-{resolution}x{resolution}.pkl"
    return KnownNetwork(
        f"{data}-{resolution}", title, url, resolution, _NON_COMMERCIAL, sha256=sha256
    )


def _ada(data: str, resolution: int, title: str, sha256: str | None = None) -> KnownNetwork:
    name = f"{data}-{resolution}-ada"
    url = f"{_ADA}{data}.pkl"
    return KnownNetwork(name, title, url, resolution, _NON_COMMERCIAL, sha256=sha256)


def _tensorflow(data: str, name: str, resolution: int, title: str, sha256: str) -> KnownNetwork:
    url = f"{_TENSORFLOW}stylegan2-{data}-config-f.pkl"
    return KnownNetwork(name, title, url, resolution, _NON_COMMERCIAL, sha256=sha256)


def _distilled(data: str, resolution: int, title: str, sha256: str | None = None) -> KnownNetwork:
    url = f"{_SELF_DISTILLED}{data}_{resolution}_pytorch.pkl"
    return KnownNetwork(f"{data}-{resolution}", title, url, resolution, "CC-BY-4.0", sha256=sha256)


KNOWN_NETWORKS: dict[str, KnownNetwork] = {
    network.name: network
    for network in (
        _ngc("ffhq", 1024, "Faces (FFHQ)"),
        _ngc(
            "ffhq", 512, "Faces (FFHQ)",
            "d2b1c92f41ce8a64c55f7a75ef06c4c0eef9e17b1eb29aae8c10fb37b3e60478",
        ),
        _ngc("ffhq", 256, "Faces (FFHQ)"),
        _ngc("metfaces", 1024, "Painted faces (MetFaces)"),
        _ngc(
            "afhqcat", 512, "Cats (AFHQ)",
            "17a83abee464242f8bb40dc6363d33c2fb087066b68fc0147677fdbf21f7a7a9",
        ),
        _ngc("afhqdog", 512, "Dogs (AFHQ)"),
        _ngc("afhqwild", 512, "Wild animals (AFHQ)"),
        _ngc("afhqv2", 512, "Animal faces (AFHQ v2)"),
        _ngc("celebahq", 256, "Faces (CelebA-HQ)"),
        _ngc("lsundog", 256, "Dogs (LSUN)"),
        _ada(
            "ffhq", 1024, "Faces (FFHQ), StyleGAN2-ADA",
            "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c",
        ),
        _ada(
            "metfaces", 1024, "Painted faces (MetFaces), StyleGAN2-ADA",
            "880a460d011a3696c088f58f5844b44271b17903963f2671f96f72dfbce5f76f",
        ),
        _ada("afhqcat", 512, "Cats (AFHQ), StyleGAN2-ADA"),
        _ada(
            "afhqdog", 512, "Dogs (AFHQ), StyleGAN2-ADA",
            "f124ff3f23206052473a7212cbc1f4e095a73c231500411e9c3b81a11eac3662",
        ),
        _ada("afhqwild", 512, "Wild animals (AFHQ), StyleGAN2-ADA"),
        _tensorflow(
            "ffhq", "ffhq-1024-tf", 1024, "Faces (FFHQ), the original release",
            "adf127ea7bb8a7788c8bdeda3c9937f7310b669b09ecf799ca53a631ff46948d",
        ),
        _tensorflow(
            "car", "car-512", 512, "Cars (LSUN), 512 x 384 within the square",
            "e1618eee2b3ce87c4a3849442f7850ef12a478556bff035c8e09ee7e23b3794c",
        ),
        _tensorflow(
            "cat", "cat-256", 256, "Cats (LSUN)",
            "08940fd616cfaf6bc7b0286b5d1a0b3f70febb26e136d64716c8d3f5e9bd3883",
        ),
        _tensorflow(
            "church", "church-256", 256, "Churches (LSUN)",
            "4090c5f83b44b83475c84864188aa39a0fb72694492302b7e6af36aad0d18104",
        ),
        _tensorflow(
            "horse", "horse-256", 256, "Horses (LSUN)",
            "cbc73372c7d82d095913ca8b4b9f170560777175bd7c3b8a75dd55d70807f32b",
        ),
        _distilled(
            "dogs", 1024, "Dogs, self-distilled from the web",
            "c9e93090d02916165a602c728c0e37458fc0c58fbc58e4d75bcd096bb81c7e8c",
        ),
        _distilled(
            "elephants", 512, "Elephants, self-distilled from the web",
            "56504894f6d7121959af78a74148cf1e9d858e3710312efb11c41dbf27684363",
        ),
        _distilled(
            "lions", 512, "Lions, self-distilled from the web",
            "0a01ff8344521171b1a2eff1e9a51c1acbc48221bdc2594919187f66a3942bcc",
        ),
        _distilled("giraffes", 512, "Giraffes, self-distilled from the web"),
        _distilled("parrots", 512, "Parrots, self-distilled from the web"),
        _distilled("horses", 256, "Horses, self-distilled from the web"),
        _distilled("bicycles", 256, "Bicycles, self-distilled from the web"),
    )
}  # fmt: skip
