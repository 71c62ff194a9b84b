"""Photos are read upright whatever their kind, and written whole, marked and without position."""

from __future__ import annotations

import io
import os
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from pipeline.picture import photo as photo_module
from pipeline.picture.photo import Photo, PhotoUnreadable, read_photo
from pipeline.picture.photo_writer import PhotoNotWritable, write_photo
from pipeline.picture.xmp import DIGITAL_SOURCE_TYPE

GPS = {1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)}


def picture(height: int = 24, width: int = 36) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make a smooth picture in which every corner has another colour."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 / (width - 1), y * 255 / (height - 1), 255 - x * 255 / (width - 1))
    pixels: np.ndarray[Any, np.dtype[np.uint8]]
    pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    return pixels


def opened(path: Path) -> Any:
    """Open a picture and close its file."""
    with Image.open(path) as image:
        image.load()
        return image


@cache  # a profile holds the second in which it was made
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera_exif(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    exif[0x013B] = "A photographer"
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0xA002: 36, 0xA003: 24, 0x927C: b"secret place"}
    exif[0x8825] = GPS
    return exif


# How the upright picture lies in the file for each orientation (EXIF 2.32, 4.6.4.A, tag 274).
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_read_upright(
    tmp_path: Path, orientation: int, suffix: str
) -> None:
    path = tmp_path / f"photo{suffix}"
    stored = np.ascontiguousarray(STORED[orientation](picture()))
    options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(stored).save(path, exif=camera_exif(orientation).tobytes(), **options)

    photo = read_photo(path)

    assert np.array_equal(photo.pixels, picture())
    assert photo.exif is not None
    exif = Image.Exif()
    exif.load(photo.exif)
    assert 0x0112 not in exif
    assert exif[0x013B] == "A photographer"


def test_a_turned_jpeg_and_a_turned_heic_are_read_upright(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](picture(48, 64))))
    for name in ("photo.jpg", "photo.heic"):
        stored.save(tmp_path / name, exif=camera_exif(6).tobytes(), quality=95)
        pixels = read_photo(tmp_path / name).pixels
        assert pixels.shape == (48, 64, 3)
        assert np.abs(pixels.astype(int) - picture(48, 64)).mean() < 5


def test_an_avif_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.avif"
    try:
        Image.fromarray(picture(48, 64)).save(path, quality=95)
    except (KeyError, OSError):
        pytest.skip("this Pillow cannot write AVIF")
    assert np.abs(read_photo(path).pixels.astype(int) - picture(48, 64)).mean() < 5


def test_alpha_is_kept_apart_and_written_back(tmp_path: Path) -> None:
    rgba = np.dstack([picture(), np.tile(np.arange(36, dtype=np.uint8) * 7, (24, 1))])
    Image.fromarray(rgba).save(tmp_path / "in.png")
    photo = read_photo(tmp_path / "in.png")
    assert np.array_equal(photo.pixels, rgba[..., :3])
    assert photo.alpha is not None and np.array_equal(photo.alpha, rgba[..., 3])

    for name in ("out.png", "out.webp"):
        write_photo(photo.pixels, tmp_path / name, photo)
        written = np.asarray(opened(tmp_path / name))
        assert written.shape == (24, 36, 4)
        assert np.array_equal(written[..., 3], rgba[..., 3])


def test_a_jpeg_of_a_picture_with_alpha_is_laid_on_white(tmp_path: Path) -> None:
    photo = Photo(np.zeros((16, 16, 3), np.uint8), alpha=np.zeros((16, 16), np.uint8))
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    assert np.asarray(opened(tmp_path / "out.jpg")).min() > 250


def test_a_palette_with_transparency_gives_colours_and_alpha(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    indices = np.arange(24 * 36, dtype=np.uint8).reshape(24, 36) % 3
    image = Image.new("P", (36, 24))
    image.putdata(indices.ravel().tolist())
    image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / "p.png", transparency=1)
    photo = read_photo(tmp_path / "p.png")
    assert np.array_equal(photo.pixels, colours[indices])
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, np.where(indices == 1, 0, 255))


def test_grey_bilevel_and_grey_with_alpha_become_three_equal_channels(tmp_path: Path) -> None:
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "l.png")
    Image.fromarray(grey).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(grey > 127).save(tmp_path / "1.png")
    assert np.array_equal(read_photo(tmp_path / "l.png").pixels, np.dstack([grey] * 3))
    assert np.array_equal(read_photo(tmp_path / "la.png").pixels, np.dstack([grey] * 3))
    bilevel = np.where(grey > 127, 255, 0)
    assert np.array_equal(read_photo(tmp_path / "1.png").pixels, np.dstack([bilevel] * 3))


