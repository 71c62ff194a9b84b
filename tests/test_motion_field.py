"""The field that moves a photo: what is known of it, what is asked of it, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from drag.points import DragPoint
from inversion.faces.alignment import aligned_to_photo
from pipeline.picture.brush import plain_motion
from pipeline.picture.face_area import on_face
from pipeline.picture.face_motion import face_motion
from pipeline.picture.motion import REGION, Motion
from pipeline.picture.smooth_field import (
    AGREEMENT,
    BENDING,
    PINNING,
    ROUNDS,
    STRETCHING,
    UNIT,
    smooth_field,
)
from pipeline.picture.warp import warp
from stylegan2.arrays import Float64Array, UInt8Image

SIZE = 128
POINTS = [DragPoint((50.0, 60.0), (56.0, 58.0)), DragPoint((80.0, 90.0), (82.0, 99.0))]


def textured(size: int, seed: int = 0) -> UInt8Image:
    """Make a picture with details of several sizes."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(size=(size, size, 3)), (0, 0), s) * s for s in (2, 5, 12)]
    picture = np.sum(layers, axis=0)
    return np.asarray((128 + 90 * picture / np.abs(picture).max()).astype(np.uint8))


def way_at(motion: Motion, xy: tuple[float, float], size: int = SIZE) -> Float64Array:
    """Read a motion at a place of the crop, in pixels of the crop."""
    n = len(motion.way)
    x, y = (((v + 0.5) / size - 0.5) / REGION * n + n / 2 - 0.5 for v in xy)
    left, top = int(x), int(y)
    total = np.zeros(2)
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        share = (1 - abs(x - column)) * (1 - abs(y - row))
        total += share * motion.way[row, column]
    return total * REGION * size


def moved_by(
    picture: UInt8Image, field: Callable[[Float64Array, Float64Array], Float64Array]
) -> UInt8Image:
    """Take every pixel from where field (x, y -> [2, n, n], pixels) points to."""
    y, x = np.mgrid[0 : len(picture), 0 : len(picture)].astype(np.float64)
    way = field(x, y)
    from_x, from_y = (x + way[0]).astype(np.float32), (y + way[1]).astype(np.float32)
    moved = cv2.remap(picture, from_x, from_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def swell(x: Float64Array, y: Float64Array) -> Float64Array:
    """A smooth motion of up to 6 pixels around (70, 64)."""
    near = np.exp(-((x - 70) ** 2 + (y - 64) ** 2) / (2 * 18**2))
    return np.stack([-6 * near, 3 * near])


def test_the_smooth_field_is_the_least_of_its_prices() -> None:
    n = 12
    rng = np.random.default_rng(1)
    measured, weight = rng.normal(size=(n, n, 2)), rng.uniform(size=(n, n))
    free = np.zeros((n, n), bool)
    free[2:-2, 1:-1] = True
    free[5, 6] = False
    pins, ways = np.array([[4.3, 5.6], [8.0, 3.2]]), np.array([[0.5, -0.2], [0.1, 0.4]])
    found = smooth_field(measured, weight, pins, ways, free)

    scale = n / UNIT
    places = np.argwhere(free)
    expected = np.zeros((n, n, 2))
    agreeing = np.ones((n, n))
    for _ in range(ROUNDS + 1):
        rows, right = [], []
        for field_row, goal in _literal_prices(
            n, scale, measured, weight * agreeing, pins, ways, places
        ):
            rows.append(field_row)
            right.append(goal)
        solved = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
        expected[:] = 0
        expected[free] = solved
        miss = ((expected - measured) ** 2).sum(axis=2) / (AGREEMENT * scale) ** 2
        agreeing = 1 / (1 + miss)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def _literal_prices(
    n: int,
    scale: float,
    measured: Float64Array,
    weight: Float64Array,
    pins: Float64Array,
    ways: Float64Array,
    places: npt.NDArray[np.int64],
) -> Iterator[tuple[Float64Array, Float64Array]]:
    """Give every squared term of the price as a row over the free places and what it should be."""
    number = {tuple(place): i for i, place in enumerate(places)}

    def row(parts: list[tuple[tuple[int, int], float]]) -> Float64Array:
        values = np.zeros(len(places))
        for place, part in parts:
            if place in number:
                values[number[place]] += part
        return values

    for y in range(n):
        for x in range(n):
            root = np.sqrt(weight[y, x])
            yield root * row([((y, x), 1.0)]), root * measured[y, x]
            around = [((y, x), -4.0)]
            around += [((y + dy, x + dx), 1.0) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))]
            yield np.sqrt(BENDING) * scale**2 * row(around), np.zeros(2)
    for y in range(-1, n):
        for x in range(-1, n):
            for dy, dx in ((0, 1), (1, 0)):
                step = row([((y + dy, x + dx), 1.0), ((y, x), -1.0)])
                yield np.sqrt(STRETCHING) * scale * step, np.zeros(2)
    for (x, y), way in zip(pins, ways, strict=True):
        left, top = int(x), int(y)
        parts = [
            ((top + dy, left + dx), (1 - abs(x - left - dx)) * (1 - abs(y - top - dy)))
            for dy in (0, 1)
            for dx in (0, 1)
        ]
        yield np.sqrt(PINNING) * scale * row(parts), np.sqrt(PINNING) * scale * way


