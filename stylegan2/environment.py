"""What the environment says about files: where the cache lies, and whether downloads are off."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "REALDRAG_HOME"
OFFLINE_VARIABLE = "REALDRAG_OFFLINE"


def cache_folder() -> Path:
    """Return the folder for downloads and what is made of them; ~/.cache/realdrag if not set."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home).expanduser() if home else Path.home() / ".cache" / "realdrag"


def downloads_are_off() -> bool:
    """Tell whether nothing may be asked of the network: any value but "" and "0" forbids it."""
    return os.environ.get(OFFLINE_VARIABLE, "") not in ("", "0")
