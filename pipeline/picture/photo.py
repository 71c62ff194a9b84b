"""A photo file into pixels, and edited pixels into a file."""

from __future__ import annotations

import os
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from pipeline.picture.metadata import (
    exif_for_writing,
    profile_is_rgb,
    to_srgb,
    upright_exif,
    xmp_packet,
)
from stylegan2.arrays import Float64Array, UInt8Image

MAX_PIXELS = 175_000_000
"""Larger pictures are refused; Pillow's own limit against decompression bombs is 178.9 million."""

# Formats of photos only: among Pillow's others, EPS runs Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA")
_MODERN_FORMATS = ("HEIF", "AVIF")
_JPEG_SEGMENT_MAX = 65533
_READABLE = "a JPEG, PNG, WebP, TIFF, HEIC, AVIF, GIF or BMP"


class PhotoUnreadable(Exception):
    """The file is no picture that can be read; reason is what the message says after its name."""

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.reason = reason


class PhotoNotWritable(Exception):
    """No picture can be written under this name."""


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    pixels: uint8 [H, W, 3], the file's own values, in the space of icc_profile (sRGB if None).
    alpha: uint8 [H, W], or None. exif: without orientation and thumbnail, GPS position included.
    """

    pixels: UInt8Image
    alpha: UInt8Image | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None


def read_photo(path: str | Path) -> Photo:
    """Read a photo of any mode, upright; the first frame of an animation.

    Raises PhotoUnreadable.
    """
    path = Path(path)
    _check_file(path)
    try:
        with warnings.catch_warnings(), _opened(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(path, width * height)
            exif = upright_exif(image)
            profile = image.info.get("icc_profile") or None
            upright = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise _too_large(path, None) from error
    except UnidentifiedImageError as error:
        words = f"is not a picture that can be read. Give {_READABLE} file."
        raise PhotoUnreadable(path, words) from error
    except PermissionError as error:
        raise PhotoUnreadable(path, "may not be read: check its permissions.") from error
    except (PhotoUnreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise PhotoUnreadable(
            path,
            f"is damaged or incomplete ({error}). "
            "Copy it again from where it came from, or open it in a viewer and save it anew.",
        ) from error
    return _to_photo(upright, profile, exif)


def write_photo(
    pixels: UInt8Image, path: str | Path, photo: Photo | None = None, keep_gps: bool = False
) -> None:
    """Write edited pixels uint8 [H, W, 3] as PNG, JPEG or WebP, by suffix; whole or not at all.

    photo gives alpha, ICC profile and EXIF; the XMP says that the picture was edited with a
    generative model. JPEG has no alpha: the picture is laid on white. Raises PhotoNotWritable.
    """
    path = Path(path)
    image = Image.fromarray(pixels)
    options: dict[str, Any] = {}
    exif: bytes | None = None
    if photo is not None:
        if photo.alpha is not None:
            if photo.alpha.shape != pixels.shape[:2]:
                raise ValueError(f"pixels {pixels.shape} do not fit alpha {photo.alpha.shape}")
            image.putalpha(Image.fromarray(photo.alpha))
        if photo.icc_profile:
            options["icc_profile"] = photo.icc_profile
        exif = exif_for_writing(photo.exif, image.size, keep_gps)
        if exif:
            options["exif"] = exif

    suffix = path.suffix.lower()
    if suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp_packet())
        options.update(format="PNG", pnginfo=text, compress_level=4)
    elif suffix in (".jpg", ".jpeg"):
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB")
        if exif and len(exif) > _JPEG_SEGMENT_MAX:
            del options["exif"]  # a JPEG segment cannot hold it
        options.update(format="JPEG", quality=95, subsampling=0, extra=_xmp_segment())
    elif suffix == ".webp":
        options.update(format="WEBP", quality=95, exact=True, xmp=xmp_packet().encode())
    else:
        raise PhotoNotWritable(
            f"Cannot write {path.name}: end the name in .png, .jpg, .jpeg or .webp."
        )
    _save_whole(image, path, options)


def _check_file(path: Path) -> None:
    if not path.exists():
        raise PhotoUnreadable(path, "is not there. Check the name and the folder.")
    if not path.is_file():
        raise PhotoUnreadable(path, f"is not a file. Give {_READABLE} file.")
    if path.stat().st_size == 0:
        raise PhotoUnreadable(path, "is empty. Copy it again from where it came from.")


def _too_large(path: Path, pixels: int | None) -> PhotoUnreadable:
    size = "" if pixels is None else f" ({pixels / 1e6:.0f} megapixels)"
    return PhotoUnreadable(
        path,
        f"is too large{size}; the limit is {MAX_PIXELS / 1e6:.0f} megapixels. "
        "Scale it down, or crop it around the face.",
    )


def _opened(path: Path) -> Image.Image:
    # Pillow warns of large pictures, where MAX_PIXELS decides, and of damaged EXIF tags.
    warnings.simplefilter("ignore")
    try:
        return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        import pillow_heif  # takes a while to import, and most photos do not need it

        pillow_heif.register_heif_opener()
        Image.init()
        return Image.open(path, formats=[name for name in _MODERN_FORMATS if name in Image.OPEN])


def _to_photo(image: Image.Image, profile: bytes | None, exif: bytes | None) -> Photo:
    image = _to_8_bit(image)
    if image.mode == "La":
        image = image.convert("LA")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info
    alpha: UInt8Image | None = None
    if has_alpha:
        image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A"))
        image = image.convert("RGB")
    elif image.mode in ("CMYK", "L", "LAB"):
        image, profile = _to_rgb(image, profile)
    if profile is not None and not profile_is_rgb(profile):
        profile = None
    pixels: UInt8Image = np.array(image.convert("RGB"))
    return Photo(pixels=pixels, alpha=alpha, icc_profile=profile, exif=exif)


def _to_rgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    converted = to_srgb(image, profile) if profile and not profile_is_rgb(profile) else None
    if converted is None and image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return (image, profile) if converted is None else (converted, None)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale single-channel pictures of more than 8 bits, which Pillow's convert would clip."""
    if image.mode.startswith("I;16"):
        return _scaled(np.asarray(image).astype(np.float64), 65535.0)
    if image.mode not in ("I", "F"):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    # Neither mode states its range: it is the smallest usual one that holds the values.
    ranges = (255.0, 65535.0, 2.0**31 - 1) if image.mode == "I" else (1.0, 255.0, 65535.0)
    top = float(values.max())
    return _scaled(values, next((full for full in ranges if top <= full), top))


def _scaled(values: Float64Array, full: float) -> Image.Image:
    return Image.fromarray((values * (255.0 / full)).round().clip(0, 255).astype(np.uint8))


def _xmp_segment() -> bytes:
    """Give the JPEG APP1 segment of the XMP packet (XMP specification part 3, 1.1.3)."""
    body = b"http://ns.adobe.com/xap/1.0/\x00" + xmp_packet().encode()
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body


def _save_whole(image: Image.Image, path: Path, options: dict[str, Any]) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            image.save(file, **options)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
