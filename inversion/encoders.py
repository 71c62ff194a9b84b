"""The encoders in the package, found by the generator that they know; it loads no torch.

To add one: put its file into weights/ and its name below.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

ENCODERS = ("encoder-256.safetensors",)
"""Files in weights/; the header of each names the generator that it belongs to."""


def encoder_path(file: str = ENCODERS[0]) -> Path:
    """Return where an encoder of the package lies."""
    return Path(__file__).parent / "weights" / file


@cache
def encoder_file_for(weights: str) -> Path | None:
    """Return the encoder's file of the generator with this weights hash; None if there is none."""
    found = (encoder_path(file) for file in ENCODERS)
    return next((path for path in found if _metadata(path).get("generator") == weights), None)


def _metadata(path: Path) -> dict[str, str]:
    """Read what a safetensors file says of itself: the length of its header comes first."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata
