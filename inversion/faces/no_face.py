"""What a person is told when no face is found."""

from __future__ import annotations

from stylegan2.arrays import UInt8Image


class NoFaceFound(Exception):
    """There is no face in the picture, or not the one asked for."""


def nothing_found(pixels: UInt8Image | None = None) -> str:
    """Say that there is no face in pixels [H, W, 3], and what to do."""
    where = "" if pixels is None else f" in this {pixels.shape[1]} x {pixels.shape[0]} picture"
    return (
        f"No face was found{where}; one that is seen from the side, or half covered, is not. Mark "
        "eyes and mouth yourself with --landmarks FILE, or take the picture as it is with --align "
        "none."
    )
