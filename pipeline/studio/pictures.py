"""Pictures for the page: small copies of large ones, and frames."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms

from pipeline.disk.storage import replace_file, writing
from pipeline.picture.closeup import Closeup, closeup
from pipeline.picture.photo import Photo, read_photo
from stylegan2.arrays import UInt8Image

PREVIEW_SIDE = 2048
"""Largest side of what the page shows of a photo."""


THUMBNAIL_SIDE = 320
PREVIEW_QUALITY = 88
FRAME_QUALITY = 90

_making_previews = threading.Lock()


def jpeg_bytes(pixels: UInt8Image, quality: int = FRAME_QUALITY) -> bytes:
    """Encode uint8 [H, W, 3] as JPEG without colour subsampling."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def preview_size(width: int, height: int, side: int = PREVIEW_SIDE) -> tuple[int, int]:
    """Return the size of a photo's preview."""
    scale = min(1.0, side / max(width, height))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def photo_size(path: Path) -> tuple[int, int] | None:
    """Return (width, height) of the upright photo without decoding it; None where that fails."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return (image.height, image.width) if turned else image.size
    except Exception:  # formats that must be decoded for it: the search for faces tells the size
        return None


def closeup_of(quad: Sequence[Sequence[float]], size: tuple[int, int]) -> Closeup | None:
    """Return the same where it is sharper than the whole photo's preview, None elsewhere."""
    return None if max(size) <= PREVIEW_SIDE else closeup(quad, size)


def preview_bytes(photo: Photo, side: int = PREVIEW_SIDE) -> bytes:
    """Scale a photo down for the page, in sRGB on white."""
    image = Image.fromarray(np.ascontiguousarray(photo.pixels))
    size = preview_size(image.width, image.height, side)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if photo.alpha is not None:
        alpha = Image.fromarray(np.ascontiguousarray(photo.alpha)).resize(size)
        image = Image.composite(image, Image.new("RGB", size, "white"), alpha)
    if photo.icc_profile:
        image = _shown_in_srgb(image, photo.icc_profile)
    return jpeg_bytes(np.asarray(image), PREVIEW_QUALITY)


def _shown_in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except ImageCms.PyCMSError:
        return image  # a profile that cannot be used is ignored by viewers, too
    return image if shown is None else shown


def keep_preview(
    source: Path, target: Path, side: int = PREVIEW_SIDE, part: Closeup | None = None
) -> Path:
    """Write the preview of a photo or its part unless it is there; return where.

    Raises PhotoUnreadable.
    """
    with _making_previews:  # pages that ask at the same time must not decode a large photo each
        if not target.exists():
            photo = read_photo(source)
            data = preview_bytes(photo if part is None else part.cut(photo), side)
            with writing(target.parent):
                replace_file(target, data)
    return target


def file_format(path: Path) -> str:
    """Return the suffix that a picture file should have by its content, ".img" if unknown."""
    suffixes = {
        "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif",
        "GIF": ".gif", "BMP": ".bmp", "PPM": ".ppm", "JPEG2000": ".jp2", "HEIF": ".heic",
        "AVIF": ".avif", "TGA": ".tga",
    }  # fmt: skip
    try:
        with Image.open(path, formats=tuple(name for name in suffixes if name in Image.OPEN)) as im:
            return suffixes.get(im.format or "", ".img")
    except Exception:  # the photo has been decoded before; only its name is at stake here
        return ".img"
