"""Strips of pictures below one another, each with its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from stylegan2.arrays import UInt8Image

TILE = 160
NAME = 18
"""Side of a picture, and height of the line above a strip, in pixels."""


def strips(rows: Sequence[tuple[str, Sequence[UInt8Image]]], tile: int = TILE) -> UInt8Image:
    """Draw a strip for each name: uint8 pictures [H, W, 3] side by side, in squares of `tile`."""
    width = max((len(pictures) for _, pictures in rows), default=1)
    sheet = Image.new("RGB", (width * tile, max(1, len(rows)) * (tile + NAME)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for number, (name, pictures) in enumerate(rows):
        top = number * (tile + NAME)
        draw.text((4, top + 1), name, fill="black", font=font)
        for column, pixels in enumerate(pictures):
            small = ImageOps.contain(
                Image.fromarray(pixels), (tile, tile), Image.Resampling.LANCZOS
            )
            sheet.paste(small, (column * tile, top + NAME))
    return np.asarray(sheet)
