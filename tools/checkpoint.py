"""The whole state of a training in one file, which a kill at any moment leaves whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a state; the previous file stays until the new one is complete."""
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)
