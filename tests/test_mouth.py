"""Lips in a moving photo: closed ones stay closed unless they are asked to part."""

from __future__ import annotations

import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.picture.motion import face_motion
from pipeline.picture.mouth import MOUTH, Faces, lips_kept_closed
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
    ends = {p.handle: np.array(p.target) for p in lips_kept_closed(faces, [])}
    assert len(ends) == len(MOUTH)

    def end(i: int) -> Float64Array:
        return ends[tuple(faces.photo[i].tolist())]

    assert np.linalg.norm(end(62) - end(66)) < 1
    wider = np.linalg.norm(end(54) - end(48)) / 60
    assert wider == pytest.approx(1.4)
    thickness = np.linalg.norm(end(51) - end(62)), np.linalg.norm(end(57) - end(66))
    np.testing.assert_allclose(thickness, 8 * wider**-0.5, rtol=0.02)


def test_a_mouth_that_is_open_or_stays_closed_or_is_asked_to_open_is_left_alone() -> None:
    closed, open_mouth = face(1), face(14)
    assert lips_kept_closed(Faces(closed, closed, open_mouth), CORNERS)
    assert not lips_kept_closed(Faces(open_mouth, closed, open_mouth), CORNERS)
    assert not lips_kept_closed(Faces(closed, closed, face(1.5)), CORNERS)
    lower = [DragPoint((128.0, 198.0), (128.0, 210.0))]
    assert not lips_kept_closed(Faces(closed, closed, open_mouth), lower)
    upper = DragPoint((128.0, 182.0), (128.0, 194.0))
    assert lips_kept_closed(Faces(closed, closed, open_mouth), [*lower, upper]), "both go down"


def test_the_motion_holds_closed_lips_together() -> None:
    picture = textured(SIZE)
    faces = Faces(face(1), face(1), face(17, 12))
    still = face_motion(picture, picture, CORNERS)
    held = face_motion(picture, picture, CORNERS, faces=faces)
    for motion in (still, held):
        for corner in CORNERS:
            way = np.subtract(corner.handle, corner.target)
            np.testing.assert_allclose(way_at(motion, corner.target, SIZE), way, atol=1e-3)
    # The lower lip's edge comes nearer to the upper's: its pixels come from farther down.
    edge = (128.0, 190 + 8 * 1.4**-0.5)
    assert way_at(held, edge, SIZE)[1] > way_at(still, edge, SIZE)[1] + 0.5
    assert held.areas().min() > 0.1
