"""Known networks: where they are, what they are, and how they come into the cache.

Addresses are the publishers' own. Listed hashes were taken from a model hub, not from the
publishers, so a mismatch is shown and left to the user; what was accepted is pinned.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from stylegan2.download import DownloadFailed, OnProgress, fetch
from stylegan2.embedded import EMBEDDED_NETWORKS, embedded_network
from stylegan2.hashing import file_sha256

__all__ = [
    "NETWORKS",
    "DownloadFailed",
    "HashMismatch",
    "Network",
    "UnknownNetwork",
    "cache_folder",
    "is_present",
    "resolve",
]


class UnknownNetwork(Exception):
    """A name is neither in the list nor a file."""


class HashMismatch(Exception):
    """A file's sha256 differs from the one on record; nothing of it is used."""


@dataclass(frozen=True)
class Network:
    """One downloadable generator. size_mb is approximate; sha256 None means not on record."""

    name: str
    title: str
    url: str
    resolution: int
    licence: str
    size_mb: int = 370
    sha256: str | None = None


def cache_folder() -> Path:
    """Return the folder for downloads: REALDRAG_HOME, or ~/.cache/realdrag."""
    home = os.environ.get("REALDRAG_HOME")
    return Path(home).expanduser() if home else Path.home() / ".cache" / "realdrag"


def is_present(name: str) -> bool:
    """Tell whether a listed network lies in the cache, complete."""
    return _is_complete(_target(NETWORKS[name]), _pins().get(name))


def resolve(
    name_or_path: str,
    *,
    offline: bool = False,
    accept_hash: bool = False,
    on_progress: OnProgress | None = None,
) -> Path:
    """Return the file of a network: an embedded one, a listed one (downloaded), or a path.

    offline, or REALDRAG_OFFLINE=1, forbids downloads. accept_hash pins the hash of what the
    address serves, whatever the record says; without a record the first download is pinned.
    Raises UnknownNetwork, DownloadFailed or HashMismatch.
    """
    if (embedded := embedded_network(name_or_path)) is not None:
        return embedded.path
    network = NETWORKS.get(name_or_path)
    if network is None:
        path = Path(name_or_path).expanduser()
        if path.exists():
            return path
        close = difflib.get_close_matches(
            name_or_path, [*(each.name for each in EMBEDDED_NETWORKS), *NETWORKS], n=3
        )
        hint = f"did you mean {' or '.join(close)}?" if close else "see: realdrag models list"
        raise UnknownNetwork(f"{name_or_path!r} is neither a file nor a known network; {hint}")
    target = _target(network)
    if _is_complete(target, _pins().get(network.name)):
        return target
    offline = offline or os.environ.get("REALDRAG_OFFLINE", "") not in ("", "0")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            _obtain(network, target, offline, accept_hash, on_progress)
    except OSError as error:
        raise DownloadFailed(f"{target.parent} cannot be written: {error}") from error
    return target


def _target(network: Network) -> Path:
    return cache_folder() / "networks" / f"{network.name}.pkl"


def _obtain(
    network: Network, target: Path, offline: bool, accept_hash: bool, on_progress: OnProgress | None
) -> None:
    """Bring the file to target: another process's, one put there by hand, or a download."""
    pin = _pins().get(network.name)
    if _is_complete(target, pin):
        return
    if pin is not None and target.is_file():
        target.unlink()  # was verified once and has another size now
    rejected = target.with_name(f"{target.name}.rejected")
    for candidate in (target, *([rejected] if accept_hash else [])):
        if candidate.is_file():
            _accept(network, candidate, file_sha256(candidate), target, accept_hash)
            return
    if offline:
        raise DownloadFailed(
            f"{network.name} is not in {target.parent}, and downloads are off (offline mode); "
            f"put the file there as {target.name}, or give a path"
        )
    part = target.with_name(f"{target.name}.part")
    expected = _expected(network)
    resumed = part.is_file()
    digest = fetch(network.url, part, resume_unmarked=expected is not None, on_progress=on_progress)
    if resumed and expected is not None and digest != expected:
        part.unlink()  # the beginning may have been of another version
        digest = fetch(network.url, part, resume_unmarked=False, on_progress=on_progress)
    _accept(network, part, digest, target, accept_hash)
    rejected.unlink(missing_ok=True)


