"""Pictures of 16 bits a channel, beside the 8 bits that everything works with.

An edit is found in 8 bits. Written back, what it changed is added to the 16 bits that the photo
came with, so that they stay bit for bit where nothing changed, and keep their steps elsewhere.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from stylegan2.arrays import UInt8Image

UInt16Image = npt.NDArray[np.uint16]
"""A picture [H, W, 3 or 4], 0 to 65535."""

STEP = 257
"""What one of 255 steps is among 65535."""

_PNG_HEAD = 33
"""Bytes of a PNG's signature and its first chunk."""

_TIFF_BITS = 258

_HEAD_BYTES = 65536

_STATED_AT = {
    "JPEG2000": (b"\xff\x51", 38, 1),  # Ssiz of the first component (ISO 15444-1, A.5.1)
    "AVIF": (b"pixi", 5, 0),  # bits_per_channel (ISO 23008-12, 6.5.6)
}
"""Where formats state their bits which Pillow does not tell: a mark, bytes after it, and what is
added to the number there."""


@dataclass(frozen=True)
class Deep:
    """A picture with 16 bits a channel, and the 8-bit one [H, W, 3] that was made of it."""

    values: UInt16Image
    base: UInt8Image

    def edited(self, pixels: UInt8Image) -> UInt16Image:
        """Add to the values what an edit changed in the 8-bit pixels."""
        edited: UInt16Image = self.values.copy()
        changed = (self.base != pixels).any(axis=-1)
        change = pixels[changed].astype(np.int32) - self.base[changed]
        moved = self.values[changed, :3] + change * STEP
        edited[changed, :3] = moved.clip(0, 65535).astype(np.uint16)
        return edited


def bits_a_channel(image: Image.Image) -> int:
    """Return how finely an opened picture's file stores each channel."""
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_TIFF_BITS, (8,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if image.format in ("PNG", "PPM"):
        # How the decoder is told to read: "RGB;16B", or a mode and the largest value.
        how = next((tile[3] for tile in getattr(image, "tile", [])[:1]), None)
        if isinstance(how, tuple) and isinstance(how[-1], int):
            return max(8, how[-1].bit_length())
        return 16 if "16" in str(how) else 8
    if image.format in _STATED_AT:
        mark, offset, more = _STATED_AT[image.format]
        with open(image.filename, "rb") as file:  # type: ignore[attr-defined]
            _, found, after = file.read(_HEAD_BYTES).partition(mark)
        return max(8, (after[offset] & 0x7F) + more) if found and len(after) > offset else 8
    return int(image.info.get("bit_depth") or 8)  # of HEIF


def read_deep(path: Path, orientation: int, pixels: UInt8Image) -> Deep | None:
    """Read 16 bits a channel, upright; None where they do not say the same as the 8-bit pixels.

    orientation is the value of the EXIF tag. Pillow reads colour pictures with 8 bits only.
    """
    import cv2

    try:
        # Mapped, as a file may hold more than the picture.
        raw = cv2.imdecode(np.memmap(path, np.uint8, "r"), cv2.IMREAD_UNCHANGED)
    except (cv2.error, OSError, ValueError):
        return None
    if raw is None or raw.dtype != np.uint16:
        return None
    stored: UInt16Image = np.asarray(raw, np.uint16)
    if stored.ndim == 2:
        stored = np.stack([stored] * 3, axis=-1)
    deep = _upright(_swapped(stored), orientation)
    if deep.shape[:2] != pixels.shape[:2]:
        return None
    rows = max(1, 1_000_000 // deep.shape[1])  # a large photo is compared piece by piece
    for top in range(0, len(deep), rows):
        part = deep[top : top + rows, :, :3] // STEP
        if np.abs(part.astype(np.int16) - pixels[top : top + rows]).max() > 1:
            return None
    return Deep(np.ascontiguousarray(deep), pixels)


def png_bytes(deep: UInt16Image, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a PNG of 16 bits a channel, with more chunks (type, content) before the picture."""
    import cv2

    done, encoded = cv2.imencode(".png", _swapped(deep), [cv2.IMWRITE_PNG_COMPRESSION, 4])
    if not done:
        raise ValueError(f"a picture of shape {deep.shape} cannot be encoded")
    data = bytes(encoded)
    return b"".join([data[:_PNG_HEAD], *(_chunk(*each) for each in chunks), data[_PNG_HEAD:]])


def _swapped(pixels: UInt16Image) -> UInt16Image:
    """Turn RGB or RGBA into OpenCV's order, and back."""
    return np.ascontiguousarray(pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]])


def _chunk(kind: bytes, content: bytes) -> bytes:
    """Frame a chunk (PNG specification, third edition, 5.3)."""
    checked = kind + content
    return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")


def _upright(stored: UInt16Image, orientation: int) -> UInt16Image:
    """Turn and mirror as the EXIF orientation says (EXIF 2.32, 4.6.4.A, tag 274)."""
    turned = np.rot90(stored, {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0))
    if orientation in (2, 4):
        return turned[:, ::-1]
    return turned[::-1] if orientation in (5, 7) else turned
