"""The networks that a page may choose from: a list that the studio makes, never a path from a page.

Whoever reaches the page can so have nothing read but what lies in the studio's own folder, what was
downloaded, and what the person named who started the studio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.studio.desk import Desk
from stylegan2.embedded import EMBEDDED_NETWORKS
from stylegan2.known_networks import KNOWN_NETWORKS
from stylegan2.network_names import split_class
from stylegan2.zoo import UnknownNetwork, is_known_name, is_present

SUFFIXES = (".safetensors", ".pkl", ".pt")
"""Of files that may hold a network; whether one does is seen when it is read."""

Kind = Literal["embedded", "known", "file"]


@dataclass(frozen=True)
class ListedNetwork:
    """A network as the page shows it; recipe_name is how a recipe names it.

    resolution is None and licence empty where only the file would tell.
    """

    id: str
    recipe_name: str
    kind: Kind
    title: str
    resolution: int | None = None
    licence: str = ""

    def to_json(self) -> dict[str, object]:
        """Describe it for a page, which is not told where it lies."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "resolution": self.resolution,
            "licence": self.licence,
        }


def network_id(recipe_name: str) -> str:
    """Return what a page calls a network: its name, or its file's without the folder."""
    base, _ = split_class(recipe_name)
    return recipe_name if is_known_name(base) else Path(recipe_name).name


def listed_networks(desk: Desk) -> Mapping[str, ListedNetwork]:
    """List what may be chosen by its id: the studio's own network first.

    Of two files of one name the studio's own is meant.
    """
    listed = [_described(desk.network)]
    listed += [_described(each.name) for each in EMBEDDED_NETWORKS]
    listed += [_described(name) for name in KNOWN_NETWORKS if is_present(name)]
    listed += [
        _described(str(path.resolve()))
        for path in sorted(desk.root.iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    found: dict[str, ListedNetwork] = {}
    for each in listed:
        found.setdefault(each.id, each)
    return found


def listed_network(desk: Desk, wanted: str) -> ListedNetwork:
    """Return the network of that id. Raises UnknownNetwork."""
    found = listed_networks(desk).get(wanted)
    if found is None:
        raise UnknownNetwork(f"there is no network {wanted!r} to choose here: take one of the list")
    return found


def _described(recipe_name: str) -> ListedNetwork:
    base, _ = split_class(recipe_name)
    shown = network_id(recipe_name)
    for embedded in EMBEDDED_NETWORKS:
        if embedded.name == base:
            return ListedNetwork(
                shown, recipe_name, "embedded", embedded.title, embedded.resolution
            )
    known = KNOWN_NETWORKS.get(base)
    if known is None:
        return ListedNetwork(shown, recipe_name, "file", shown)
    return ListedNetwork(shown, recipe_name, "known", known.title, known.resolution, known.licence)
