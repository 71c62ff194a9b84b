"""Samples that are kept on disk: a long form that was broken off goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.section import Options

ROOT = Path(__file__).parent.parent
CODE = ("benchmarks", "drag", "inversion", "pti", "stylegan2", "pipeline/picture")
"""Folders whose code a sample's figures depend on: any change of it measures anew."""


class Kept:
    """One section's samples, each a file of JSON, by what they depend on.

    That is the code, the network (its weights' hash), the device and the seed; not how many there
    are to be, so that the quick form's samples and those of `--samples 5` are part of the whole.
    """

    def __init__(self, options: Options, section: str, weights: str) -> None:
        asked = "\n".join([code_hash(), weights, options.device, str(options.seed)])
        digest = hashlib.sha256(asked.encode()).hexdigest()
        self._folder = options.work / "samples" / f"{section}-{digest[:12]}"

    def sample(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a sample by its name, made now or by an earlier run: what JSON can hold."""
        path = self._folder / f"{name.replace(' ', '_')}.json"
        if path.is_file():
            kept: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return kept
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(made), "utf-8")
        part.replace(path)
        return made


@cache
def code_hash() -> str:
    """Return the sha256 of the code that makes samples."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
