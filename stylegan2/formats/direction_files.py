"""Files of directions: ours, and those that the field passes around. No pickle is written.

Ours is safetensors: a tensor for each name, and in the header layers, ranges, the network, and
for directions of styles their space.
Others hold no lengths that mean anything, so a direction gets that of w along it:
InterfaceGAN's boundaries are .npy [1, w_dim]; the style directions of e4e and PTI (age.pt,
smile.pt) one tensor [1, w_dim]; GANSpace's components as e4e keeps them (ffhq_pca.pt) a dictionary
of comp [n, 1, w_dim], mean and std [n]; other dictionaries one tensor a name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stylegan2.checkpoint import WeightsInvalid
from stylegan2.directions import UNIT, Direction, DirectionsInvalid, as_long_as_w, typical_w
from stylegan2.formats.loose_tensors import ALONE, read_loose
from stylegan2.formats.stored import UnsafeCheckpoint
from stylegan2.formats.torch_files import check_regular
from stylegan2.generator import Generator
from stylegan2.style_space import style_sizes
from stylegan2.whole_file import replacing

FORMAT = "realdrag-directions"
VERSION = 1

MAX_BYTES = 64 << 20
"""Far above 512 components for each of 18 layers (19 MB)."""


@dataclass(frozen=True)
class DirectionFile:
    """What a file holds: ways by name, before they are fitted to a generator.

    facts has layers, low, high and about for each of them in a file of ours, and is empty in
    others; network is the hash of the generator's weights there. stds [n] are GANSpace's.
    """

    path: Path
    ways: Mapping[str, Tensor]
    facts: Mapping[str, Mapping[str, Any]]
    network: str | None = None
    stds: Mapping[str, float] | None = None

    def for_generator(self, generator: Generator) -> dict[str, Direction]:
        """Return the directions by name. Raises DirectionsInvalid where they fit another one."""
        w = None if self.facts or self.stds else typical_w(generator)
        found = {}
        for name, stored in self.ways.items():
            styles = self.facts.get(name, {}).get("space") == "styles"
            way = self._way(name, stored, generator, styles)
            layers = 0, generator.num_ws
            if self.facts:
                found[name] = _from_facts(self.path, name, way, self.facts[name], generator)
            elif self.stds is not None:
                length = UNIT * self.stds[name] / float(way.norm())
                about = f"component {name.removeprefix('pc')} of GANSpace"
                found[name] = Direction(name, way * length, layers, about=about)
            else:
                assert w is not None
                found[name] = Direction(name, as_long_as_w(way, w), layers, about=self.path.name)
        return found

    def _way(self, name: str, stored: Tensor, generator: Generator, styles: bool) -> Tensor:
        way = stored.float().squeeze()
        num_ws, w_dim = generator.num_ws, generator.w_dim
        count = sum(style_sizes(generator))
        if styles and tuple(way.shape) != (count,):
            raise DirectionsInvalid(
                f"{self.path}: {name} moves {list(stored.shape)} styles; this generator has "
                f"{count}. Is it for another network?"
            )
        if not styles and tuple(way.shape) not in ((w_dim,), (num_ws, w_dim)):
            raise DirectionsInvalid(
                f"{self.path}: {name or 'its tensor'} has the shape {list(stored.shape)}; this "
                f"generator takes [{w_dim}] or [{num_ws}, {w_dim}]. Is it for another network?"
            )
        if not way.isfinite().all() or not way.any():
            raise DirectionsInvalid(f"{self.path}: {name} is nothing but zeros, or not finite")
        return way


def read_directions(path: Path) -> DirectionFile:
    """Read a file of directions, told by content; nothing of it is executed.

    Raises DirectionsInvalid, and UnsafeCheckpoint for a file that asks for more than tensors.
    """
    try:
        check_regular(path)
        with path.open("rb") as file:
            head = file.read(9)
        if head[8:9] == b"{":
            return _read_safetensors(path)
        return _named(path, read_loose(path, MAX_BYTES))
    except OSError as error:
        raise DirectionsInvalid(f"{path} cannot be read ({error.strerror or error})") from error
    except (WeightsInvalid, SafetensorError) as error:
        raise DirectionsInvalid(f"{path} holds no directions: {error}") from error
    except UnsafeCheckpoint as error:
        raise UnsafeCheckpoint(f"{path}: {error}") from error


def write_directions(path: Path, directions: Sequence[Direction], network: str) -> None:
    """Write directions of the generator with this weights hash."""
    facts = {
        each.name: {
            "layers": list(each.layers), "low": each.low, "high": each.high, "about": each.about,
            **({} if each.space == "w" else {"space": each.space}),
        }
        for each in directions
    }  # fmt: skip
    header = {
        "format": FORMAT, "version": str(VERSION), "network": network, "facts": json.dumps(facts)
    }  # fmt: skip
    tensors = {each.name: each.way.float().contiguous() for each in directions}
    with replacing(path) as partial:
        partial.write_bytes(save(tensors, metadata=header))


def _read_safetensors(path: Path) -> DirectionFile:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if header.get("format") != FORMAT:
        return _named(path, tensors)
    if header.get("version") != str(VERSION):
        raise DirectionsInvalid(f"{path} was written by another version of realdrag: fit it again")
    try:
        facts = json.loads(header["facts"])
    except (KeyError, ValueError) as error:
        raise DirectionsInvalid(f"{path} has a damaged header ({error})") from None
    if not isinstance(facts, dict) or facts.keys() != tensors.keys():
        raise DirectionsInvalid(f"{path} has a header that does not fit its tensors")
    ordered = {name: tensors[name] for name in facts}
    return DirectionFile(path, ordered, facts, header.get("network"))


def _from_facts(
    path: Path, name: str, way: Tensor, facts: Mapping[str, Any], generator: Generator
) -> Direction:
    try:
        first, end = (int(layer) for layer in facts["layers"])
        low, high = float(facts["low"]), float(facts["high"])
        about = str(facts["about"])
        space = facts.get("space", "w")
    except (KeyError, ValueError, TypeError) as error:
        raise DirectionsInvalid(f"{path} has a damaged header for {name} ({error})") from None
    if not 0 <= first < end <= generator.num_ws or not low <= 0 <= high or not way.isfinite().all():
        raise DirectionsInvalid(f"{path}: {name} has layers or a range that cannot be")
    if space not in ("w", "styles"):
        raise DirectionsInvalid(f"{path}: {name} is in the space {space!r}, which is not known")
    return Direction(name, way, (first, end), low, high, about, space)


def _named(path: Path, tensors: Mapping[str, Tensor]) -> DirectionFile:
    """Give names to the ways of a file that is not ours."""
    if "comp" in tensors and "std" in tensors:
        components, stds = tensors["comp"], tensors["std"].flatten().tolist()
        if len(components) != len(stds):
            raise DirectionsInvalid(f"{path} has {len(components)} components, {len(stds)} lengths")
        ways = {f"pc{i}": each for i, each in enumerate(components)}
        return DirectionFile(path, ways, {}, stds=dict(zip(ways, stds, strict=True)))
    ways = {}
    for name, each in tensors.items():
        if each.numel() and torch.is_floating_point(each):
            ways[path.stem if name == ALONE else name] = each
    if not ways:
        raise DirectionsInvalid(f"{path} holds no directions: it has no numbers")
    return DirectionFile(path, ways, {})