def _accept(network: Network, file: Path, digest: str, target: Path, accept_hash: bool) -> None:
    """Pin the hash and move file to target; or set it aside and raise HashMismatch."""
    expected = _expected(network)
    if expected not in (None, digest) and not accept_hash:
        rejected = target.with_name(f"{target.name}.rejected")
        os.replace(file, rejected)
        source = "was pinned" if network.name in _pins() else "is listed (from a model hub)"
        raise HashMismatch(
            f"{network.name}: the file from {network.url} has sha256 {digest}, but {expected} "
            f"{source}. If you trust the file, run again with --accept-hash; it is kept as "
            f"{rejected} and not used until then"
        )
    _pin(network, digest, file.stat().st_size)
    os.replace(file, target)


def _expected(network: Network) -> str | None:
    pin = _pins().get(network.name)
    return network.sha256 if pin is None else pin.sha256


# ---------------------------------------------------------------------------------------------
# Pins: what was downloaded and accepted


@dataclass(frozen=True)
class _Pin:
    sha256: str
    size: int


def _pins() -> dict[str, _Pin]:
    """Read the pins; a damaged file counts as none, so that the next download is checked anew."""
    try:
        entries = json.loads((cache_folder() / "pins.json").read_text(encoding="utf-8"))
        return {name: _Pin(str(e["sha256"]), int(e["size"])) for name, e in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _pin(network: Network, digest: str, size: int) -> None:
    path = cache_folder() / "pins.json"
    with FileLock(path.with_name("pins.json.lock")):
        pins = {name: vars(pin) for name, pin in _pins().items()}
        pins[network.name] = {"sha256": digest, "size": size, "url": network.url}
        partial = path.with_name(f"pins.json.{os.getpid()}.part")
        partial.write_text(json.dumps(pins, indent=1), encoding="utf-8")
        os.replace(partial, path)


def _is_complete(target: Path, pin: _Pin | None) -> bool:
    return pin is not None and target.is_file() and target.stat().st_size == pin.size


# ---------------------------------------------------------------------------------------------
# The list

_NGC = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
_TENSORFLOW = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/"
_SELF_DISTILLED = "https://storage.googleapis.com/self-distilled-stylegan/"
_NON_COMMERCIAL = "NVIDIA, non-commercial"


def _ngc(data: str, resolution: int, title: str, sha256: str | None = None) -> Network:
    url = f"{_NGC}stylegan2-{data}-{resolution}x{resolution}.pkl"
    return Network(f"{data}-{resolution}", title, url, resolution, _NON_COMMERCIAL, sha256=sha256)


def _ada(data: str, resolution: int, title: str, sha256: str | None = None) -> Network:
    name = f"{data}-{resolution}-ada"
    url = f"{_ADA}{data}.pkl"
    return Network(name, title, url, resolution, _NON_COMMERCIAL, sha256=sha256)


def _tensorflow(data: str, name: str, resolution: int, title: str, sha256: str) -> Network:
    url = f"{_TENSORFLOW}stylegan2-{data}-config-f.pkl"
    return Network(name, title, url, resolution, _NON_COMMERCIAL, sha256=sha256)


def _distilled(data: str, resolution: int, title: str, sha256: str | None = None) -> Network:
    url = f"{_SELF_DISTILLED}{data}_{resolution}_pytorch.pkl"
    return Network(f"{data}-{resolution}", title, url, resolution, "CC-BY-4.0", sha256=sha256)


NETWORKS: dict[str, Network] = {
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