@pytest.mark.parametrize("by_network", [True, False])
def test_what_lies_at_the_handles_is_exactly_at_the_targets_afterwards(by_network: bool) -> None:
    picture = textured(SIZE)
    after = moved_by(picture, swell)
    motion = face_motion(picture, after, POINTS) if by_network else plain_motion(POINTS, SIZE)
    for point in POINTS:
        way = np.subtract(point.handle, point.target)
        np.testing.assert_allclose(way_at(motion, point.target), way, atol=1e-3)


def test_the_motion_follows_what_the_two_pictures_show() -> None:
    picture = textured(SIZE)
    x, y = 76.0, 61.0
    dx, dy = swell(np.array(x), np.array(y))
    point = DragPoint((x + dx, y + dy), (x, y))
    motion = face_motion(picture, moved_by(picture, swell), [point])
    for place in ((60, 70), (90, 60), (70, 90), (50, 40), (100, 100)):
        expected = swell(np.array(float(place[0])), np.array(float(place[1])))
        np.testing.assert_allclose(way_at(motion, place), expected, atol=0.6)


def test_a_stain_in_the_dragged_picture_moves_nothing() -> None:
    picture = textured(SIZE)
    after = moved_by(picture, swell)
    after[80:100, 20:44] = textured(SIZE, seed=5)[:20, :24]
    point = DragPoint((70.0, 64.0), (76.0, 61.0))
    motion = face_motion(picture, after, [point])
    assert np.abs(way_at(motion, (32, 90))).max() < 1.5
    assert motion.areas().min() > 0.1


def test_a_way_that_the_generator_did_not_go_is_gone_all_the_same_without_a_fold() -> None:
    picture = textured(SIZE)
    motion = face_motion(picture, picture, [DragPoint((64.0, 64.0), (64.0, 78.0))])
    np.testing.assert_allclose(way_at(motion, (64.0, 78.0)), (0, -14), atol=1e-3)
    assert motion.areas().min() > 0.05


@pytest.mark.parametrize("by_network", [True, False])
def test_a_mask_is_a_wall(by_network: bool) -> None:
    picture = textured(SIZE)
    movable = np.zeros((SIZE, SIZE), bool)
    movable[40:80, 30:90] = True
    points = [DragPoint((60.0, 60.0), (66.0, 60.0))]
    after = moved_by(picture, swell)
    if by_network:
        motion = face_motion(picture, after, points, movable)
    else:
        motion = plain_motion(points, SIZE, movable)
    quad = np.array([[99.5, 99.5], [99.5, 227.5], [227.5, 227.5], [227.5, 99.5]])
    photo = textured(400, seed=2)
    result = warp(photo, quad, motion)
    changed = np.argwhere((result != photo).any(axis=2)) - 100
    assert changed.size
    assert changed[:, 0].min() >= 40 and changed[:, 0].max() < 80
    assert changed[:, 1].min() >= 30 and changed[:, 1].max() < 90
    np.testing.assert_allclose(way_at(motion, (66.0, 60.0)), (-6, 0), atol=1e-3)