def test_16_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 24 * 36).round().astype(np.uint16).reshape(24, 36)
    expected = (ramp / 257).round()
    for name in ("i16.png", "i16.tif"):
        Image.fromarray(ramp).save(tmp_path / name)
        pixels = read_photo(tmp_path / name).pixels
        assert np.array_equal(pixels, np.dstack([expected] * 3)), name


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floating_point_grey_is_scaled_from_its_range(tmp_path: Path, top: float) -> None:
    ramp = np.linspace(0, 1, 24 * 36).reshape(24, 36)
    Image.fromarray((ramp * top).astype(np.float32)).save(tmp_path / "f.tif")
    pixels = read_photo(tmp_path / "f.tif").pixels
    assert np.abs(pixels[..., 0].astype(float) - ramp * 255).max() <= 0.51


def test_cmyk_becomes_rgb_without_its_cmyk_profile(tmp_path: Path) -> None:
    cmyk = Image.fromarray(picture()).convert("CMYK")
    cmyk.save(tmp_path / "cmyk.tif", icc_profile=b"\0" * 16 + b"CMYK" + b"\0" * 200)
    photo = read_photo(tmp_path / "cmyk.tif")
    assert photo.icc_profile is None
    assert np.abs(photo.pixels.astype(int) - picture()).max() <= 1


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (20, 10), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second], lossless=True)
    for name in ("a.gif", "a.webp"):
        pixels = read_photo(tmp_path / name).pixels
        assert pixels[5, 5, 0] > 250 and pixels[5, 5, 2] < 5


def test_a_name_in_any_script_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "фото 写真 é.png"
    write_photo(picture(), path)
    assert np.array_equal(read_photo(path).pixels, picture())


