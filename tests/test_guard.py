"""The guard: a photo is moved as far as it holds, and is said to be."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.failures import OK
from pipeline.picture.fresh_mouth import FreshMouth
from pipeline.picture.motion import plain_motion
from pipeline.stages.guard import as_far_as_it_holds, where_it_tears
from pipeline.stages.moving_photo import Moved
from tests.conftest import Run
from tests.pipeline_cases import Case
from tests.test_mouth import drawn_mouth
from tests.test_stages import current

PIN = DragPoint((100.0, 128.0), (100.0, 128.0))


def pulled(by: float, seen: list[float] | None = None) -> Callable[[float], Moved]:
    """Pull a point beside a pin to the right, by a share of so many pixels."""

    def made(share: float) -> Moved:
        if seen is not None:
            seen.append(share)
        point = DragPoint((128.0, 128.0), (128.0 + share * by, 128.0))
        return Moved(plain_motion([PIN, point], 256), None)

    return made


def test_a_motion_that_tears_nothing_is_left_as_it_is() -> None:
    seen: list[float] = []
    _, share = as_far_as_it_holds(pulled(10, seen))
    assert share == 1
    assert seen == [1]


def test_a_motion_that_tears_is_shortened_to_about_where_the_photo_holds() -> None:
    whole = pulled(70)(1.0)
    assert whole.motion.areas().min() < 0
    moved, share = as_far_as_it_holds(pulled(70))
    assert 0.3 < share < 1
    assert moved.motion.areas().min() > 0
    np.testing.assert_array_equal(moved.motion.way, pulled(70)(share).motion.way)
    assert as_far_as_it_holds(pulled(70 * share))[1] == 1
    assert as_far_as_it_holds(pulled(70 * share * 1.2))[1] < 1
    assert where_it_tears(whole, [PIN.target, (198.0, 128.0)], 256) == 2


def test_what_is_drawn_out_inside_a_new_mouth_does_not_count() -> None:
    lips = [
        DragPoint((128.0, 186.0), (128.0, 184.0)),
        DragPoint((128.0, 190.0), (128.0, 214.0)),
    ]
    motion = plain_motion(lips, 256)
    mouth = drawn_mouth()
    wide = FreshMouth(mouth.picture, mouth.drawn, (mouth.ends - (128, 190)) * 2 + (128, 198))
    assert as_far_as_it_holds(lambda share: Moved(motion, None))[1] == 0.3
    assert as_far_as_it_holds(lambda share: Moved(motion, wide))[1] == 1


def test_a_drag_says_how_far_it_got_and_force_goes_on(finished: Case, run: Run) -> None:
    far = [
        {"handle": [9, 16], "target": [9, 16]},
        {"handle": [12, 16], "target": [27, 16]},
    ]
    finished.points.write_text(json.dumps({"version": 1, "space": "aligned", "points": far}))
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert "of their way: farther, the photo would tear near point" in outcome.err
    drag = current(finished, "drag")
    assert drag.info["share"] < 1
    assert drag.info["went"][1][0] == pytest.approx(12 + 15 * drag.info["share"])
    outcome = run(finished.drag("--force"))
    assert "of their way" not in outcome.err
    forced = current(finished, "drag")
    assert forced.info["share"] == 1
    assert np.array_equal(forced.info["went"][1], [27, 16])
