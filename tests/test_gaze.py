"""Eyes that look elsewhere: where irises are found, how they move, and what stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inversion.faces.irises import Eye, find_irises, lids, within
from inversion.faces.shape68 import EYE_LEFT, EYE_RIGHT
from pipeline.controls.measures import eye_measures, reaches
from pipeline.controls.table import CONTROLS
from pipeline.failures import OK
from pipeline.jobs.controls import gaze_of
from pipeline.jobs.seen_faces import SeenFace
from pipeline.picture.gaze import Gaze
from stylegan2.arrays import Float64Array, UInt8Image
from tests.conftest import Run
from tests.factories import AVERAGE_FACE

ROOT = Path(__file__).parents[1]
SIZE = 256
SKIN, WHITE, BROWN = (200, 160, 140), (235, 230, 225), (60, 40, 30)


def face() -> Float64Array:
    """A face whose eyes are wide enough to hold an iris."""
    points = np.array(AVERAGE_FACE, np.float64)
    for eye in (EYE_LEFT, EYE_RIGHT):
        marks = list(eye)
        middle = points[marks].mean(axis=0)
        points[marks] = middle + np.array(
            [(-18, 0), (-7, -7), (7, -7), (18, 0), (7, 6), (-7, 6)], np.float64
        )
    return points


def drawn(aside: float = 0.0, *, irises: bool = True) -> UInt8Image:
    """Draw that face's eyes, with irises so far to the right, in eye widths."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    for eye in (EYE_LEFT, EYE_RIGHT):
        marks = face()[list(eye)]
        rim = np.zeros((SIZE, SIZE), np.uint8)
        cv2.fillConvexPoly(rim, np.rint(marks).astype(np.int32), (255.0,))
        inside = picture.copy()
        inside[:] = WHITE
        if irises:
            x, y = marks[[0, 3]].mean(axis=0) + (aside * 36, -0.5)
            cv2.circle(inside, (round(x), round(y)), 7, BROWN, -1)
        picture[rim > 0] = inside[rim > 0]
    return picture


def eyes(aside: float = 0.0) -> tuple[Eye, Eye]:
    found = find_irises(drawn(aside), face())
    assert found is not None
    return found


@pytest.mark.parametrize("aside", [-0.15, 0.0, 0.12])
def test_irises_are_found_where_they_are_and_nowhere_in_an_eye_without_one(aside: float) -> None:
    for eye in eyes(aside):
        assert eye.place[0] == pytest.approx(aside, abs=0.03)
        assert eye.radius == pytest.approx(7, abs=1.5)
    assert eye_measures(eyes(aside))["gaze"] == pytest.approx(aside, abs=0.03)
    assert find_irises(drawn(irises=False), face()) is None


def moved(across: float = 0.0, up: float = 0.0, share: float = 1.0) -> Float64Array:
    """Return how far irises (2) and then the 68 points go."""
    places = np.concatenate([[eye.iris for eye in eyes()], face()])
    ends = Gaze(eyes(), across, up).motion(SIZE, share).goes(places, SIZE)
    return np.asarray(ends - places, np.float64)


@pytest.mark.parametrize("across", [-0.08, 0.12])
def test_irises_go_to_the_side_as_far_as_is_asked_and_the_rest_stays(across: float) -> None:
    went = moved(across)
    np.testing.assert_allclose(went[:2], [[across * 36, 0]] * 2, atol=0.5)
    corners = [2 + i for i in (36, 39, 42, 45)]
    assert np.abs(went[corners]).max() < 0.3
    for marks, upper, lower in ((EYE_LEFT, (37, 38), (40, 41)), (EYE_RIGHT, (43, 44), (46, 47))):
        for which, lid in enumerate((upper, lower)):
            ends = face()[list(lid)] + went[[2 + i for i in lid]]
            along, down = within(face()[list(marks)], ends).T
            np.testing.assert_allclose(down, lids(face()[list(marks)], along)[which], atol=0.02)
    others = [2 + i for i in range(68) if not 36 <= i < 48]
    assert np.abs(went[others]).max() == 0
    np.testing.assert_allclose(moved(across, share=0.5)[:2], went[:2] / 2, atol=0.3)


