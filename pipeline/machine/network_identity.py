"""Which network a name or a path means: its weights' hash and size, remembered between runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.disk.storage import read_sealed, write_sealed
from pipeline.machine.bench import Bench
from stylegan2.environment import cache_folder
from stylegan2.network_names import split_class, with_class
from stylegan2.sizes import Size
from stylegan2.zoo import is_known_name

INDEX = "networks-2.json"
"""The number goes up with that of conversions, after which a file may have other weights."""


@dataclass(frozen=True)
class NetworkIdentity:
    """A network file: how it was asked for, the hash of its weights, and its pictures' size."""

    name: str
    weights: str
    size: Size


def identify(name: str, bench: Bench) -> NetworkIdentity:
    """Tell which weights a network has, without loading it when its file is a known one.

    A file counts as known by path, size and time of change. A path is made absolute, so that
    the network is found again from another folder. Raises what finding or reading it raises.
    """
    path = bench.network_path(name)
    base, number = split_class(name)
    key = with_class(str(path.resolve()), number)
    if not is_known_name(base):
        name = key
    state = path.stat()
    known = _read_index().get(key)
    if known is None or (known["size"], known["mtime_ns"]) != (state.st_size, state.st_mtime_ns):
        from stylegan2.checkpoint import weights_hash

        generator = bench.generator(name)
        known = {
            "size": state.st_size,
            "mtime_ns": state.st_mtime_ns,
            "weights": weights_hash(generator),
            "resolution": generator.size,
        }
        _remember(key, known, bench)
    return NetworkIdentity(name, known["weights"], known["resolution"])


def _read_index() -> dict[str, Any]:
    try:
        return read_sealed(cache_folder() / INDEX)
    except (OSError, ValueError):
        return {}  # it is only a shortcut, and is written anew


def _remember(key: str, known: dict[str, Any], bench: Bench) -> None:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_sealed(cache_folder() / INDEX, {**_read_index(), key: known})
    except OSError as error:
        bench.notice(f"{cache_folder()} cannot be written ({error.strerror}): loading takes longer")
