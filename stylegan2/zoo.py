"""From a network's name, or a path, to its file: in the package, in the cache, or on the way there.

Listed hashes are not the publishers' own, so a mismatch is shown and left to the user; what was
accepted is pinned.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from stylegan2.downloads.transfer import DownloadFailed, OnProgress, fetch, part_of
from stylegan2.embedded import EMBEDDED_NETWORKS, embedded_network
from stylegan2.environment import OFFLINE_VARIABLE, cache_folder, downloads_are_off
from stylegan2.hashing import file_sha256
from stylegan2.known_networks import KNOWN_NETWORKS, KnownNetwork
from stylegan2.whole_file import replacing


class UnknownNetwork(Exception):
    """A name is neither in the list nor a file."""


class HashMismatch(Exception):
    """A file's sha256 differs from the one on record; nothing of it is used."""


def is_known_name(name_or_path: str) -> bool:
    """Tell a known network's name from a path: names win over files of the same name.

    A file called like a network is meant by its path with a folder, "./embedded".
    """
    return embedded_network(name_or_path) is not None or name_or_path in KNOWN_NETWORKS


def is_present(name: str) -> bool:
    """Tell whether a listed network lies in the cache, complete."""
    return _is_complete(_target(KNOWN_NETWORKS[name]), _pins().get(name))


def resolve(
    name_or_path: str, *, accept_hash: bool = False, on_progress: OnProgress | None = None
) -> Path:
    """Return the file of a network: an embedded one, a listed one (downloaded), or a path.

    accept_hash pins the hash of what the address serves, whatever the record says; without a
    record the first download is pinned. Raises UnknownNetwork, DownloadFailed or HashMismatch.
    """
    if (embedded := embedded_network(name_or_path)) is not None:
        return embedded.path
    if not is_known_name(name_or_path):
        path = Path(name_or_path).expanduser()
        if path.exists():
            return path
        names = [*(each.name for each in EMBEDDED_NETWORKS), *KNOWN_NETWORKS]
        close = difflib.get_close_matches(name_or_path, names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "see: realdrag models list"
        raise UnknownNetwork(f"{name_or_path!r} is neither a file nor a known network; {hint}")
    network = KNOWN_NETWORKS[name_or_path]
    target = _target(network)
    if _is_complete(target, _pins().get(network.name)):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            _obtain(network, target, accept_hash, on_progress)
    except OSError as error:
        raise DownloadFailed(f"{target.parent} cannot be written: {error}") from error
    return target


def _target(network: KnownNetwork) -> Path:
    return cache_folder() / "networks" / f"{network.name}.pkl"


def _obtain(
    network: KnownNetwork, target: Path, accept_hash: bool, on_progress: OnProgress | None
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
    if downloads_are_off():
        raise DownloadFailed(
            f"{network.name} is not in {target.parent}, and downloads are off (offline mode): "
            f"unset {OFFLINE_VARIABLE}, put the file there as {target.name}, or give a path"
        )
    digest = fetch(
        network.url,
        target,
        expected=_expected(network),
        otherwise="or fetch the file by other means and give its path",
        on_progress=on_progress,
    )
    _accept(network, part_of(target), digest, target, accept_hash)
    rejected.unlink(missing_ok=True)


def _accept(
    network: KnownNetwork, file: Path, digest: str, target: Path, accept_hash: bool
) -> None:
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


def _expected(network: KnownNetwork) -> str | None:
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


def _pin(network: KnownNetwork, digest: str, size: int) -> None:
    path = cache_folder() / "pins.json"
    with FileLock(path.with_name("pins.json.lock")):
        pins = {name: vars(pin) for name, pin in _pins().items()}
        pins[network.name] = {"sha256": digest, "size": size, "url": network.url}
        with replacing(path) as partial:
            partial.write_text(json.dumps(pins, indent=1), encoding="utf-8")


def _is_complete(target: Path, pin: _Pin | None) -> bool:
    return pin is not None and target.is_file() and target.stat().st_size == pin.size
