"""Any generator file of the field -> our Generator, without running any code of the file.

The kind of file is told by its first bytes, sizes by its weights; names are never consulted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError

from stylegan2.checkpoint import (
    WeightsInvalid,
    build_generator,
    load_generator,
    read_safetensors,
    save_generator,
    weights_hash,
)
from stylegan2.formats.classes import ClassNeeded, for_class
from stylegan2.formats.find import find_generator
from stylegan2.formats.layouts import ForeignWeights, UnsupportedNetwork
from stylegan2.formats.stored import UnsafeCheckpoint
from stylegan2.formats.torch_files import check_regular, load_objects, map_file
from stylegan2.generator import Generator
from stylegan2.hashing import file_sha256
from stylegan2.latents import w_statistics

__all__ = [
    "UnsafeCheckpoint",
    "UnsupportedNetwork",
    "WeightsInvalid",
    "load_network",
    "read_foreign",
]

CONVERSION_VERSION = 2
"""Part of the names of kept conversions; raise it when a conversion's result changes."""

MAX_SAFETENSORS_HEADER = 100_000_000
"""The limit of the safetensors format."""

OnNotice = Callable[[str], None]

_SAFETENSORS = "safetensors"
_PICKLE = "pickle"


def load_network(
    path: Path,
    device: torch.device | str = "cpu",
    *,
    cache: Path | None = None,
    on_notice: OnNotice | None = None,
    number: int | None = None,
) -> Generator:
    """Read a generator from any supported file, ours included.

    number is the class that is wanted of a class-conditional one.

    With a cache folder, a foreign file is kept there as safetensors, under the sha256 of its
    bytes, and parsed only once. on_notice hears what had to be assumed or could not be kept.
    Raises UnsafeCheckpoint, UnsupportedNetwork or WeightsInvalid, all naming the file; nothing is
    written then.
    """
    path = Path(path)
    if _kind(path) == _SAFETENSORS:
        return _load_safetensors(path, on_notice, number).to(device)
    version = CONVERSION_VERSION if number is None else f"{CONVERSION_VERSION}.{number}"
    prefix = "" if cache is None else f"{file_sha256(path)}-{version}-"
    if cache is not None:
        kept = _load_kept(cache, prefix, on_notice)
        if kept is not None:
            return kept.to(device)
    foreign = read_foreign(path)
    generator = _build(path, foreign, on_notice, number)
    if cache is not None:
        kept_path = cache / f"{prefix}{_short_hash(generator)}.safetensors"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            save_generator(generator, kept_path, {"name": path.name, "layout": foreign.layout})
        except (OSError, SafetensorError) as error:
            _tell(on_notice, f"the converted network could not be kept in {cache}: {error}")
    return generator.to(device)


def read_foreign(path: Path) -> ForeignWeights:
    """Read the tensors of a foreign file under NVIDIA's names. Raises as `load_network` does."""
    if _kind(path) == _SAFETENSORS:
        raise ValueError(f"{path} is a safetensors file")
    data = map_file(path)
    try:
        return find_generator(load_objects(data), limit=len(data))
    except (UnsafeCheckpoint, UnsupportedNetwork, WeightsInvalid) as error:
        raise type(error)(f"{path}: {error}") from error


def _load_kept(cache: Path, prefix: str, on_notice: OnNotice | None) -> Generator | None:
    """Load an earlier conversion; its name ends with the hash of the weights it must hold."""
    for path in sorted(cache.glob(f"{prefix}*.safetensors")):
        try:
            generator = load_generator(path)
        except WeightsInvalid as error:
            _tell(on_notice, f"{error}; converting again")
            continue
        if path.stem == f"{prefix}{_short_hash(generator)}":
            return generator
        _tell(on_notice, f"{path} was changed after it was written; converting again")
    return None


def _short_hash(generator: Generator) -> str:
    return weights_hash(generator)[:16]


def _load_safetensors(path: Path, on_notice: OnNotice | None, number: int | None) -> Generator:
    """Load our own layout, or another one that somebody has stored as safetensors."""
    tensors, clamp = read_safetensors(path)
    try:
        foreign = find_generator(tensors, limit=path.stat().st_size)
    except (UnsupportedNetwork, WeightsInvalid) as error:
        raise type(error)(f"{path}: {error}") from error
    return _build(path, dataclasses.replace(foreign, conv_clamp=clamp), on_notice, number)


def _build(
    path: Path, foreign: ForeignWeights, on_notice: OnNotice | None, number: int | None
) -> Generator:
    for notice in foreign.notices:
        _tell(on_notice, f"{path.name}: {notice}")
    try:
        tensors = for_class(foreign.tensors, number)
        generator = build_generator(tensors, foreign.conv_clamp)
    except ClassNeeded as error:
        raise ClassNeeded(f"{path}: {error}", error.count) from error
    except (WeightsInvalid, UnsupportedNetwork) as error:
        raise type(error)(f"{path}: {error}") from error
    if generator.config.img_channels != 3:
        raise UnsupportedNetwork(
            f"{path}: the network makes pictures of {generator.config.img_channels} channels; "
            "realdrag needs RGB"
        )
    if foreign.w_avg_missing or number is not None:  # the file's is the mean over all classes
        generator.mapping.w_avg.copy_(w_statistics(generator).mean)
    return generator


def _kind(path: Path) -> str:
    """Tell safetensors from pickles (in any container); refuse everything else by name."""
    if path.is_dir():
        raise UnsupportedNetwork(f"{path} is a folder; give the network file in it")
    check_regular(path)
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise WeightsInvalid(f"{path} does not exist") from None
    except OSError as error:
        raise WeightsInvalid(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise WeightsInvalid(f"{path} is empty; get the file again")
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_SAFETENSORS_HEADER:
        return _SAFETENSORS
    if re.match(rb"\x80[\x02-\x05]|PK\x03\x04", head):
        return _PICKLE
    for pattern, what in _OTHER_FILES.items():
        if re.match(pattern, head, re.IGNORECASE):
            raise UnsupportedNetwork(f"{path} is {what}, not a network")
    if re.match(rb"c[\w.]+\n[\w.]+\n|[]})(]", head):  # a pickle of the oldest protocols
        return _PICKLE
    raise UnsupportedNetwork(f"{path} is not a network file of any kind that realdrag knows")


_OTHER_FILES = {
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM": "a picture",
    rb"\s*<": "a web page (a download that needed a login, or a wrong address)",
    rb"version https://git-lfs": "a Git LFS pointer (fetch the file itself with git lfs pull)",
    rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!": "a compressed archive (unpack it first)",
}


def _tell(on_notice: OnNotice | None, notice: str) -> None:
    if on_notice is not None:
        on_notice(notice)
