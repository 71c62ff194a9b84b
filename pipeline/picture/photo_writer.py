"""Edited pixels into a file, with what the photo carried beside its picture."""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from pipeline.picture.deep import STEP, UInt16Image, png_bytes
from pipeline.picture.metadata import exif_for_writing
from pipeline.picture.photo import Photo
from pipeline.picture.xmp import edited_packet
from stylegan2.arrays import UInt8Image

_JPEG_SEGMENT_MAX = 65533
_INCHES_A_METRE = 39.37007874


class PhotoNotWritable(Exception):
    """No picture can be written under this name."""


def write_photo(
    pixels: UInt8Image,
    path: str | Path,
    photo: Photo | None = None,
    *,
    keep_gps: bool = False,
    strip_metadata: bool = False,
) -> None:
    """Write edited pixels uint8 [H, W, 3] as PNG, JPEG or WebP, by suffix; whole or not at all.

    photo is the one that was edited: it gives alpha, ICC profile, resolution, EXIF, XMP and IPTC
    (the last three without position unless keep_gps, and not with strip_metadata), to a JPEG the
    compression of a JPEG, and to a PNG its 16 bits. XMP says in any case that the picture was
    edited with a generative model. JPEG has no alpha: the picture is laid on white. Raises
    PhotoNotWritable.
    """
    path = Path(path)
    photo = Photo(pixels) if photo is None else photo
    if photo.alpha is not None and photo.alpha.shape != pixels.shape[:2]:
        raise ValueError(f"pixels {pixels.shape} do not fit alpha {photo.alpha.shape}")
    height, width = pixels.shape[:2]
    exif = None if strip_metadata else exif_for_writing(photo.exif, (width, height), keep_gps)
    xmp = edited_packet(None if strip_metadata else photo.xmp, keep_gps)
    dpi = None if strip_metadata else photo.dpi
    options: dict[str, Any] = {}
    if photo.icc_profile:
        options["icc_profile"] = photo.icc_profile
    if exif:
        options["exif"] = exif
    suffix = path.suffix.lower()
    if suffix == ".png":
        if photo.deep is not None and photo.deep.base.shape == pixels.shape:
            deep = _with_alpha(photo.deep.edited(pixels), photo)
            data = png_bytes(deep, _png_chunks(photo.icc_profile, exif, xmp, dpi))
            _write_whole(path, lambda file: file.write(data))
            return
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options.update(format="PNG", pnginfo=text, compress_level=4)
        if dpi is not None:
            options["dpi"] = dpi
    elif suffix in (".jpg", ".jpeg"):
        if exif and len(exif) > _JPEG_SEGMENT_MAX:
            del options["exif"]  # a JPEG segment cannot hold it
        extra = _xmp_segment(xmp) + _iptc_segment(None if strip_metadata else photo.iptc)
        options.update(format="JPEG", extra=extra, quality=95, subsampling=0)
        if photo.jpeg is not None:
            tables = [list(table) for table in photo.jpeg.tables]
            options.update(qtables=tables, subsampling=photo.jpeg.subsampling)
            del options["quality"]
        if dpi is not None:
            options["dpi"] = tuple(round(each) for each in dpi)
    elif suffix == ".webp":
        options.update(format="WEBP", quality=95, exact=True, xmp=xmp)
    else:
        raise PhotoNotWritable(
            f"Cannot write {path.name}: end the name in .png, .jpg, .jpeg or .webp."
        )
    image = Image.fromarray(pixels)
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
        if options["format"] == "JPEG":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("RGB")
    _write_whole(path, lambda file: image.save(file, **options))


def lost_depth(photo: Photo, format: str) -> str | None:
    """Say that a result of a format ("png", "jpg", "webp") has fewer bits than the photo."""
    if photo.bits <= 8 or (photo.deep is not None and format == "png"):
        return None
    advice = "; as a PNG it would keep them" if photo.deep is not None else ""
    return f"The photo has {photo.bits} bits a channel, the result 8{advice}."


def _with_alpha(deep: UInt16Image, photo: Photo) -> UInt16Image:
    """Add an alpha channel that was read with 8 bits only."""
    if photo.alpha is None or deep.shape[2] == 4:
        return deep
    return np.dstack([deep, photo.alpha.astype(np.uint16) * STEP])


def _png_chunks(
    profile: bytes | None, exif: bytes | None, xmp: bytes, dpi: tuple[float, float] | None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks that stand before the picture (PNG specification, third edition, 11.3)."""
    if profile is not None:
        yield b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
    if dpi is not None:
        across, down = (round(each * _INCHES_A_METRE).to_bytes(4, "big") for each in dpi)
        yield b"pHYs", across + down + b"\1"
    yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    if exif is not None:
        yield b"eXIf", exif.removeprefix(b"Exif\0\0")


def _xmp_segment(packet: bytes) -> bytes:
    """Return the JPEG APP1 segment of an XMP packet (XMP specification part 3, 1.1.3)."""
    return _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)


def _iptc_segment(records: bytes | None) -> bytes:
    """Return the JPEG APP13 segment of IPTC's older records, as Photoshop writes it."""
    if records is None or len(records) > _JPEG_SEGMENT_MAX - 100:
        return b""
    size = len(records).to_bytes(4, "big")
    padding = b"\0" * (len(records) % 2)
    block = b"8BIM\x04\x04\0\0" + size + records + padding
    return _segment(0xED, b"Photoshop 3.0\0" + block)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def _write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
