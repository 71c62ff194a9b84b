"""Lips in a moving photo: closed ones stay closed unless they are asked to part."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.picture.brush import plain_motion
from pipeline.picture.face_motion import face_motion
from pipeline.picture.fresh_mouth import LIGHT, FreshMouth, with_mouth
from pipeline.picture.mouth import (
    MOUTH,
    Faces,
    lips_as_far_apart,
    lips_that_part,
    nose_beside_lips,
)
from pipeline.stages.moved import Moved
from stylegan2.arrays import Float64Array
from tests.test_motion_field import textured, way_at

SIZE = 256


def face(gap: float = 0.0, wider: float = 0.0, turned: float = 0.0) -> Float64Array:
    """Make the 68 points of a face with lips of 8 pixels and a mouth of 60, turned by degrees."""
    points = np.zeros((68, 2))
    angles = np.linspace(0, np.pi, 17)
    points[:17] = np.stack([128 - 68 * np.cos(angles), 140 + 90 * np.sin(angles)], axis=1)
    points[17:27] = np.stack([np.linspace(75, 181, 10), np.full(10, 105)], axis=1)
    points[27:36] = np.stack([np.full(9, 128), np.linspace(125, 165, 9)], axis=1)
    points[36:42], points[42:48] = (98, 125), (158, 125)
    middle, half = np.array([128.0, 190.0]), 30 + wider
    for ids, y in (
        ((48, 49, 50, 51, 52, 53, 54), -8 - gap / 2),
        ((54, 55, 56, 57, 58, 59, 48), 8 + gap / 2),
        ((60, 61, 62, 63, 64), -gap / 2),
        ((64, 65, 66, 67, 60), gap / 2),
    ):
        reach = half if ids[0] in (48, 54) else half - 3
        ends = np.linspace(-reach, reach, len(ids)) * (1 if ids[0] in (48, 60) else -1)
        for i, x in zip(ids, ends, strict=True):
            points[i] = middle + (x, y if abs(x) < reach else 0)
    turn = np.deg2rad(turned)
    around = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.asarray((points - 128) @ around + 128)


CORNERS = [
    DragPoint((98.0, 190.0), (86.0, 190.0)),
    DragPoint((158.0, 190.0), (170.0, 190.0)),
]


@pytest.mark.parametrize("turned", [0.0, 25.0])
def test_lips_stay_together_and_get_thinner_where_the_generator_parts_them(turned: float) -> None:
    faces = Faces(face(1, turned=turned), face(1, turned=turned), face(13, 12, turned))
    ends = {p.handle: np.array(p.target) for p in lips_as_far_apart(faces, [])}
    assert len(ends) == len(MOUTH)

    def end(i: int) -> Float64Array:
        return ends[tuple(faces.photo[i].tolist())]

    assert np.linalg.norm(end(62) - end(66)) < 1
    wider = np.linalg.norm(end(54) - end(48)) / 60
    assert wider == pytest.approx(1.4)
    thickness = np.linalg.norm(end(51) - end(62)), np.linalg.norm(end(57) - end(66))
    np.testing.assert_allclose(thickness, 8 * wider**-0.5, rtol=0.02)


def test_an_open_mouth_keeps_its_gap_where_the_generator_opens_it_further() -> None:
    faces = Faces(face(10), face(4), face(16, 12))
    ends = {p.handle: np.array(p.target) for p in lips_as_far_apart(faces, CORNERS)}
    upper, lower = (ends[tuple(faces.photo[i].tolist())] for i in (62, 66))
    assert np.linalg.norm(lower - upper) == pytest.approx(10, abs=0.01)
    corners = [ends[tuple(faces.photo[i].tolist())] for i in (48, 54)]
    assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(84)
    shut = [DragPoint((128.0, 195.0), (128.0, 187.0))]
    assert not lips_as_far_apart(faces, shut), "it is asked to shut"
    assert not lips_as_far_apart(Faces(face(10), face(4), face(4.5, 12)), CORNERS)


def test_the_nose_goes_no_farther_than_the_generators_where_lips_alone_are_pulled() -> None:
    after = face(1)
    after[27:36] += (0, -3)
    faces = Faces(face(1), face(1), after)
    nose = nose_beside_lips(faces, CORNERS)
    assert [p.handle for p in nose] == [tuple(each) for each in faces.photo[27:36].tolist()]
    assert all(p.target == (p.handle[0], p.handle[1] - 3) for p in nose)
    chin = DragPoint((128.0, 230.0), (128.0, 240.0))
    assert not nose_beside_lips(faces, [*CORNERS, chin])
    assert not nose_beside_lips(faces, [])


def test_the_motion_leaves_a_nose_where_it_is_held() -> None:
    picture = textured(SIZE)
    up = [DragPoint((98.0, 190.0), (88.0, 170.0)), DragPoint((158.0, 190.0), (168.0, 170.0))]
    nose = nose_beside_lips(Faces(face(1), face(1), face(1)), up)
    pulled, held = face_motion(picture, picture, up), face_motion(picture, picture, up, nose=nose)
    assert (
        abs(way_at(held, (128.0, 160.0), SIZE)[1])
        < abs(way_at(pulled, (128.0, 160.0), SIZE)[1]) / 2
    )
    for point in up:
        way = np.subtract(point.handle, point.target)
        np.testing.assert_allclose(way_at(held, point.target, SIZE), way, atol=1e-3)


def test_points_are_found_where_a_motion_takes_them() -> None:
    motion = plain_motion([DragPoint((128.0, 128.0), (150.0, 120.0))], SIZE)
    ends = motion.goes(np.array([[128.0, 128.0], [10.0, 20.0]]), SIZE)
    np.testing.assert_allclose(ends, [[150, 120], [10, 20]], atol=0.1)


def test_a_closed_mouth_that_stays_so_and_one_asked_to_open_are_left_alone() -> None:
    closed, open_mouth = face(1), face(14)
    assert lips_as_far_apart(Faces(closed, closed, open_mouth), CORNERS)
    assert not lips_as_far_apart(Faces(closed, closed, face(1.5)), CORNERS)
    lower = [DragPoint((128.0, 198.0), (128.0, 210.0))]
    assert not lips_as_far_apart(Faces(closed, closed, open_mouth), lower)
    upper = DragPoint((128.0, 182.0), (128.0, 194.0))
    assert lips_as_far_apart(Faces(closed, closed, open_mouth), [*lower, upper]), "both go down"


def test_lips_part_as_the_generators_do_where_points_ask_for_it() -> None:
    lower = [DragPoint((128.0, 198.0), (128.0, 210.0))]
    faces = Faces(face(1), face(1), face(13, 4))
    parting = lips_that_part(faces, lower)
    assert [point.handle for point in parting] == [tuple(p) for p in face(1)[list(MOUTH)]]
    np.testing.assert_allclose([point.target for point in parting], face(13, 4)[list(MOUTH)])
    assert not lips_that_part(faces, CORNERS), "nobody asked"
    assert not lips_that_part(Faces(face(1), face(1), face(6)), lower), "too little was drawn"
    assert not lips_that_part(Faces(face(14), face(1), face(13)), lower), "it was open"


def drawn_mouth(size: int = SIZE) -> FreshMouth:
    """A grey picture with a red mouth 16 pixels open, 6 pixels right of where it is to be."""
    mouth = face(16)[list(MOUTH)]
    picture = np.full((size, size, 3), 100, np.uint8)
    cv2.fillConvexPoly(picture, np.rint(mouth[:12] + (6, 0)).astype(np.int32), (200, 20, 20))
    return FreshMouth(picture, mouth + (6, 0), mouth)


@pytest.mark.parametrize("side", [SIZE, 3 * SIZE])
def test_the_new_mouth_is_between_the_lips_and_nowhere_else(side: int) -> None:
    photo = np.full((side, side, 3), 100, np.uint8)
    quad = np.array([[0, 0], [0, side], [side, side], [side, 0]]) - 0.5
    result = with_mouth(photo, quad, drawn_mouth()).astype(int)
    scale = side / SIZE
    red = result[..., 0] - result[..., 1] > 60
    y, x = np.nonzero(red)
    assert result[int(190 * scale), int(128 * scale), 0] > 180
    assert abs((x.min() + x.max()) / 2 / scale - 128) < 2, "it is where the lips are"
    assert y.min() / scale > 190 - 8 - 2 and y.max() / scale < 190 + 8 + 2, "between the lips"
    outside = np.ones((side, side), bool)
    outside[int(176 * scale) : int(204 * scale), int(92 * scale) : int(164 * scale)] = False
    assert (result[outside] == 100).all()


def test_the_new_mouth_takes_the_light_of_the_photo() -> None:
    quad = np.array([[0, 0], [0, SIZE], [SIZE, SIZE], [SIZE, 0]]) - 0.5
    light, dark = (
        with_mouth(np.full((SIZE, SIZE, 3), grey, np.uint8), quad, drawn_mouth())[190, 128, 0]
        for grey in (100, 60)
    )
    assert dark == pytest.approx(light * 0.6**LIGHT, abs=3)


def test_a_mouth_that_opens_part_of_the_way_is_open_that_far() -> None:
    motion = plain_motion([DragPoint((128.0, 190.0), (128.0, 202.0))], SIZE)
    mouth = drawn_mouth()
    moved = Moved(motion, mouth)
    none, half = moved.part(0.0), moved.part(0.5)
    assert none.mouth is not None and half.mouth is not None
    back = motion.at(mouth.ends, SIZE)
    assert np.abs(back[:, 1]).max() > 6
    np.testing.assert_allclose(none.mouth.ends, mouth.ends + back)
    np.testing.assert_allclose(half.mouth.ends, mouth.ends + back / 2)
    np.testing.assert_allclose(half.motion.way, motion.way / 2)


def test_the_motion_holds_closed_lips_together() -> None:
    picture = textured(SIZE)
    faces = Faces(face(1), face(1), face(17, 12))
    still = face_motion(picture, picture, CORNERS)
    lips = lips_as_far_apart(faces, CORNERS)
    held = face_motion(picture, picture, CORNERS, lips=lips)
    for motion in (still, held):
        for corner in CORNERS:
            way = np.subtract(corner.handle, corner.target)
            np.testing.assert_allclose(way_at(motion, corner.target, SIZE), way, atol=1e-3)
    # The lower lip's edge comes nearer to the upper's: its pixels come from farther down.
    edge = (128.0, 190 + 8 * 1.4**-0.5)
    assert way_at(held, edge, SIZE)[1] > way_at(still, edge, SIZE)[1] + 0.5
    assert held.areas().min() > 0.1
