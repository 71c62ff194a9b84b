"""The photo keeps its sharpness where the small picture moved, and all its bits elsewhere."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from inversion.faces.alignment import align, align_none, aligned_to_photo, photo_to_aligned
from pipeline.picture.composite import paste_back
from stylegan2.arrays import Array, UInt8Image

RESOLUTION = 64
SIZE = 480


def square(middle: tuple[float, float], side: float, angle: float = 0.0) -> Array:
    u = side / 2 * np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    c = np.array(middle)
    return np.stack([c - u - v, c - u + v, c + u + v, c + u - v])


QUAD = square((239.5, 239.5), 384)


def portrait(size: int = SIZE) -> UInt8Image:
    """Paint a face: an oval with eyes, nose and mouth, and fine texture over everything."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    picture = np.zeros((size, size, 3)) + (70, 90, 120)

    def paint(colour: tuple[int, int, int], cx: float, cy: float, rx: float, ry: float) -> None:
        inside = np.clip(
            (1 - np.hypot((x - cx) / rx, (y - cy) / ry)) * 40 * min(rx, ry) / 0.05, 0, 1
        )
        picture[:] = picture * (1 - inside[..., None]) + np.array(colour) * inside[..., None]

    paint((205, 165, 140), 0, 0, 0.25, 0.33)
    for side in (-1, 1):
        paint((245, 245, 245), side * 0.1, -0.06, 0.05, 0.025)
        paint((50, 40, 30), side * 0.1, -0.06, 0.02, 0.02)
        paint((80, 60, 45), side * 0.1, -0.12, 0.07, 0.012)
    paint((180, 135, 115), 0, 0.05, 0.03, 0.04)
    paint((165, 70, 75), 0, 0.16, 0.1, 0.03)
    noise = np.random.default_rng(0).normal(0, 1, (size, size, 1))
    fine = cv2.GaussianBlur(noise, (0, 0), 2.0)[..., None]
    texture = 10 * fine / fine.std() * (1 + 0.5 * np.sin(x * 60))[..., None]
    pixels: UInt8Image = (picture + texture).round().clip(0, 255).astype(np.uint8)
    return pixels


def warped(
    pixels: UInt8Image, at: tuple[float, float], by: tuple[float, float], reach: float
) -> Any:
    """Move what is at a place, and less and less of its surroundings."""
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(np.float32)
    share = np.exp(-((x - at[0] - by[0]) ** 2 + (y - at[1] - by[1]) ** 2) / (2 * reach**2))
    source_x, source_y = (
        axis.astype(np.float32) for axis in (x - share * by[0], y - share * by[1])
    )
    return cv2.remap(pixels, source_x, source_y, cv2.INTER_CUBIC)


def enlarged(picture: UInt8Image, quad: Array, pixels: UInt8Image) -> UInt8Image:
    """Paste the small picture the plain way, scaled up."""
    side = len(picture)
    matrix = photo_to_aligned(quad, side)[:2]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(picture, matrix, pixels.shape[1::-1], flags=flags)
    return np.asarray(np.where(inside(quad, pixels)[..., None], large, pixels), np.uint8)


def inside(quad: Array, pixels: UInt8Image) -> Array:
    """Mark the photo's pixels whose centres lie in the quad."""
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]]
    matrix = photo_to_aligned(quad, 1)
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + 0.5
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + 0.5
    return np.asarray((u > 0) & (u < 1) & (v > 0) & (v < 1))


def psnr(a: Array, b: Array, where: Array) -> float:
    error = ((a.astype(float) - b) ** 2)[where].mean()
    return float(10 * np.log10(255**2 / error))


EDITS = {
    "smile": ((192.0, 316.0), (-14.0, -16.0), 30.0),
    "mouth": ((239.0, 316.0), (0.0, 14.0), 40.0),
    "jaw": ((239.0, 395.0), (0.0, -22.0), 45.0),
    "eye": ((288.0, 210.0), (10.0, -8.0), 28.0),
}


@pytest.mark.parametrize(
    ("edit", "angle"), [("smile", 0.0), ("smile", 0.35), ("mouth", 0.0), ("eye", 0.35)]
)
def test_a_moved_face_is_nearly_as_sharp_as_if_the_photo_had_been_moved(
    edit: str, angle: float
) -> None:
    photo, quad = portrait(), square((239.5, 239.5), 384, angle)
    target = warped(photo, *EDITS[edit])
    tuned, edited = (align(p, quad, RESOLUTION).image for p in (photo, target))

    result = paste_back(photo, quad, tuned, edited)

    changed = np.abs(target.astype(int) - photo).max(axis=2) > 12
    plain = psnr(enlarged(edited, quad, photo), target, changed)
    assert psnr(result, target, changed) > plain + 3
    assert psnr(result, target, changed) > psnr(photo, target, changed) + 5


def test_an_edit_that_changed_nothing_gives_the_photo_bit_by_bit() -> None:
    photo = portrait()
    tuned = np.random.default_rng(1).integers(0, 256, (RESOLUTION, RESOLUTION, 3), dtype=np.uint8)
    result = paste_back(photo, QUAD, tuned, tuned.copy())
    assert np.array_equal(result, photo)
    assert result is not photo


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_outside_the_crop_not_a_bit_changes_even_if_all_of_it_did(angle: float) -> None:
    photo, quad = portrait(), square((230.0, 250.0), 300, angle)
    before = photo.copy()
    tuned = align(photo, quad, RESOLUTION).image
    result = paste_back(photo, quad, tuned, 255 - tuned)
    outside = ~inside(quad, photo)
    assert np.array_equal(result[outside], photo[outside])
    assert (result[~outside] != photo[~outside]).mean() > 0.5
    assert np.array_equal(photo, before), "the photo given is not written to"


