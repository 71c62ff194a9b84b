"""A jaw that is drawn narrower or wider changes its shape; nothing else goes along."""

from __future__ import annotations

import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.picture.jaw import shapes_the_jaw
from pipeline.stages.moving_photo import MovingPhoto
from tests.test_mouth import face

SIZE = 256


def pulled(*ways: tuple[int, float, float]) -> list[DragPoint]:
    marks = face()
    return [DragPoint((*marks[i],), (marks[i, 0] + x, marks[i, 1] + y)) for i, x, y in ways]


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param([(4, 8, 0), (12, -8, 0)], id="narrower"),
        pytest.param([(4, -8, 2), (12, 8, 2)], id="wider"),
        pytest.param([(3, 8, 0), (5, 6, 0), (12, -8, 0)], id="several points"),
        pytest.param([(4, 8, 0), (12, -8, 0), (30, 0, 0)], id="with a pin"),
        pytest.param([(4, 8, 0), (12, 0, 0)], id="one side, the other pinned"),
    ],
)
def test_both_sides_of_a_jaw_make_it_another_shape(ways: list[tuple[int, float, float]]) -> None:
    assert shapes_the_jaw(face(), pulled(*ways))


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param([(4, 8, 0)], id="one side"),
        pytest.param([(4, 8, 0), (12, 8, 0)], id="both to the same side: the head turns"),
        pytest.param([(4, 2, 8), (12, -2, 8)], id="down"),
        pytest.param([(7, 8, 0), (9, -8, 0)], id="the chin"),
        pytest.param([(4, 8, 0), (12, -8, 0), (8, 0, 8)], id="with the chin"),
        pytest.param([(48, -8, 0), (54, 8, 0)], id="the mouth"),
        pytest.param([(4, 0, 0), (12, 0, 0)], id="pins"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_else_is_pulled_is_a_movement(ways: list[tuple[int, float, float]]) -> None:
    assert not shapes_the_jaw(face(), pulled(*ways))


def test_no_network_is_asked_for_another_jaw() -> None:
    points = pulled((4, 8, 0), (12, -8, 0))
    grey = np.full((SIZE, SIZE, 3), 128, np.uint8)
    starts = [point.handle for point in points]
    marks = face().astype(np.float32)
    photo = MovingPhoto(grey, points, (0, 1), None, starts, None, marks, True).with_own_ways()
    assert photo.followed == () and photo.for_network == []
    ways = photo.moved(grey, grey, photo.ends).motion.goes(face(), SIZE) - face()
    np.testing.assert_allclose(ways[[4, 12], 0], [8, -8], atol=0.3)
    assert np.abs(ways[[27, 8, 33]]).max() < 3
