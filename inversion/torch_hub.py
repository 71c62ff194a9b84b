"""Where torch and the libraries built on it look for downloaded weights."""

from __future__ import annotations

from pathlib import Path

import torch


def checkpoints_folder() -> Path:
    """Return the folder that torch.hub, and so torchvision and face-alignment, load from."""
    return Path(torch.hub.get_dir()) / "checkpoints"