@pytest.mark.parametrize("up", [-0.1, 0.06])
def test_eyes_that_look_up_or_down_take_their_lids_along_and_not_the_brows(up: float) -> None:
    went = moved(up=up)
    np.testing.assert_allclose(went[:2, 1], -up * 36, atol=0.6)
    upper, lower = went[[2 + 37, 2 + 38], 1], went[[2 + 40, 2 + 41], 1]
    assert np.all(np.sign(upper) == -np.sign(up))
    assert np.all(np.abs(upper) > np.abs(lower))
    assert np.abs(went[2 + 17 : 2 + 27]).max() < 0.1


def test_no_gaze_within_its_range_folds_the_picture() -> None:
    for aside in (-0.15, 0.0, 0.15):
        seen = eyes(aside)
        reached = reaches(face(), seen)
        for name in ("gaze", "gaze_up"):
            for amount in reached[name]:
                gaze = gaze_of(SeenFace(face(), seen), {name: amount})
                assert gaze is not None
                assert gaze.motion(SIZE).areas().min() > 0


def test_an_iris_goes_no_farther_than_the_white_beside_it() -> None:
    low, high = reaches(face(), eyes(0.15))["gaze"]
    assert high < -low
    assert reaches(face(), None)["gaze"] == (0.0, 0.0)
    assert gaze_of(SeenFace(face(), None), {"gaze": 0.5}) is None
    assert gaze_of(SeenFace(face(), eyes()), {"smile": 0.5}) is None


def test_a_gaze_is_read_as_it_was_written_and_a_mask_holds_it() -> None:
    gaze = Gaze(eyes(), 0.08, -0.02)
    read = Gaze.from_json(json.loads(json.dumps(gaze.to_json())))
    np.testing.assert_allclose(read.motion(SIZE).way, gaze.motion(SIZE).way, atol=1e-5)
    movable = np.ones((SIZE, SIZE), np.bool_)
    movable[:, : SIZE // 2] = False
    held = gaze.motion(SIZE, movable_mask=movable)
    places = np.array([eye.iris for eye in eyes()])
    went = held.goes(places, SIZE) - places
    assert np.abs(went[0]).max() < 1e-6
    assert went[1, 0] > 1


def test_the_demos_eyes_look_aside_and_what_is_there_is_found_without_torch(
    home: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs.demo import write_demo

    monkeypatch.chdir(tmp_path)
    photo, _ = write_demo(tmp_path)
    outcome = run(["edit", str(photo), "--apply", "gaze=0.5", "--device", "cpu"])
    assert outcome.code == OK, outcome.err
    folder = tmp_path / f"{photo.stem}.realdrag"
    result = (folder / "result.png").read_bytes()
    listed = run(["controls", "-w", str(folder), "--json"]).out.splitlines()[-1]
    present = {row["name"]: row["present"] for row in json.loads(listed)["controls"]}
    assert abs(present["gaze"]) < CONTROLS["gaze"].rise
    code = (
        "import sys; from pipeline.commands.root import main\n"
        "try:\n"
        "    main(['apply', 'gaze=0.5', '--device', 'cpu'])\n"
        "except SystemExit as done:\n"
        "    assert not done.code, done.code\n"
        "sys.exit(99 if 'torch' in sys.modules else 0)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert "already there" in again.stderr
    assert (folder / "result.png").read_bytes() == result


def test_eyes_in_which_no_iris_is_seen_look_where_they_do(
    home: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs.demo import write_demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("inversion.faces.irises.LEAST", 256.0)
    photo, _ = write_demo(tmp_path)
    outcome = run(["edit", str(photo), "--apply", "gaze=0.5", "--device", "cpu"])
    assert "no iris is seen" in outcome.err
    assert "nothing would move" in outcome.err
    assert "not seen" in run(["controls", "-w", f"{photo.stem}.realdrag"]).out
