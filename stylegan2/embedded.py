"""The generators that come with the package, in one list; apart, so that asking loads no torch.

To add one: put its file into weights/ and a line below. What knows its latents from pictures is
found by its weights' hash, see inversion.encoder_weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EmbeddedNetwork:
    """A generator in the package; weights is its `stylegan2.checkpoint.weights_hash`."""

    name: str
    title: str
    file: str
    resolution: int
    weights: str

    @property
    def path(self) -> Path:
        """Where its file lies."""
        return Path(__file__).parent / "weights" / self.file


EMBEDDED_NETWORKS = (
    EmbeddedNetwork(
        "embedded",
        "Faces at 256 pixels, comes with realdrag",
        "realdrag-faces-256.safetensors",
        256,
        "deb6811551149a23a61bb3bbe312ba337692ba4c800ab8ad57a2615aa199771a",
    ),
    EmbeddedNetwork(
        "embedded-128",
        "Faces at 128 pixels, the embedded network of earlier versions",
        "realdrag-faces-128.safetensors",
        128,
        "8cb07ac934761d1b4825b74a64bebc7c6c83becb95b03cb3e66244c4a6627765",
    ),
)

EMBEDDED = EMBEDDED_NETWORKS[0].name
"""Name of the one that is used when none is asked for."""


def embedded_network(name: str, weights: str | None = None) -> EmbeddedNetwork | None:
    """Return the embedded generator that a name means; None for other names.

    A name stands for another network than it once did: with weights, whichever embedded network
    has them is meant, if one has.
    """
    named = {each.name: each for each in EMBEDDED_NETWORKS}.get(name)
    if named is None:
        return None
    return next((each for each in EMBEDDED_NETWORKS if each.weights == weights), named)


def embedded_path(name: str = EMBEDDED) -> Path:
    """Return the file of an embedded generator, by default of the one that is used."""
    found = embedded_network(name)
    if found is None:
        raise ValueError(f"no embedded network is called {name!r}")
    return found.path
