"""Faces that the first look does not see: far away, in long pictures, and in turned ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.face import Face, box_of
from inversion.faces.finder import close_octaves
from inversion.faces.landmarks import (
    find_faces,
    neighbours_notice,
    outside_notice,
    softness_notice,
)
from inversion.faces.no_face import NoFaceFound
from inversion.faces.search import CLOSE_PIXELS, search
from stylegan2.arrays import Float64Array, UInt8Image
from tools.finder_measure import faceless_samples

ASTRONAUT = np.array(
    [[202.8, 100.8], [245.8, 103.2], [225.3, 125.8], [204.5, 140.8], [242.8, 141.5]]
)
"""Eyes, nose and mouth in skimage.data.astronaut(), placed by eye."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def error(face: Face, truth: Float64Array) -> float:
    """Return the mean distance of the five points in eye distances."""
    return float(np.hypot(*(face.eyes_mouth - truth).T).mean() / np.hypot(*(truth[1] - truth[0])))


def scene(
    size: tuple[int, int], scale: float, at: tuple[int, int]
) -> tuple[UInt8Image, Float64Array]:
    """Put the astronaut, scaled, onto bricks (width, height); return her points, too."""
    bricks = Image.fromarray(skimage.data.brick()).convert("RGB")
    picture = Image.new("RGB", size)
    for x in range(0, size[0], bricks.width):
        for y in range(0, size[1], bricks.height):
            picture.paste(bricks, (x, y))
    side = round(512 * scale)
    astronaut = Image.fromarray(skimage.data.astronaut())
    picture.paste(astronaut.resize((side, side), Image.Resampling.LANCZOS), at)
    return np.array(picture), (ASTRONAUT + 0.5) * (side / 512) - 0.5 + at


# ------------------------------------------------------------------------------ a closer look


def test_a_face_of_45_pixels_in_a_large_photo_is_found_and_said_to_be_small() -> None:
    pixels, truth = scene((2000, 1500), 0.45, (1500, 300))
    (face,) = find_faces(pixels, "offline").faces
    assert error(face, truth) < 0.1
    soft = softness_notice(face)
    assert soft is not None and "soft" in soft and f"{face.box[2] - face.box[0]:.0f} pixels" in soft


def test_a_face_in_a_panorama_is_found() -> None:
    pixels, truth = scene((5400, 540), 1.0, (3000, 10))
    (face,) = find_faces(pixels, "offline").faces
    assert error(face, truth) < 0.1
    assert softness_notice(face) is None


def test_an_ordinary_photo_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[tuple[tuple[int, ...], bool]] = []
    found = Face(ASTRONAUT, None, (0, 0, 9, 9), "finder", 0.9)

    def look(picture: UInt8Image, closely: bool) -> list[Face]:
        looks.append((picture.shape, closely))
        return [found]

    assert search(np.zeros((40, 60, 3), np.uint8), look) == ([found], 0)
    assert looks == [((40, 60, 3), False)]


def test_looks_get_closer_before_the_picture_is_turned() -> None:
    looks: list[tuple[tuple[int, ...], bool]] = []

    def look(picture: UInt8Image, closely: bool) -> list[Face]:
        looks.append((picture.shape, closely))
        return []

    assert search(np.zeros((40, 60, 3), np.uint8), look) == ([], 0)
    wide, high = (40, 60, 3), (60, 40, 3)
    assert looks == [(wide, False), (wide, True), (high, False), (wide, False), (high, False)]


@pytest.mark.parametrize("size", [(2000, 1500), (9000, 900), (30_000, 2000), (300, 200), (1, 9000)])
def test_a_close_look_is_bounded_and_never_enlarges(size: tuple[int, int]) -> None:
    for side in close_octaves(*size):
        scale = side / max(size)
        assert scale <= 1
        assert size[0] * size[1] * scale**2 <= CLOSE_PIXELS * 1.01


def test_pictures_without_a_face_give_none_however_closely_they_are_looked_at() -> None:
    for pixels in faceless_samples()[::3]:
        with pytest.raises(NoFaceFound, match=f"{pixels.shape[1]} x {pixels.shape[0]}"):
            find_faces(pixels, "offline")


# ------------------------------------------------------------------------------ turned pictures


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_in_a_turned_photo_is_found_where_it_lies(turns: int) -> None:
    upright = skimage.data.astronaut()[:, :440]
    turned = np.ascontiguousarray(np.rot90(upright, -turns))
    found = find_faces(turned, "offline")
    (face,) = found.faces
    (notice,) = found.notices
    assert ("upside down" if turns == 2 else "on its side") in notice
    # A picture of coordinates, turned alike, says where each point went.
    grid = np.rot90(np.stack(np.meshgrid(np.arange(440), np.arange(512)), axis=-1), -turns)
    there = [
        np.argwhere((grid == point).all(axis=-1))[0][::-1]
        for point in ASTRONAUT.round().astype(int)
    ]
    assert error(face, np.array(there, np.float64)) < 0.1
    x0, y0, x1, y1 = face.box
    assert x0 < face.eyes_mouth[:, 0].min() and face.eyes_mouth[:, 0].max() < x1
    assert y0 < face.eyes_mouth[:, 1].min() and face.eyes_mouth[:, 1].max() < y1


def test_the_crop_of_a_face_that_lies_on_its_side_is_upright() -> None:
    upright = skimage.data.astronaut()
    turned = np.ascontiguousarray(np.rot90(upright))
    crops = []
    for pixels in (upright, turned):
        (face,) = find_faces(pixels, "offline").faces
        crops.append(align(pixels, ffhq_quad(face), 128).image.astype(float))
    assert np.abs(crops[0] - crops[1]).mean() < 8
    assert np.abs(crops[0] - crops[1][::-1, ::-1]).mean() > 30


# ------------------------------------------------------------- what is said of a face that is taken


def a_face(middle: tuple[float, float], eyes: float = 60.0) -> Face:
    template = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1], [0.4, 1]])
    points = template * eyes + middle
    return Face(points, None, box_of(points), "finder", 0.9)


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        ((200.0, 200.0), None),
        ((10.0, 200.0), "before an eye and the mouth of"),
        ((200.0, 350.0), "before the mouth of"),
    ],
)
def test_parts_of_a_face_that_lie_beside_the_photo_are_named(
    middle: tuple[float, float], words: str | None
) -> None:
    told = outside_notice(a_face(middle), 400, 400)
    assert told is None if words is None else told is not None and words in told


@pytest.mark.parametrize(("apart", "near"), [(60.0, True), (100.0, True), (400.0, False)])
def test_a_face_that_overlaps_another_is_said_to_move_with_it(apart: float, near: bool) -> None:
    faces = [a_face((300.0, 300.0)), a_face((300.0 + apart, 310.0))]
    told = neighbours_notice(faces[0], faces)
    assert (told is not None) is near
    assert told is None or told.startswith("Face 2 lies so near")
    assert neighbours_notice(faces[0], faces[:1]) is None
