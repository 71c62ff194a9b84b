"""JSON files that people write or get from others, read strictly."""

from __future__ import annotations

import json
from pathlib import Path

MOST_BYTES = 16_000_000
"""A file larger than this is something else."""


def read_strict_json(path: Path) -> object:
    """Read a regular file of JSON in which no object has a key twice.

    Raises OSError, and ValueError with what is wrong, in a clause that goes on after the file's
    name.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES // 1_000_000} MB")
    try:
        return parse_strict_json(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON file: {error}") from error


def parse_strict_json(text: str) -> object:
    """Read JSON in which no object has a key twice. Raises ValueError and RecursionError."""
    data: object = json.loads(text, object_pairs_hook=_unique_keys)
    return data


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} appears twice in one object")
    return dict(pairs)
