"""What a photo carries beside its 8 bits goes on: 16 bits, XMP, IPTC, resolution, compression."""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from pipeline.picture.deep import bits_a_channel
from pipeline.picture.photo import Photo, read_photo
from pipeline.picture.photo_writer import lost_depth, write_photo
from pipeline.picture.xmp import DIGITAL_SOURCE_TYPE, FRESH_PACKET, edited_packet

Deep = npt.NDArray[np.uint16]


def deep_picture(height: int = 24, width: int = 36, channels: int = 3) -> Deep:
    """Make a picture that needs all of its 16 bits."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 65536, (height, width, channels), dtype=np.uint16)


def write_deep(path: Path, deep: Deep) -> None:
    order = [2, 1, 0, 3][: deep.shape[-1]] if deep.ndim == 3 else None
    assert cv2.imwrite(str(path), deep if order is None else deep[..., order])


def read_back(path: Path) -> Deep:
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert raw is not None and raw.dtype == np.uint16
    back: Deep = np.asarray(raw, np.uint16)
    return back[..., [2, 1, 0, *range(3, back.shape[2])]]


def edited(photo: Photo) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Brighten a corner; return the pixels, and where they changed."""
    pixels = photo.pixels.copy()
    pixels[:10, :12] = np.minimum(pixels[:10, :12].astype(int) + 9, 255).astype(np.uint8)
    return pixels, (pixels != photo.pixels).any(axis=-1)


# --------------------------------------------------------------------------- 16 bits


