"""Large photos: what they take is said beforehand, and no more than that is taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.failures import NO_FACE, OK
from pipeline.picture import photo as photo_module
from pipeline.picture.photo import MAX_PIXELS, cost_of, read_photo
from pipeline.stages.artifact_files import png_bytes
from tests.conftest import Run
from tests.pipeline_cases import Case, make_photo

PEAK = """
import resource, sys
from pipeline.picture.photo import read_photo
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
pixels = read_photo(sys.argv[1]).pixels
print((peak() - before) / (pixels.shape[0] * pixels.shape[1]))
"""


def grey_jpeg(path: Path, width: int, height: int) -> Path:
    Image.new("RGB", (width, height), "grey").save(path, quality=50)
    return path


def test_a_large_photos_cost_is_said_and_a_small_ones_is_not(tmp_path: Path) -> None:
    large = cost_of(grey_jpeg(tmp_path / "large.jpg", 10_000, 6000))
    assert large == (
        "the photo has 60 megapixels: it takes about 1.8 GB of memory, and 1 minute or more"
    )
    assert cost_of(grey_jpeg(tmp_path / "small.jpg", 4000, 3000)) is None
    (tmp_path / "words.jpg").write_text("no picture")
    assert cost_of(tmp_path / "words.jpg") is None
    assert cost_of(tmp_path / "missing.jpg") is None


def test_the_cost_is_told_before_anything_is_decoded(
    case: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photo_module, "LARGE", 0)
    told = run(case.invert())
    assert told.code == OK
    assert told.err.index("megapixels: it takes about") < told.err.index("Face")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kB of ru_maxrss are Linux's")
def test_reading_a_photo_takes_no_more_than_a_few_copies_of_it(tmp_path: Path) -> None:
    path = grey_jpeg(tmp_path / "photo.jpg", 6000, 4000)
    made = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
    )
    # Pillow's 4 bytes a pixel, the same as bytes, and the array.
    assert float(made.stdout) < 13


def test_a_photo_that_is_turned_in_place_is_the_same(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(make_photo(tmp_path / "a.png", size=(40, 30))) as image:
        image.save(tmp_path / "turned.png", exif=exif)
        upright = np.rot90(np.asarray(image.convert("RGB")), 3)
    read = read_photo(tmp_path / "turned.png")
    assert np.array_equal(read.pixels, upright)
    assert read.pixels.flags.writeable


def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(
    case: Case, run: Run
) -> None:
    side = int(MAX_PIXELS**0.5) + 100
    picture = bytearray(png_bytes(np.zeros((8, 8, 3), np.uint8)))
    picture[16:24] = side.to_bytes(4, "big") * 2  # the header alone says so
    import zlib

    picture[29:33] = zlib.crc32(picture[12:29]).to_bytes(4, "big")
    case.photo.write_bytes(picture)
    refused = run(case.invert())
    assert refused.code == NO_FACE and "megapixels" in refused.err
    assert not case.workspace.exists()
