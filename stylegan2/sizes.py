"""Sizes of pictures that need not be square; apart, so that using them loads nothing."""

from __future__ import annotations

from collections.abc import Sequence

Size = int | Sequence[int]
"""A picture's size: the side of a square, else (height, width)."""


def sides(size: Size) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return height, width


def longer_side(size: Size) -> int:
    """Return what lengths are shares of, where a picture need not be square."""
    return max(sides(size))
