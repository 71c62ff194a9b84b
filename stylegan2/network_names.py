"""How a network is named: by a name or a path, and where it has classes by the class, too."""

from __future__ import annotations

import re
from pathlib import Path


def split_class(network: str) -> tuple[str, int | None]:
    """Split "NAME#3" into a network's name or path, and the class that is meant.

    A file that is called so is meant itself.
    """
    name, mark, number = network.rpartition("#")
    if not (mark and name and re.fullmatch("[0-9]{1,9}", number)) or Path(network).exists():
        return network, None
    return name, int(number)


def with_class(network: str, number: int | None) -> str:
    """Name a class of a network: the opposite of `split_class`."""
    return network if number is None else f"{network}#{number}"