def test_what_is_no_picture_is_refused_with_what_to_do(tmp_path: Path) -> None:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole, "JPEG", quality=95)
    cases = {
        "empty.jpg": (b"", "empty"),
        "text.png": (b"hello, this is text\n" * 50, "not a picture"),
        "short.jpg": (whole.getvalue()[: len(whole.getvalue()) // 2], "damaged"),
        "header.png": (b"\x89PNG\r\n\x1a\n", "not a picture|damaged"),
        "page.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PhotoUnreadable, match=message) as caught:
            read_photo(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(PhotoUnreadable, match="is not there"):
        read_photo(tmp_path / "missing.jpg")
    with pytest.raises(PhotoUnreadable, match="not a file"):
        read_photo(tmp_path)


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture()).save(tmp_path / "p.png")
    monkeypatch.setattr(photo_module, "MAX_PIXELS", 36 * 24 - 1)
    with pytest.raises(PhotoUnreadable, match="limit"):
        read_photo(tmp_path / "p.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "bomb.png")
    content = bytearray((tmp_path / "bomb.png").read_bytes())
    content[16:24] = struct.pack(">II", 30000, 30000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(PhotoUnreadable, match="limit is 175 megapixels"):
        read_photo(tmp_path / "bomb.png")


def test_damaged_exif_does_not_stop_a_photo(tmp_path: Path) -> None:
    junk = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x87\x69\0\x04\0\0\0\x01\xff\xff\xff\xff" * 9
    Image.fromarray(picture()).save(tmp_path / "p.png", exif=junk)
    assert np.array_equal(read_photo(tmp_path / "p.png").pixels, picture())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_photo_with_a_large_profile_and_a_large_xmp_is_read_and_written(
    tmp_path: Path, suffix: str
) -> None:
    profile = srgb_profile() + bytes(3_000_000)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x/>" + " " * 2_000_000, zip=True)
    Image.fromarray(picture()).save(tmp_path / "in.png", icc_profile=profile, pnginfo=text)
    photo = read_photo(tmp_path / "in.png")
    assert photo.icc_profile == profile
    write_photo(photo.pixels, tmp_path / f"out{suffix}", photo)
    again = read_photo(tmp_path / f"out{suffix}")
    assert again.icc_profile == profile
    assert np.abs(again.pixels.astype(int) - photo.pixels).mean() < 3


def test_no_damage_to_exif_stops_a_photo(tmp_path: Path) -> None:
    """Each byte of a small block once, which Pillow answers with errors of all kinds."""
    whole = camera_exif(6).tobytes()
    rng = np.random.default_rng(0)
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](picture())))
    for at in range(6, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= int(rng.integers(1, 256))
        stored.save(tmp_path / "p.png", exif=bytes(damaged))
        photo = read_photo(tmp_path / "p.png")
        assert sorted(photo.pixels.shape) == [3, 24, 36]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_written_pictures_keep_profile_and_exif_but_not_the_position(
    tmp_path: Path, suffix: str
) -> None:
    Image.fromarray(picture()).save(
        tmp_path / "in.png", exif=camera_exif(6), icc_profile=srgb_profile()
    )
    photo = read_photo(tmp_path / "in.png")
    written = tmp_path / f"out{suffix}"
    write_photo(photo.pixels, written, photo)

    image = opened(written)
    exif = image.getexif()
    assert image.info["icc_profile"] == srgb_profile()
    assert (exif[0x010F], exif[0x013B]) == ("Maker", "A photographer")
    details = exif.get_ifd(0x8769)
    assert details[0x9003] == "2020:01:02 03:04:05"
    assert (details[0xA002], details[0xA003]) == image.size == (24, 36)
    assert 0x0112 not in exif
    assert 0x8825 not in exif and not exif.get_ifd(0x8825)
    assert b"secret place" not in written.read_bytes()
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - photo.pixels).mean() < 3


def test_the_position_is_kept_when_asked(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "in.png", exif=camera_exif())
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo.pixels, tmp_path / "out.jpg", photo, keep_gps=True)
    assert opened(tmp_path / "out.jpg").getexif().get_ifd(0x8825)[1] == "N"


def test_a_thumbnail_of_the_old_picture_is_not_carried_over(tmp_path: Path) -> None:
    exif = bytearray(camera_exif().tobytes())
    thumbnail = io.BytesIO()
    Image.fromarray(picture()).resize((16, 12)).save(thumbnail, "JPEG")
    # Link a second directory holding the thumbnail to the end of the first one.
    start = 6 + int.from_bytes(exif[10:14], "big")
    link = start + 2 + 12 * int.from_bytes(exif[start : start + 2], "big")
    exif[link : link + 4] = (len(exif) - 6).to_bytes(4, "big")
    data_at = len(exif) - 6 + 2 + 24 + 4
    exif += b"\0\x02"
    exif += b"\x02\x01\0\x04\0\0\0\x01" + data_at.to_bytes(4, "big")
    exif += b"\x02\x02\0\x04\0\0\0\x01" + len(thumbnail.getvalue()).to_bytes(4, "big")
    exif += b"\0\0\0\0" + thumbnail.getvalue()
    Image.fromarray(picture()).save(tmp_path / "in.jpg", exif=bytes(exif))
    assert opened(tmp_path / "in.jpg").getexif().get_ifd(ExifTags.IFD.IFD1), (
        "the test's own thumbnail"
    )

    photo = read_photo(tmp_path / "in.jpg")
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    assert thumbnail.getvalue() not in (tmp_path / "out.jpg").read_bytes()
    assert not opened(tmp_path / "out.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)


def test_every_written_format_says_that_the_picture_was_edited(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".webp"):
        write_photo(picture(), tmp_path / f"out{suffix}")
    wanted = f'Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"'

    png = opened(tmp_path / "out.png")
    chunk = png.info["XML:com.adobe.xmp"]
    assert isinstance(chunk, PngImagePlugin.iTXt)
    assert wanted in chunk
    jpeg: Any = opened(tmp_path / "out.jpg")
    segments = [body for name, body in jpeg.applist if name == "APP1"]
    assert any(
        body.startswith(b"http://ns.adobe.com/xap/1.0/\0") and wanted.encode() in body
        for body in segments
    )
    assert wanted.encode() in opened(tmp_path / "out.webp").info["xmp"]


def test_jpeg_colour_is_not_subsampled(tmp_path: Path) -> None:
    write_photo(picture(), tmp_path / "out.jpg")
    jpeg: Any = opened(tmp_path / "out.jpg")
    assert [(layer[1], layer[2]) for layer in jpeg.layer] == [(1, 1)] * 3


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.png"
    write_photo(picture(), path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_photo(255 - picture(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_suffix_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhotoNotWritable, match=r"out\.gif"):
        write_photo(picture(), tmp_path / "out.gif")
    assert list(tmp_path.iterdir()) == []
