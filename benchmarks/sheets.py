"""Contact sheets: small pictures with their points, rows of them, and rows side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from drag.points import DragPoint
from stylegan2.images import to_uint8

XY = tuple[float, float]

DOT = 1 / 64
"""Radius of a point, as a part of the picture's width."""


def marked(
    picture: Tensor,
    points: Sequence[DragPoint],
    size: int,
    tracks: Sequence[Sequence[XY]] | None = None,
) -> Image.Image:
    """Draw a picture [1, 3, R, R] size pixels wide: handles red, targets blue, their ways white.

    A way leads straight to the target where no tracks are given.
    """
    tile = Image.fromarray(to_uint8(picture)).resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(tile)
    scale = size / picture.shape[-1]
    tracks = tracks or [(point.handle, point.target) for point in points]

    def at(xy: XY) -> XY:
        return (xy[0] + 0.5) * scale - 0.5, (xy[1] + 0.5) * scale - 0.5

    for track, point in zip(tracks, points, strict=True):
        draw.line([at(xy) for xy in track], fill="white", width=max(1, size // 96))
        for xy, colour in ((point.handle, "red"), (point.target, "blue")):
            draw.circle(at(xy), size * DOT, fill=colour)
    return tile


def beside(tiles: Sequence[Image.Image]) -> Image.Image:
    """Put equally large pictures into a row."""
    width, height = tiles[0].size
    row = Image.new("RGB", (width * len(tiles), height))
    for i, tile in enumerate(tiles):
        row.paste(tile, (i * width, 0))
    return row


def contact_sheet(rows: Sequence[Image.Image], columns: int) -> Image.Image:
    """Put equally large rows below each other, in so many columns, the first one filled first."""
    width, height = rows[0].size
    high = -(-len(rows) // columns)
    sheet = Image.new("RGB", (width * columns, height * high), "white")
    for i, row in enumerate(rows):
        sheet.paste(row, (i // high * width, i % high * height))
    return sheet