def test_far_from_the_edit_the_photo_is_unchanged_bit_by_bit() -> None:
    photo = portrait()
    target = warped(photo, *EDITS["smile"])
    tuned, edited = (align(p, QUAD, RESOLUTION).image for p in (photo, target))
    # The generator changes a grey level here and there on every drag.
    edited = edited + np.random.default_rng(0).integers(0, 2, edited.shape, dtype=np.uint8)
    result = paste_back(photo, QUAD, tuned, edited)
    assert np.array_equal(result[:160], photo[:160])
    assert np.array_equal(result[:, 330:], photo[:, 330:])


def test_a_generator_with_other_colours_leaves_no_seam_and_no_tint() -> None:
    photo = portrait()
    target = warped(photo, *EDITS["jaw"])
    tuned, edited = (align(p, QUAD, RESOLUTION).image for p in (photo, target))
    tinted = [
        np.clip(p * 0.9 + (18.0, -6.0, 4.0), 0, 255).astype(np.uint8) for p in (tuned, edited)
    ]
    result = paste_back(photo, QUAD, *tinted).astype(float)
    smooth = cv2.GaussianBlur(result - target, (0, 0), 8)
    assert np.abs(smooth).max() < 12
    assert np.abs((result - target)[inside(QUAD, photo)].mean(axis=0)).max() < 1


def test_brighter_light_is_added_and_fades_out_before_the_edge_of_the_crop() -> None:
    photo = np.full((SIZE, SIZE, 3), 120, np.uint8)
    tuned = np.full((RESOLUTION, RESOLUTION, 3), 110, np.uint8)
    result = paste_back(photo, QUAD, tuned, tuned + np.uint8(30)).astype(int)
    assert np.abs(result[200:280, 200:280] - 150).max() <= 2
    profile = result[240, :, 0]
    assert profile[47] == 120
    assert np.abs(np.diff(profile)).max() <= 4, "no step anywhere across the picture"


def test_new_light_keeps_the_texture_of_the_skin() -> None:
    photo = portrait()
    tuned = align(photo, QUAD, RESOLUTION).image
    y, x = np.mgrid[0:RESOLUTION, 0:RESOLUTION]
    glow = 25 * np.exp(-((x - 32) ** 2 + (y - 28) ** 2) / (2 * 10.0**2))
    edited = (tuned + glow[..., None]).clip(0, 255).astype(np.uint8)
    result = paste_back(photo, QUAD, tuned, edited).astype(float)
    part = np.s_[190:230, 215:265]
    fine, own = (
        p[part] - cv2.GaussianBlur(p, (0, 0), 4)[part] for p in (result, photo.astype(float))
    )
    assert (fine * own).sum() / (own * own).sum() > 0.7


def test_a_new_thing_replaces_the_photo_and_carries_none_of_its_texture() -> None:
    photo = portrait()
    tuned = align(photo, QUAD, RESOLUTION).image
    edited = tuned.copy()
    cv2.ellipse(edited, (32, 46), (9, 5), 0, 0, 360, (60, 15, 20), -1)
    result = paste_back(photo, QUAD, tuned, edited)
    place = aligned_to_photo(QUAD, RESOLUTION) @ (32, 46, 1)
    x, y = round(place[0]), round(place[1])
    opened = result[y - 12 : y + 12, x - 24 : x + 24].astype(float)
    assert np.abs(opened.mean(axis=(0, 1)) - (60, 15, 20)).max() < 8
    assert opened.std(axis=(0, 1)).max() < 0.5 * photo[y - 12 : y + 12, x - 24 : x + 24].std()


def test_a_face_far_smaller_than_the_generator_is_pasted_as_the_generator_drew_it() -> None:
    photo = portrait()
    quad = square((239.5, 239.5), 40)
    tuned = align(photo, quad, 128).image
    edited = np.roll(tuned, 10, axis=1)[::-1]
    result = paste_back(photo, quad, tuned, edited)
    drawn = cv2.resize(edited, (40, 40), interpolation=cv2.INTER_AREA)
    error = result[220:260, 220:260].astype(int) - drawn
    assert np.abs(error[8:-8, 8:-8]).mean() < 6


@pytest.mark.parametrize(("height", "width"), [(120, 120), (90, 140), (150, 101)])
def test_a_picture_taken_whole_is_edited_up_to_its_edges(height: int, width: int) -> None:
    small = cv2.resize(portrait(), (width, height), interpolation=cv2.INTER_AREA)
    photo = np.asarray(small, np.uint8)
    aligned = align_none(photo, RESOLUTION)
    edited = (aligned.image * 0.5).astype(np.uint8)
    result = paste_back(photo, aligned.quad, aligned.image, edited)
    for part in (result[0], result[-1], result[:, 0], result[:, -1]):
        assert part.mean() < 0.65 * photo.mean()


def test_a_crop_that_leaves_the_photo_is_pasted_as_far_as_the_photo_goes() -> None:
    photo = portrait()
    quad = square((100.0, 239.5), 384)
    target = warped(photo, *EDITS["smile"])
    tuned, edited = (align(p, quad, RESOLUTION).image for p in (photo, target))
    result = paste_back(photo, quad, tuned, edited)
    changed = np.abs(target.astype(int) - photo).max(axis=2) > 12
    assert result.shape == photo.shape
    assert psnr(result, target, changed) > psnr(photo, target, changed) + 4


def test_pictures_of_different_sizes_are_a_programming_error() -> None:
    tuned = np.zeros((RESOLUTION, RESOLUTION, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(64, 64, 3\).*\(32, 32, 3\)"):
        paste_back(portrait(), QUAD, tuned, tuned[::2, ::2])
