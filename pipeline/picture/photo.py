"""A photo file into pixels, upright, and what else it carries."""

from __future__ import annotations

import warnings
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from pipeline.picture.deep import Deep, bits_a_channel, read_deep
from pipeline.picture.metadata import (
    orientation_of,
    profile_is_rgb,
    to_srgb,
    upright_exif,
)
from stylegan2.arrays import Float64Array, UInt8Image

MAX_PIXELS = 175_000_000
"""Larger pictures are refused; Pillow's own limit against decompression bombs is 178.9 million."""

LARGE = 50
"""From so many megapixels on it is said beforehand what a photo takes."""

BASE_GB, BYTES, DEEP_BYTES, SECONDS = 0.6, 20, 40, 0.6
"""Measured on a whole edit, of photos of 60 to 174 megapixels: memory without a photo, bytes a
pixel, the same of a photo with 16 bits a channel, and seconds a megapixel on one core."""

# Formats of photos only: among Pillow's others, EPS runs Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "TGA")
_MODERN_FORMATS = ("HEIF", "AVIF")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its orientation (EXIF 2.32, 4.6.4.A, tag 274)."""
_IPTC = 0x0404
"""Photoshop's number for the block of IPTC's older records (Photoshop file formats, 2019)."""
MAX_DPI = 100_000
_READABLE = "a JPEG, PNG, WebP, TIFF, HEIC, AVIF, GIF or BMP"


class PhotoUnreadable(Exception):
    """The file is no picture that can be read; reason is what the message says after its name."""

    def __init__(self, name: object, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.reason = reason


@dataclass(frozen=True)
class JpegCoding:
    """How a JPEG was compressed: its quantization tables, and Pillow's number for subsampling."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int


@dataclass(frozen=True)
class Photo:
    """A photo, upright.

    pixels: uint8 [H, W, 3], the file's own values, in the space of icc_profile (sRGB if None).
    alpha: uint8 [H, W], or None. exif: without orientation and thumbnail, GPS position included.
    bits: of each channel in the file; deep: the 16 bits that pixels were made of, where they
    can be kept. xmp and iptc: the blocks as they are in the file.
    dpi: across and down. jpeg: set for a JPEG.
    """

    pixels: UInt8Image
    alpha: UInt8Image | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    bits: int = 8
    deep: Deep | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg: JpegCoding | None = None


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
            bits = bits_a_channel(image)  # before anything loads it
            exif = upright_exif(image)
            profile = image.info.get("icc_profile") or None
            beside = _beside(image)
            orientation = orientation_of(image)
            image.load()
            if (way := _UPRIGHT.get(orientation_of(image))) is not None:  # a TIFF is, once loaded
                image = image.transpose(way)
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
    photo = replace(_to_photo(image, profile), exif=exif, bits=bits, **beside)
    if bits != 16:
        return photo
    return replace(photo, deep=read_deep(path, orientation, photo.pixels))


def cost_of(path: Path) -> str | None:
    """Say beforehand what a large photo takes; None where it is little, or cannot be told."""
    try:
        with warnings.catch_warnings(), _opened(path) as image:
            megapixels = image.width * image.height / 1e6
            deep = bits_a_channel(image) > 8
    except Exception:  # whoever reads the photo says what is wrong with it
        return None
    if not LARGE <= megapixels <= MAX_PIXELS / 1e6:
        return None
    gigabytes = BASE_GB + megapixels * (DEEP_BYTES if deep else BYTES) / 1e3
    minutes = max(1, round(megapixels * SECONDS / 60))
    return (
        f"the photo has {megapixels:.0f} megapixels: it takes about {gigabytes:.1f} GB of memory, "
        f"and {minutes} minute{'s' if minutes > 1 else ''} or more"
    )


class Beside(TypedDict):
    """What a file carries beside its picture, by the names of Photo."""

    xmp: bytes | None
    iptc: bytes | None
    dpi: tuple[float, float] | None
    jpeg: JpegCoding | None


def _beside(image: Image.Image) -> Beside:
    """Gather what may be carried on; what is damaged counts as missing."""
    info = image.info
    xmp, blocks, dpi, coding = info.get("xmp"), info.get("photoshop"), None, None
    with suppress(ValueError, TypeError, ZeroDivisionError, KeyError):
        across, down = (float(each) for each in info["dpi"])
        dpi = (across, down) if 1 <= across <= MAX_DPI and 1 <= down <= MAX_DPI else None
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        # One layer has no number, and neither have rare ways: colour is kept whole then.
        subsampling = max(0, JpegImagePlugin.get_sampling(image))
        tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
        if image.mode in ("RGB", "L") and 1 <= len(tables) <= 4:
            coding = JpegCoding(tables, subsampling)
    iptc = blocks.get(_IPTC) if isinstance(blocks, dict) else None
    return {
        "xmp": xmp if isinstance(xmp, bytes) else None,
        "iptc": iptc if isinstance(iptc, bytes) else None,
        "dpi": dpi,
        "jpeg": coding,
    }


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
    # One profile or text of a PNG may be as large as Pillow lets all of them be together.
    PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
    try:
        return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError:
        import pillow_heif  # takes a while to import, and most photos do not need it

        pillow_heif.register_heif_opener()
        Image.init()
        return Image.open(path, formats=[name for name in _MODERN_FORMATS if name in Image.OPEN])


def _to_photo(image: Image.Image, profile: bytes | None) -> Photo:
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
    pixels: UInt8Image = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    return Photo(pixels=pixels, alpha=alpha, icc_profile=profile)


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
