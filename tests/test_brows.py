"""Brows that are raised or lowered move as a whole; eyes nearly stay, and no network is asked."""

from __future__ import annotations

import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.picture.brows import pulls_at_brows
from pipeline.stages.moving_photo import MovingPhoto
from stylegan2.arrays import Float64Array
from tests.test_openings import SIZE, with_eyes

RIGHT = list(range(22, 27))


def pulled(*ways: tuple[int, float, float]) -> list[DragPoint]:
    places = with_eyes()
    return [DragPoint((*places[i],), (places[i, 0] + x, places[i, 1] + y)) for i, x, y in ways]


def photo_of(points: list[DragPoint]) -> MovingPhoto:
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    followed, starts = tuple(range(len(points))), [point.handle for point in points]
    face = with_eyes().astype(np.float32)
    photo = MovingPhoto(grey, points, followed, None, starts, None, face, True)
    return photo.with_own_ways()


def gone(photo: MovingPhoto) -> Float64Array:
    motion = photo.moved(photo.aligned, photo.aligned, photo.ends).motion
    return motion.goes(with_eyes(), SIZE) - with_eyes()


@pytest.mark.parametrize("way", [-8.0, 5.0])
def test_a_brow_goes_as_a_whole_and_its_eye_a_little(way: float) -> None:
    photo = photo_of(pulled((24, 0, way)))
    assert (photo.followed, photo.near, photo.brows) == ((), (0,), (0,))
    ways = gone(photo)
    shares = ways[RIGHT, 1] / way
    np.testing.assert_allclose(shares, [0.75, 0.875, 1, 0.875, 0.75], atol=0.05)
    assert np.all(np.abs(ways[[42, 43, 44, 45], 1]) < 0.4 * abs(way))
    others = [i for i in range(68) if i not in RIGHT and not 42 <= i < 48]
    assert np.abs(ways[others]).max() < 0.3 * abs(way)


def test_what_is_pulled_of_a_brow_goes_exactly() -> None:
    ways = gone(photo_of(pulled((22, 0, -4), (24, 1, -8), (26, 0, -6))))
    np.testing.assert_allclose(ways[[22, 24, 26]], [(0, -4), (1, -8), (0, -6)], atol=0.2)


def test_a_mouth_may_be_asked_for_beside_it() -> None:
    photo = photo_of(pulled((24, 0, -8), (54, 6, -4)))
    assert (photo.followed, photo.brows) == ((1,), (0,))


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param([(24, 0, -30)], id="farther than a brow goes"),
        pytest.param([(24, 8, -2)], id="along the brow"),
        pytest.param([(24, 0, -8), (30, 0, -8)], id="with the nose: the head moves"),
        pytest.param([(24, 0, 0)], id="a pin"),
        pytest.param([(30, 0, -8)], id="the nose"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_else_is_asked_for_is_the_networks(ways: list[tuple[int, float, float]]) -> None:
    points = pulled(*ways)
    assert pulls_at_brows(with_eyes(), points).brows == ()
    photo = photo_of(points)
    assert photo.followed == tuple(range(len(points))) and photo.brows == ()


def test_brows_beside_lids_are_left_to_the_network() -> None:
    photo = photo_of(pulled((24, 0, -8), (43, 0, 9)))
    assert photo.brows == () and 0 in photo.followed
