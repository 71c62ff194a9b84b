"""Where the generator that comes with the package lies; apart, so that asking loads no torch."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = "embedded"
"""Name of that generator."""


def embedded_path() -> Path:
    """Return the file of the generator that comes with this package."""
    return Path(__file__).parent / "weights" / "realdrag-faces-128.safetensors"
