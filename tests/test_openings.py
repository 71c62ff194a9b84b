"""Lids and lips in a moving photo that shut: nothing else of the face goes along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.picture.brush import plain_motion
from pipeline.picture.motion import Motion
from pipeline.picture.openings import pulls_at_openings
from pipeline.stages.moving_photo import MovingPhoto
from stylegan2.arrays import Float64Array
from tests.test_mouth import face

SIZE = 256
CORNERS = {36: (84, 125), 39: (112, 125), 42: (144, 125), 45: (172, 125)}
LIDS = {37: (94, 120), 38: (103, 120), 41: (94, 130), 40: (103, 130)}


def with_eyes() -> Float64Array:
    """Return a face of 136 pixels whose eyes are 28 wide and 10 open."""
    points = face()
    for i, place in CORNERS.items() | LIDS.items():
        points[i] = place
    for left, right in ((37, 44), (38, 43), (40, 47), (41, 46)):
        points[right] = SIZE - points[left, 0], points[left, 1]
    return points


def pulled(*ways: tuple[int, float, float]) -> list[DragPoint]:
    places = with_eyes()
    return [
        DragPoint((places[i, 0], places[i, 1]), (places[i, 0] + x, places[i, 1] + y))
        for i, x, y in ways
    ]


def moved(points: list[DragPoint]) -> Motion:
    pulls = pulls_at_openings(with_eyes(), points)
    fine = [points[i] for i in pulls.lids]
    return plain_motion((), SIZE, fine=fine, beside=pulls.beside)


def gone(motion: Motion) -> Float64Array:
    """Return how far each of the 68 points goes."""
    return motion.goes(with_eyes(), SIZE) - with_eyes()


def test_a_lid_that_is_pulled_down_at_one_point_shuts_the_whole_eye() -> None:
    ways = gone(moved(pulled((43, 0, 9))))
    assert np.all(ways[[43, 44], 1] > 7.5)
    assert np.abs(ways[[46, 47]]).max() < 1
    assert np.abs(ways[[42, 45]]).max() < 1
    assert np.abs(ways[22:27]).max() < 1
    assert np.abs(ways[[*range(17), *range(17, 22), *range(27, 42), *range(48, 68)]]).max() < 0.7


def test_a_lid_that_goes_beyond_the_other_takes_it_along_without_a_fold() -> None:
    motion = moved(pulled((43, 0, 14), (44, 0, 14)))
    ways = gone(motion)
    assert np.all(ways[[43, 44], 1] > 13)
    assert np.all(ways[[46, 47], 1] > 3.5)
    assert motion.areas().min() > 0


def test_the_lower_lid_pulled_up_shuts_the_eye_too() -> None:
    ways = gone(moved(pulled((46, 0, -8))))
    assert np.all(ways[[46, 47], 1] < -6)
    assert np.abs(ways[[43, 44]]).max() < 1


def test_where_a_user_says_where_the_other_lid_goes_it_goes_there() -> None:
    ways = gone(moved(pulled((43, 0, 5), (44, 0, 5), (47, 0, -3), (46, 0, -3))))
    assert np.allclose(ways[[43, 44], 1], 5, atol=0.5)
    assert np.allclose(ways[[46, 47], 1], -3, atol=0.5)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param((43, 6, 2), id="along the eye"),
        pytest.param((42, 0, 5), id="its corner"),
        pytest.param((43, 0, 0), id="a pin"),
        pytest.param((43, 0, 40), id="farther than a lid goes down"),
        pytest.param((43, 0, -7), id="farther than a lid goes up"),
        pytest.param((24, 0, 5), id="a brow"),
        pytest.param((30, 0, 5), id="the nose"),
    ],
)
def test_a_generator_is_asked_for_what_is_no_pull_at_a_lid(point: tuple[int, float, float]) -> None:
    assert pulls_at_openings(with_eyes(), pulled(point)).lids == ()
    assert pulls_at_openings(with_eyes(), pulled(point)).beside == ()


def test_what_is_beside_a_lid_goes_along_with_the_head() -> None:
    head = DragPoint((128.0, 165.0), (128.0, 175.0))
    pulls = pulls_at_openings(with_eyes(), pulled((43, 0, 9)))
    still = plain_motion([head], SIZE)
    with_wink = plain_motion([head], SIZE, fine=pulled((43, 0, 9)), beside=pulls.beside)
    brows = list(range(22, 27))
    assert np.allclose(gone(with_wink)[brows], gone(still)[brows], atol=0.5)


def test_no_network_is_asked_for_lids_of_a_photo_but_for_all_else() -> None:
    points = pulled((43, 0, 9), (30, 5, 0))
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    starts = [point.handle for point in points]
    marks = with_eyes().astype(np.float32)
    photo = MovingPhoto(grey, points, (0, 1), None, starts, None, marks, True).with_own_ways()
    assert (photo.followed, photo.near, photo.edges) == ((1,), (0,), (0,))
    nobody = replace(photo, followed=(0, 1), near=(), edges=(), face=None).with_own_ways()
    assert nobody.followed == (0, 1)


def test_half_of_a_wink_is_half_of_its_way() -> None:
    points = pulled((43, 0, 8))
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    marks = with_eyes().astype(np.float32)
    photo = MovingPhoto(
        grey, points, (0,), None, [points[0].handle], None, marks, True
    ).with_own_ways()
    ways = [
        gone(photo.moved(grey, grey, photo.on_the_way(photo.ends, share)).motion)[[43, 44], 1]
        for share in (0.5, 1.0)
    ]
    assert np.allclose(2 * ways[0], ways[1], atol=0.6)


def shutting(gap: float, way: float, *more: DragPoint) -> MovingPhoto:
    """Return a photo with a mouth that is open so far, and its lower lip pulled up."""
    marks = face(gap)
    x, y = marks[66]
    points = [DragPoint((x, y), (x, y + way)), *more]
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    starts = [point.handle for point in points]
    followed = tuple(range(len(points)))
    photo = MovingPhoto(grey, points, followed, None, starts, None, marks.astype(np.float32), True)
    return photo.with_own_ways()


def test_a_lower_lip_that_is_pulled_up_shuts_the_mouth_and_the_upper_lip_stays() -> None:
    photo = shutting(14, -12)
    assert (photo.followed, photo.edges) == ((0,), (0,))
    grey = photo.aligned
    motion = photo.moved(grey, grey, photo.ends).motion
    marks = face(14)
    ways = motion.goes(marks, SIZE) - marks
    assert np.allclose(ways[[65, 66, 67, 57], 1], -11, atol=2.5)
    assert np.abs(ways[[50, 51, 52, 61, 62, 63, 48, 54, 33]]).max() < 1
    assert motion.areas().min() > 0


def test_lips_that_shut_meet_where_the_head_goes_along_with_the_chin() -> None:
    marks = face(14)
    (x, y), up = marks[8], -12.0
    photo = shutting(14, up, DragPoint((x, y), (x, y + up)))
    motion = photo.moved(photo.aligned, photo.aligned, photo.ends).motion
    ends = motion.goes(marks, SIZE)
    gaps = ends[[67, 66, 65], 1] - ends[[61, 62, 63], 1]
    assert np.all(gaps > 0)
    assert np.all(gaps < 4)
    assert np.allclose(ends[8], (x, y + up), atol=0.5)


@pytest.mark.parametrize(
    ("gap", "way"), [pytest.param(14, 6, id="opened"), pytest.param(2, -8, id="closed already")]
)
def test_a_mouth_that_is_not_shut_moves_as_the_generator_says(gap: float, way: float) -> None:
    assert shutting(gap, way).edges == ()