@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_stay_as_they_were_where_nothing_changed(
    tmp_path: Path, name: str, channels: int
) -> None:
    deep = deep_picture(channels=channels)
    write_deep(tmp_path / name, deep)
    photo = read_photo(tmp_path / name)
    assert photo.bits == 16
    assert np.abs(photo.pixels.astype(int) - deep[..., :3] // 257).max() <= 1
    pixels, changed = edited(photo)
    write_photo(pixels, tmp_path / "out.png", photo)
    back = read_back(tmp_path / "out.png")
    assert back.shape == deep.shape
    assert np.array_equal(back[~changed], deep[~changed])
    assert np.array_equal(back[..., 3:], deep[..., 3:])
    assert np.abs(back[changed][:, :3] / 257 - pixels[changed]).max() <= 1.01
    assert lost_depth(photo, "png") is None


def test_an_edited_photo_is_written_with_its_edit_and_a_part_of_it_with_eight_bits(
    tmp_path: Path,
) -> None:
    write_deep(tmp_path / "photo.png", deep_picture())
    photo = read_photo(tmp_path / "photo.png")
    pixels, changed = edited(photo)
    write_photo(pixels, tmp_path / "out.png", replace(photo, pixels=pixels))
    back = read_back(tmp_path / "out.png")
    assert np.abs(back[changed] / 257 - pixels[changed]).max() <= 1.01
    write_photo(pixels[:8], tmp_path / "part.png", replace(photo, pixels=pixels[:8]))
    with Image.open(tmp_path / "part.png") as image:
        assert np.array_equal(np.asarray(image), pixels[:8])


def test_sixteen_bits_of_grey_are_kept_too(tmp_path: Path) -> None:
    grey = deep_picture()[..., 0]
    write_deep(tmp_path / "grey.png", grey)
    photo = read_photo(tmp_path / "grey.png")
    write_photo(photo.pixels, tmp_path / "out.png", photo)
    assert np.array_equal(read_back(tmp_path / "out.png"), np.dstack([grey] * 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bits_are_read_upright(tmp_path: Path, orientation: int) -> None:
    write_deep(tmp_path / "plain.png", deep_picture())
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = (tmp_path / "plain.png").read_bytes()
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + body
    framed = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "turned.png").write_bytes(content[:33] + framed + content[33:])
    photo = read_photo(tmp_path / "turned.png")
    assert photo.deep is not None
    assert photo.pixels.shape[:2] == ((24, 36) if orientation < 5 else (36, 24))
    assert np.abs(photo.deep.values // 257 - photo.pixels.astype(int)).max() <= 1


def test_a_format_of_eight_bits_says_what_is_lost(tmp_path: Path) -> None:
    write_deep(tmp_path / "photo.png", deep_picture())
    photo = read_photo(tmp_path / "photo.png")
    notice = lost_depth(photo, "jpg")
    assert notice is not None and "16 bits" in notice and "PNG" in notice
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (36, 24)
    ten = Photo(photo.pixels, bits=10)
    said = lost_depth(ten, "png")
    assert said is not None and "10 bits" in said and "PNG" not in said
    assert lost_depth(Photo(photo.pixels), "jpg") is None


@pytest.mark.parametrize("name", ["photo.ppm", "photo.pgm", "photo.jp2"])
def test_sixteen_bits_of_rarer_formats_are_known(tmp_path: Path, name: str) -> None:
    deep = deep_picture(96, 128)
    channels = deep[..., :1] if name.endswith("pgm") else deep
    assert cv2.imwrite(str(tmp_path / name), channels)
    assert read_photo(tmp_path / name).bits == 16


def test_ten_bits_of_an_avif_are_known(tmp_path: Path) -> None:
    try:
        Image.new("RGB", (40, 30), "teal").save(tmp_path / "photo.avif")
    except (KeyError, OSError):
        pytest.skip("this Pillow cannot write AVIF")
    assert read_photo(tmp_path / "photo.avif").bits == 8
    data = (tmp_path / "photo.avif").read_bytes()
    stated = b"pixi\0\0\0\0\x03"
    assert data.count(stated + b"\x08\x08\x08") == 1
    data = data.replace(stated + b"\x08\x08\x08", stated + b"\x0a\x0a\x0a")
    with Image.open(tmp_path / "photo.avif") as image:
        (tmp_path / "photo.avif").write_bytes(data)  # a coder of ten bits is rarely at hand
        assert bits_a_channel(image) == 10


@pytest.mark.parametrize("size", [(1600, 4), (4, 160), (16, 16)])
@pytest.mark.parametrize("suffix", ["png", "ppm", "tif", "jp2"])
def test_a_side_of_sixteen_is_not_taken_for_sixteen_bits(
    tmp_path: Path, size: tuple[int, int], suffix: str
) -> None:
    Image.new("RGB", size, "teal").save(tmp_path / f"photo.{suffix}")
    assert read_photo(tmp_path / f"photo.{suffix}").bits == 8


def test_a_deep_png_carries_profile_exif_xmp_and_resolution(tmp_path: Path) -> None:
    write_deep(tmp_path / "in.png", deep_picture())
    photo = read_photo(tmp_path / "in.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A photographer"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    full = Photo(
        photo.pixels, icc_profile=profile, exif=exif.tobytes(), bits=16, deep=photo.deep,
        dpi=(300.0, 300.0),
    )  # fmt: skip
    write_photo(photo.pixels, tmp_path / "out.png", full)
    with Image.open(tmp_path / "out.png") as image:
        image.load()
        assert image.info["icc_profile"] == profile
        assert image.getexif()[ExifTags.Base.Artist] == "A photographer"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert DIGITAL_SOURCE_TYPE in image.info["XML:com.adobe.xmp"]
    again = read_photo(tmp_path / "out.png")
    assert again.deep is not None and photo.deep is not None
    assert np.array_equal(again.deep.values, photo.deep.values)


# --------------------------------------------------------------------------- XMP


def packet(inner: str, attributes: str = "") -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'{attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def test_the_photos_own_xmp_goes_on_without_position_and_marked_as_edited() -> None:
    original = packet(
        "<dc:creator><rdf:Seq><rdf:li>A photographer</rdf:li></rdf:Seq></dc:creator>"
        "<exif:GPSLatitude>48,51N</exif:GPSLatitude><xmp:Thumbnails>old</xmp:Thumbnails>",
        'xmp:Rating="4" exif:GPSLongitude="2,17E" tiff:Orientation="6" '
        'Iptc4xmpExt:DigitalSourceType="http://example.org/camera"',
    )
    text = edited_packet(original, keep_gps=False).decode()
    assert "A photographer" in text and 'xmp:Rating="4"' in text
    assert f'Iptc4xmpExt:DigitalSourceType="{DIGITAL_SOURCE_TYPE}"' in text
    for gone in ("GPS", "Thumbnails", "Orientation", "example.org/camera"):
        assert gone not in text
    assert "48,51N" in edited_packet(original, keep_gps=True).decode()
    assert edited_packet(text.encode(), keep_gps=False).decode() == text


@pytest.mark.parametrize(
    ("inner", "attributes"),
    [
        (
            "<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li><Iptc4xmpExt:City>Paris"
            "</Iptc4xmpExt:City><exif:GPSLatitude>48,51N</exif:GPSLatitude></rdf:li></rdf:Bag>"
            "</Iptc4xmpExt:LocationCreated>",
            "",
        ),
        ("", 'xmlns:d="http://www.dji.com/drone-dji/1.0/" d:GpsLatitude="48,51N"'),
        ("<d:GPSLongtitude xmlns:d='http://d/'>48,51N</d:GPSLongtitude>", ""),
        ("<a:Latitude xmlns:a='http://a/'>48,51N</a:Latitude>", ""),
        ("<exif:More><rdf:Description exif:GPSLatitude='48,51N'/></exif:More>", ""),
    ],
    ids=["IPTC's place", "drone", "drone's slip", "another tool", "nested"],
)
def test_a_position_goes_whoever_wrote_it_and_however_deep(inner: str, attributes: str) -> None:
    original = packet(f"{inner}<dc:rights>Paris</dc:rights>", attributes)
    assert b"48,51N" not in edited_packet(original, keep_gps=False)
    assert b"Paris" in edited_packet(original, keep_gps=False)
    assert b"48,51N" in edited_packet(original, keep_gps=True)


@pytest.mark.parametrize(
    "original",
    [
        b"",
        b"not xml",
        packet("")[:-60],
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + packet(""),
        packet(f"<dc:source>{'x' * 70_000}</dc:source>"),
        b"<?xml version='1.0' encoding='no-such'?><a/>",
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]><a/>'.encode(
            "utf-16"
        ),
        packet("<dc:a>" * 4000 + "</dc:a>" * 4000),
    ],
    ids=["empty", "text", "cut", "other", "entities", "long", "encoding", "UTF-16", "deep"],
)
def test_xmp_that_cannot_be_carried_on_is_replaced(original: bytes) -> None:
    assert edited_packet(original, keep_gps=True) == FRESH_PACKET


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_xmp_travels_from_file_to_file(tmp_path: Path, suffix: str) -> None:
    original = packet("", 'xmp:Rating="4"')
    picture = Image.new("RGB", (40, 30), "teal")
    picture.save(tmp_path / "in.webp", xmp=original)
    photo = read_photo(tmp_path / "in.webp")
    write_photo(photo.pixels, tmp_path / f"out{suffix}", photo)
    again = read_photo(tmp_path / f"out{suffix}")
    assert again.xmp is not None
    assert b'Rating="4"' in again.xmp and DIGITAL_SOURCE_TYPE.encode() in again.xmp


# --------------------------------------------------------------------------- the rest


def jpeg_with_iptc(path: Path, records: bytes, **options: Any) -> None:
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    body = b"Photoshop 3.0\0" + block + b"\0" * (len(records) % 2)
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    small = Image.fromarray(noise).resize((8, 6)).resize((64, 48))
    small.save(path, "JPEG", extra=segment, **options)


def test_iptc_records_go_on_from_jpeg_to_jpeg(tmp_path: Path) -> None:
    records = b"\x1c\x02\x50\x00\x0eA photographer"
    jpeg_with_iptc(tmp_path / "in.jpg", records)
    photo = read_photo(tmp_path / "in.jpg")
    assert photo.iptc == records
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    assert read_photo(tmp_path / "out.jpg").iptc == records


@pytest.mark.parametrize(("quality", "subsampling"), [(60, 2), (90, 0), (98, 1)])
def test_a_jpeg_is_written_as_finely_as_it_came(
    tmp_path: Path, quality: int, subsampling: int
) -> None:
    jpeg_with_iptc(tmp_path / "in.jpg", b"", quality=quality, subsampling=subsampling)
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling
        difference = np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean()
    assert difference < 1


@pytest.mark.parametrize("kind", ["grey", "a rare sampling"])
def test_a_jpeg_without_a_usual_sampling_is_written_as_finely_as_it_came(
    tmp_path: Path, kind: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((8, 6)).resize((64, 48))
    if kind == "grey":
        picture.convert("L").save(tmp_path / "in.jpg", quality=60)
    else:
        rare = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
        options = [cv2.IMWRITE_JPEG_QUALITY, 60, *rare]
        assert cv2.imwrite(str(tmp_path / "in.jpg"), np.asarray(picture)[..., ::-1], options)
    photo = read_photo(tmp_path / "in.jpg")
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert isinstance(before, JpegImagePlugin.JpegImageFile)
        assert isinstance(after, JpegImagePlugin.JpegImageFile)
        assert JpegImagePlugin.get_sampling(before) == -1
        assert after.quantization[0] == before.quantization[0]
        assert JpegImagePlugin.get_sampling(after) == 0


def test_a_jpeg_of_another_kind_of_photo_is_fine(tmp_path: Path) -> None:
    photo = Photo(np.zeros((16, 16, 3), np.uint8))
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    with Image.open(tmp_path / "out.jpg") as image:
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        assert JpegImagePlugin.get_sampling(image) == 0
        assert max(image.quantization[0]) < 15


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_resolution_goes_on(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "in.png", dpi=(300, 300))
    photo = read_photo(tmp_path / "in.png")
    write_photo(photo.pixels, tmp_path / f"out{suffix}", photo)
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_stripped_of_metadata_only_profile_and_mark_stay(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "A photographer"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    jpeg_with_iptc(
        tmp_path / "in.jpg", b"\x1c\x02\x50\x00\x0eA photographer", exif=exif.tobytes(),
        xmp=packet("<dc:source>A photographer</dc:source>"), dpi=(300, 300), icc_profile=profile,
    )  # fmt: skip
    photo = read_photo(tmp_path / "in.jpg")
    path = tmp_path / f"out{suffix}"
    write_photo(photo.pixels, path, photo, strip_metadata=True)
    assert b"A photographer" not in path.read_bytes()
    stripped = read_photo(path)
    assert stripped.icc_profile == profile
    assert stripped.xmp is not None and DIGITAL_SOURCE_TYPE.encode() in stripped.xmp
    assert stripped.exif is None and stripped.iptc is None
    write_photo(photo.pixels, path, photo)
    assert b"A photographer" in path.read_bytes()


def test_damaged_notes_beside_a_picture_do_not_stop_it(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    body = b"Photoshop 3.0\0" + b"8BIM\xff\xff\xff\xff\xff"
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", extra=segment, dpi=(1, 1), xmp=b"\xff\xfe<")
    (tmp_path / "p.jpg").write_bytes(buffer.getvalue())
    photo = read_photo(tmp_path / "p.jpg")
    write_photo(photo.pixels, tmp_path / "out.jpg", photo)
    assert read_photo(tmp_path / "out.jpg").pixels.shape == (10, 20, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_time_of_taking_goes_on_and_the_files_own_time_is_that_of_the_edit(
    tmp_path: Path, suffix: str
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    Image.new("RGB", (20, 16), "grey").save(tmp_path / "photo.jpg", exif=exif)
    long_ago = 981_173_106
    os.utime(tmp_path / "photo.jpg", (long_ago, long_ago))
    photo = read_photo(tmp_path / "photo.jpg")
    target = tmp_path / f"result{suffix}"
    write_photo(photo.pixels, target, photo)
    with Image.open(target) as image:
        assert image.getexif().get_ifd(0x8769)[0x9003] == "2001:02:03 04:05:06"
    assert target.stat().st_mtime > long_ago + 10**8
