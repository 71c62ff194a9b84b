"""A drag as an animated picture: GIF or WebP."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from pipeline.picture.xmp import DIGITAL_SOURCE_TYPE, FRESH_PACKET
from stylegan2.arrays import UInt8Image

MIN_FRAMES = 16
MAX_FRAMES = 24
MAX_SIDE = 384
"""Larger faces are scaled down: GIF compresses badly."""

FRAME_MS = 80
HOLD_MS = 1200
"""How long the first and the last frame stay."""

WEBP_FRAME_MS = 40
WEBP_QUALITY = 86
WEBP_EFFORT = 2
"""0 to 6: more makes the file a little smaller, and takes much longer."""


def moments(steps: int, least: int = MIN_FRAMES, most: int = MAX_FRAMES) -> list[float]:
    """Choose the moments of a film of `steps` steps, evenly, from 0 to steps.

    One a step, but at least `least`, between steps then, so that a drag of a few long steps is a
    film too, and at most `most`. A drag without a step has one moment.
    """
    if steps == 0:
        return [0.0]
    count = max(2, min(most, max(least, steps + 1)))
    return [i * steps / (count - 1) for i in range(count)]


def spread(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` indices, evenly, the first and the last included."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def gif_bytes(frames: Sequence[UInt8Image]) -> bytes:
    """Encode frames uint8 [H, W, 3] as a GIF that repeats; all share one palette."""
    pictures = [Image.fromarray(frame) for frame in frames]
    side = max(pictures[0].size)
    if side > MAX_SIDE:
        scale = MAX_SIDE / side
        size = (round(pictures[0].width * scale), round(pictures[0].height * scale))
        pictures = [picture.resize(size, Image.Resampling.LANCZOS) for picture in pictures]
    ends = Image.new("RGB", (pictures[0].width * 2, pictures[0].height))
    ends.paste(pictures[0], (0, 0))
    ends.paste(pictures[-1], (pictures[0].width, 0))
    palette = ends.quantize(colors=256, method=Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette) for picture in pictures]
    buffer = io.BytesIO()
    indexed[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=_durations(len(indexed), FRAME_MS),
        loop=0,
        comment=DIGITAL_SOURCE_TYPE.encode(),
    )
    return buffer.getvalue()


def webp_bytes(frames: Sequence[UInt8Image]) -> bytes:
    """Encode frames uint8 [H, W, 3] as an animated WebP that repeats, in full size and colour."""
    pictures = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=_durations(len(pictures), WEBP_FRAME_MS),
        loop=0,
        quality=WEBP_QUALITY,
        method=WEBP_EFFORT,
        xmp=FRESH_PACKET,
    )
    return buffer.getvalue()


def _durations(count: int, each: int) -> list[int] | int:
    """Return how long each frame stays, in milliseconds; a single one stays by a number."""
    if count == 1:
        return HOLD_MS
    return [HOLD_MS, *[each] * (count - 2), HOLD_MS]