def test_no_mask_leaves_what_lies_beyond_the_region_bit_by_bit() -> None:
    photo = textured(400, seed=2)
    quad = np.array([[99.5, 99.5], [99.5, 227.5], [227.5, 227.5], [227.5, 99.5]])
    chin = DragPoint((64.0, 118.0), (64.0, 127.0))
    result = warp(photo, quad, plain_motion([chin], SIZE))
    changed = np.argwhere((result != photo).any(axis=2)) - 100
    margin = (REGION - 1) / 2 * SIZE
    assert changed[:, 0].max() > SIZE, "the neck moves along, beyond the crop"
    assert changed.min() >= -margin and changed.max() < SIZE + margin


def test_a_turned_and_scaled_crop_moves_the_photo_by_the_same_motion() -> None:
    photo = textured(500, seed=3)
    quad = np.array([[120.0, 160.0], [180.0, 400.0], [420.0, 340.0], [360.0, 100.0]])
    point = DragPoint((60.0, 64.0), (70.0, 60.0))
    motion = plain_motion([point], SIZE)
    result = warp(photo, quad, motion)
    to_photo = aligned_to_photo(quad, SIZE)
    for place in ((70.0, 60.0), (64.0, 70.0), (90.0, 50.0)):
        x, y = (to_photo @ (*place, 1.0))[:2].round().astype(int)
        back = np.linalg.solve(to_photo, (x, y, 1.0))[:2]
        way = to_photo[:2, :2] @ way_at(motion, (float(back[0]), float(back[1])))
        source = np.array([x, y]) + way
        expected = cv2.getRectSubPix(photo, (1, 1), (float(source[0]), float(source[1])))[0, 0]
        np.testing.assert_allclose(result[y, x].astype(int), expected.astype(int), atol=6)


def test_a_point_of_which_the_pictures_say_nothing_moves_what_is_around_it() -> None:
    picture = textured(SIZE)
    alone = DragPoint((20.0, 100.0), (26.0, 100.0))
    motion = face_motion(picture, picture, [DragPoint((90.0, 40.0), (90.0, 40.0))], None, [alone])
    np.testing.assert_allclose(way_at(motion, (26.0, 100.0)), (-6, 0), atol=1e-3)
    np.testing.assert_allclose(way_at(motion, (90.0, 40.0)), (0, 0), atol=1e-3)


def test_hair_and_background_are_not_of_the_face() -> None:
    angles = np.linspace(0, np.pi, 17)
    points = np.zeros((68, 2))
    points[:17] = np.stack([128 - 68 * np.cos(angles), 140 + 90 * np.sin(angles)], axis=1)
    points[17:27] = np.stack([np.linspace(75, 181, 10), np.full(10, 105)], axis=1)
    points[27:] = (128, 160)
    for place in ((128, 160), (128, 95), (128, 231), (62, 145)):
        assert on_face(points, place), place
    for place in ((128, 30), (20, 20), (240, 150), (30, 240)):
        assert not on_face(points, place), place


def test_two_motions_in_one_go_are_one_after_the_other() -> None:
    photo = np.asarray(cv2.GaussianBlur(textured(400, seed=2), (0, 0), 3), np.uint8)
    quad = np.array([[99.5, 99.5], [99.5, 227.5], [227.5, 227.5], [227.5, 99.5]])
    first = plain_motion([DragPoint((50.0, 60.0), (60.0, 60.0))], SIZE)
    second = plain_motion([DragPoint((60.0, 60.0), (64.0, 70.0))], SIZE)
    twice = warp(warp(photo, quad, first), quad, second).astype(int)
    once = warp(photo, quad, second.after(first)).astype(int)
    other_way = warp(photo, quad, first.after(second)).astype(int)
    np.testing.assert_allclose(way_at(second.after(first), (64.0, 70.0)), (-14, -10), atol=0.05)
    assert np.abs(once - twice).max() <= 8
    assert np.abs(once - other_way).max() > 8


def test_pictures_of_different_sizes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"\(64, 64, 3\)"):
        face_motion(textured(SIZE), textured(64), POINTS)
