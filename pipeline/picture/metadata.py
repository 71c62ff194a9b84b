"""What travels with a picture beside its pixels: EXIF and the ICC profile."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

from PIL import Image, ImageCms

_DAMAGE = (
    *(ValueError, TypeError, KeyError, AttributeError, OverflowError, SyntaxError, OSError),
    struct.error,
)
"""What Pillow raises for a damaged block."""

_ORIENTATION = 0x0112
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_MAKER_NOTE, _INTEROP_IFD = 0x927C, 0xA005
_PIXEL_X, _PIXEL_Y = 0xA002, 0xA003
# Tags of the first directory that describe the photo (EXIF 2.32, table 4). Everything else there
# describes how the old file was stored (strips, tiles, orientation) or holds a copy of the old
# picture (thumbnail, Photoshop block), and would be wrong or revealing in the new one.
_KEPT = (
    *(0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C),
    *(0x4746, 0x4749, 0x8298, 0x9C9B, 0x9C9C, 0x9C9D, 0x9C9E, 0x9C9F),
)


def orientation_of(image: Image.Image) -> int:
    """Return how an opened picture lies, 1 to 8 (EXIF 2.32, tag 274); 1 for a damaged block."""
    with suppress(*_DAMAGE):
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def upright_exif(image: Image.Image) -> bytes | None:
    """Return the EXIF block of an opened picture without orientation and thumbnail, GPS included.

    None for a damaged block: the photo can be read without it.
    """
    try:
        return _rebuilt(image.getexif(), size=None, keep_gps=True)
    except _DAMAGE:
        return None


def exif_for_writing(exif: bytes | None, size: tuple[int, int], keep_gps: bool) -> bytes | None:
    """Return the EXIF block for a picture of (width, height), with its GPS position or without."""
    if exif is None:
        return None
    block = Image.Exif()
    block.load(exif)
    return _rebuilt(block, size=size, keep_gps=keep_gps)


def _rebuilt(exif: Image.Exif, size: tuple[int, int] | None, keep_gps: bool) -> bytes | None:
    fresh = Image.Exif()
    for tag in _KEPT:
        if tag in exif:
            fresh[tag] = exif[tag]
    details = dict(exif.get_ifd(_EXIF_IFD))
    # Maker notes point into the old file, so they do not survive a rewrite, and may hold a place.
    details.pop(_MAKER_NOTE, None)
    details.pop(_INTEROP_IFD, None)
    if size is not None and _PIXEL_X in details:
        details[_PIXEL_X], details[_PIXEL_Y] = size
    if details:
        fresh[_EXIF_IFD] = details
    position = dict(exif.get_ifd(_GPS_IFD))
    if position and keep_gps:
        fresh[_GPS_IFD] = position
    return fresh.tobytes() if len(fresh) else None


def profile_is_rgb(profile: bytes) -> bool:
    """Tell whether an ICC profile describes RGB data (ICC.1:2022, header bytes 16 to 19)."""
    return len(profile) >= 128 and profile[16:20] == b"RGB "


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Convert a CMYK, L or LAB picture by its ICC profile; None when the profile is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
