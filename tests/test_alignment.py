"""A face is cut out where FFHQ cuts it, without aliasing, and every pixel knows its way back."""

from __future__ import annotations

import numpy as np
import pytest

from inversion.faces.alignment import (
    align,
    align_none,
    aligned_to_photo,
    crop_scale,
    ffhq_quad,
    photo_to_aligned,
)
from inversion.faces.face import Face
from inversion.faces.landmarks_file import LandmarksInvalid
from stylegan2.arrays import Array, UInt8Image


def face(*points: tuple[float, float]) -> Face:
    return Face(np.array(points, np.float64), None, (0, 0, 1, 1), "file", 1.0)


def square(middle: tuple[float, float], side: float, angle: float = 0.0) -> Array:
    u = side / 2 * np.array([np.cos(angle), np.sin(angle)])
    v = np.array([-u[1], u[0]])
    c = np.array(middle)
    return np.stack([c - u - v, c - u + v, c + u + v, c + u - v])


def waves(x: Array, y: Array) -> Array:
    """Give a smooth picture as a function of the place, so that resampling has a right answer."""
    red = 128 + 100 * np.sin(x / 40 + 0.3) * np.cos(y / 50)
    green = 128 + 90 * np.cos(x / 35 - y / 60)
    blue = 128 + 80 * np.sin(y / 45 + x / 90 + 1)
    return np.stack([red, green, blue], axis=-1)


def photo(height: int, width: int) -> UInt8Image:
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    pixels: UInt8Image = waves(x, y).round().astype(np.uint8)
    return pixels


def test_an_upright_face_gets_the_square_worked_out_by_hand() -> None:
    # Eyes 40 apart, mouth 45 below them: half the side is max(2.0 * 40, 1.8 * 45) = 81, and the
    # middle lies a tenth of the way from the eyes to the mouth.
    quad = ffhq_quad(face((80, 100), (120, 100), (100, 125), (85, 145), (115, 145)))
    expected = [[19, 23.5], [19, 185.5], [181, 185.5], [181, 23.5]]
    assert np.allclose(quad, expected)


def test_the_crop_turns_and_grows_with_the_face() -> None:
    points = np.array([(80, 100), (120, 100), (100, 125), (85, 145), (115, 145)], float)
    turn = 2.5 * np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    moved = points @ turn.T + (300, -20)
    upright = ffhq_quad(face(*map(tuple, points)))
    assert np.allclose(ffhq_quad(face(*map(tuple, moved))), upright @ turn.T + (300, -20))


def test_the_outer_corner_of_the_crop_is_the_quads_corner() -> None:
    quad = square((50.0, 40.0), 64, 0.4)
    matrix = aligned_to_photo(quad, 16)
    corners = np.array([[-0.5, -0.5], [-0.5, 15.5], [15.5, 15.5], [15.5, -0.5]])
    assert np.allclose(corners @ matrix[:2, :2].T + matrix[:2, 2], quad)
    assert np.allclose(photo_to_aligned(quad, 16) @ matrix, np.eye(3))
    assert crop_scale(quad, 16) == pytest.approx(4.0)


@pytest.mark.parametrize("angle", [0.0, 0.5, -1.3, 3.0])
@pytest.mark.parametrize(("side", "size"), [(40, 64), (64, 64), (190, 64), (300, 32), (300, 256)])
def test_every_pixel_of_the_crop_shows_the_place_that_the_matrix_names(
    side: float, size: int, angle: float
) -> None:
    quad = square((231.3, 220.7), side, angle)
    aligned = align(photo(450, 470), quad, size)
    j, i = np.meshgrid(np.arange(size), np.arange(size))
    matrix = aligned_to_photo(quad, size)
    x, y = np.moveaxis(np.stack([j, i], -1) @ matrix[:2, :2].T + matrix[:2, 2], -1, 0)
    error = aligned.image - waves(x, y)
    assert np.abs(error).max() < 3.0
    assert np.abs(error.mean()) < 0.3
    # A shift would show as a slope against the gradient; a tenth of a pixel may be rounding.
    for axis in (0, 1):
        slope = np.gradient(waves(x, y), axis=axis)
        assert abs((error * slope).sum() / (slope**2).sum()) < 0.1


def test_a_quad_on_the_pixel_grid_is_cut_out_exactly() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    quad = np.array([[9.5, 19.5], [9.5, 51.5], [41.5, 51.5], [41.5, 19.5]])
    assert np.array_equal(align(pixels, quad, 32).image, pixels[20:52, 10:42])


@pytest.mark.parametrize("side", [150, 256, 300])
def test_stripes_finer_than_the_crop_become_grey_and_not_false_stripes(side: int) -> None:
    stripes = np.zeros((320, 320, 3), np.uint8)
    stripes[:, ::2] = 255
    image = align(stripes, square((160.0, 160.0), side, 0.1), 32).image
    assert np.abs(image[4:-4, 4:-4].astype(float) - 127.5).max() < 6


def test_outside_the_photo_its_mirror_image_goes_on_and_blurs() -> None:
    quad = square((19.5, 59.5), 100)
    image = align(photo(120, 120), quad, 100).image.astype(int)
    # The crop begins 30 pixels left of the photo.
    assert np.abs(image[:, 29] - image[:, 30]).max() < 6, "no step where the photo ends"
    assert np.abs(image[:, 26] - image[:, 34]).max() < 6, "the filling mirrors the photo"
    noise = np.random.default_rng(0).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    filled = align(noise, quad, 100).image
    assert filled[20:80, :10].std() < 0.5 * noise.std(), "far outside it is blurred"
    assert np.array_equal(filled[:, 30:], noise[10:110, :70]), "the photo itself is not"


def test_a_face_beside_the_photo_is_refused() -> None:
    with pytest.raises(LandmarksInvalid, match="outside the 60 x 50 picture"):
        align(photo(50, 60), square((200.0, 20.0), 40), 16)


def test_a_face_far_larger_than_the_photo_is_cut_out_all_the_same() -> None:
    image = align(photo(50, 60), square((30.0, 25.0), 1e6), 16).image
    assert image.shape == (16, 16, 3)


def test_aligning_twice_gives_the_same_bytes() -> None:
    quad = square((30.0, 40.0), 90, 0.3)
    first, second = (align(photo(90, 80), quad, 48).image for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64), (64, 41), (33, 32)])
def test_without_alignment_the_whole_picture_is_centred(height: int, width: int) -> None:
    pixels = photo(height, width)
    side = max(height, width)
    aligned = align_none(pixels, side)
    matrix = photo_to_aligned(aligned.quad, side)
    left, top = np.rint(matrix[:2, 2]).astype(int)
    assert np.allclose(matrix, [[1, 0, left], [0, 1, top], [0, 0, 1]])
    assert abs(left - (side - width) / 2) <= 0.5 and abs(top - (side - height) / 2) <= 0.5
    assert np.array_equal(aligned.image[top : top + height, left : left + width], pixels)
    assert (aligned.image[:, :left] == aligned.image[:, left : left + 1]).all()
    assert (aligned.image[:top] == aligned.image[top]).all()


def test_without_alignment_the_picture_is_scaled_to_the_size_asked_for() -> None:
    aligned = align_none(photo(96, 60), 32)
    assert aligned.image.shape == (32, 32, 3)
    assert crop_scale(aligned.quad, 32) == pytest.approx(3.0)
