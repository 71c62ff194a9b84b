"""Controls: what an amount means on a face, which points it becomes, presets, the commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drag.points import DragPoint
from inversion.faces.shape68 import MIRRORED68
from pipeline.controls.likeness import PARTS, Like, amounts_like, checked_parts
from pipeline.controls.macros import moved_face, points_of
from pipeline.controls.measures import measures, reaches
from pipeline.controls.presets import (
    ControlsInvalid,
    added,
    parse_amounts,
    preset_text,
    read_preset,
    scaled,
    split_factor,
)
from pipeline.controls.table import CONTROLS, LIPS, MIRRORED
from pipeline.failures import BAD_INPUT, OK
from pipeline.picture.brush import plain_motion
from stylegan2.arrays import Float64Array
from tests.conftest import Run
from tests.factories import AVERAGE_FACE
from tests.pipeline_cases import Case

QUICK = {"drag": {"steps": 2}}

TURNED = ("turn", "nod", "tilt")
LOOKING = ("gaze", "gaze_up")
"""They move pixels, no landmarks: tests/test_gaze.py."""


def face(*, scale: float = 1.0, degrees: float = 0.0) -> Float64Array:
    """A face, larger or smaller, and held at an angle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned: Float64Array = (
        np.asarray(AVERAGE_FACE, np.float64) @ np.array([[c, s], [-s, c]]) * scale
    )
    return turned


def test_the_table_mirrors_landmarks_as_the_shape_does() -> None:
    assert MIRRORED == MIRRORED68


@pytest.mark.parametrize("name", [n for n in CONTROLS if n not in TURNED + LOOKING])
@pytest.mark.parametrize("amount", [1.0, -0.5])
def test_an_amount_changes_the_controls_measure_by_what_the_table_says(
    name: str, amount: float
) -> None:
    control = CONTROLS[name]
    before = face()
    low, high = reaches(before)[name]
    amount = min(max(amount, low), high)
    after = moved_face(before, {name: amount})
    change = measures(after)[control.measure] - measures(before)[control.measure]
    step = control.rise if amount > 0 else control.fall
    assert change == pytest.approx(amount * step, rel=0.25)


@pytest.mark.parametrize("name", TURNED)
def test_a_head_turns_by_about_as_many_degrees_as_the_table_says(name: str) -> None:
    control = CONTROLS[name]
    for amount in (-1.0, 1.0):
        after = measures(moved_face(face(), {name: amount}))[control.measure]
        change = after - measures(face())[control.measure]
        assert change == pytest.approx(amount * control.rise, rel=0.35)


@pytest.mark.parametrize("name", CONTROLS)
def test_an_amount_means_the_same_on_a_face_of_another_size_and_angle(name: str) -> None:
    straight = moved_face(face(), {name: 0.7}) - face()
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    other = moved_face(face(scale=3, degrees=20), {name: 0.7}) - face(scale=3, degrees=20)
    np.testing.assert_allclose(other, straight @ np.array([[c, s], [-s, c]]) * 3, atol=1e-9)


@pytest.mark.parametrize("name", CONTROLS)
def test_what_a_control_names_goes_where_it_belongs_and_pins_stay(name: str) -> None:
    control = CONTROLS[name]
    ends = moved_face(face(), {name: 0.6})
    points = {each.point.handle: each for each in points_of(face(), {name: 0.6})}
    assert len(points) == len(points_of(face(), {name: 0.6}))
    for mark in control.asked:
        each = points[tuple(face()[mark])]
        assert each.follow == ("near" if control.near and mark in LIPS else "network")
        assert each.point.target == pytest.approx(tuple(ends[mark]))
    for mark in control.pins:
        assert points[tuple(face()[mark])].point.target == pytest.approx(tuple(face()[mark]))


def test_controls_that_are_combined_add_up_and_a_turn_takes_the_smile_along() -> None:
    smile = moved_face(face(), {"smile": 0.5})
    both = moved_face(face(), {"turn": 0.5, "smile": 0.5})
    turned = moved_face(face(), {"turn": 0.5})
    np.testing.assert_allclose(both[48, 1] - turned[48, 1], smile[48, 1] - face()[48, 1], atol=1e-6)
    assert both[30, 0] == pytest.approx(turned[30, 0])
    points = points_of(face(), {"turn": 0.5, "smile": 0.5})
    corner = next(each for each in points if each.point.handle == tuple(face()[48]))
    assert corner.point.target == pytest.approx(tuple(both[48]))


def test_half_a_control_leaves_the_other_half_of_the_face() -> None:
    for name in ("eye_left", "brow_left", "smile_left"):
        moved = np.abs(moved_face(face(), {name: 0.8}) - face()).max(axis=1) > 1e-6
        assert moved.any()
        assert not moved[[i for i in range(68) if face()[i, 0] > face()[27, 0] + 2]].any()


def test_a_face_takes_over_what_another_one_does_and_no_more() -> None:
    asked = {"smile": 0.4, "eyes": -0.3, "brows": 0.5}
    other = moved_face(face(scale=2, degrees=5), asked)
    found = amounts_like(face(), other)
    for side in ("left", "right"):
        assert found[f"smile_{side}"] == pytest.approx(0.4, abs=0.05)
        assert found[f"eye_{side}"] == pytest.approx(-0.3, abs=0.05)
        assert found[f"brow_{side}"] == pytest.approx(0.5, abs=0.05)
    assert "tilt" not in found
    assert abs(found["upper_lip"]) < 0.05
    only = amounts_like(face(), other, ("brows",), 0.5)
    assert only == pytest.approx({"brow_left": 0.25, "brow_right": 0.25}, abs=0.05)
    pose = amounts_like(face(), face(degrees=5), ("pose",))
    assert pose == pytest.approx({"turn": 0, "nod": 0, "tilt": 5 / 8}, abs=0.02)


def test_what_is_taken_over_of_another_photo_is_read_strictly(tmp_path: Path) -> None:
    with pytest.raises(ControlsInvalid, match="no part 'ears' to take over: known are mouth"):
        Like(tmp_path, ("ears",))
    with pytest.raises(ControlsInvalid, match="strength must be from 0 to 1.2, got 2"):
        Like(tmp_path, ("all",), 2)
    assert checked_parts(("all",)) == tuple(PARTS)
    assert {name for names in PARTS.values() for name in names} <= CONTROLS.keys()


def test_a_face_goes_no_farther_than_faces_do() -> None:
    shut = moved_face(face(), {"eyes": -0.9})
    low, high = reaches(shut)["eyes"]
    assert low > -0.4
    assert high == 1


def test_teeth_that_show_are_not_drawn_out_and_closed_lips_may_part() -> None:
    opening = measures(face())["mouth opening"]
    assert reaches(face())["mouth"][1] == pytest.approx(0.8 * opening / CONTROLS["mouth"].rise)
    shut = moved_face(face(), {"mouth": -0.2})
    assert reaches(shut)["mouth"][1] == 1
    follows = {each.point.handle: each.follow for each in points_of(shut, {"mouth": 1})}
    assert follows[tuple(shut[57])] == "network"
    assert tuple(shut[66]) not in follows


def test_lids_that_close_meet_without_folding_the_picture() -> None:
    points = points_of(face(), {"eyes": reaches(face())["eyes"][0]})
    near = [each.point for each in points if each.follow == "near"]
    motion = plain_motion([], 256, None, near)
    assert motion.areas().min() > 0
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        ends = {p.handle: np.array(p.target) for p in near}
        above = ends[tuple(face()[upper])] - (0, 1)
        below = ends[tuple(face()[lower])] + (0, 1)
        assert np.hypot(*(above - below)) < 0.45 * np.hypot(*(face()[upper] - face()[lower]))
        assert (above + motion.at(above[None], 256)[0])[1] <= face()[upper, 1]
        assert (below + motion.at(below[None], 256)[0])[1] >= face()[lower, 1]


def test_small_parts_move_only_what_is_near() -> None:
    brow = DragPoint((100.0, 90.0), (100.0, 84.0))
    moved = np.abs(plain_motion([], 256, None, [brow]).at(np.array([[100.0, 180.0]]), 256))
    assert moved.max() == 0


def test_amounts_are_read_strictly_and_misspelt_names_are_guessed() -> None:
    assert parse_amounts(["smile=+0.6", "eyes=-.2"]) == {"smile": 0.6, "eyes": -0.2}
    for texts, message in (
        (["smlie=1"], "did you mean smile"),
        (["xyz=1"], "known are smile"),
        (["smile"], "is not NAME=AMOUNT"),
        (["smile=much"], "is no number"),
        (["smile=1.5"], "from -1 to 1, got 1.5"),
        (["smile=nan"], "from -1 to 1"),
        (["smile=1", "smile=0"], "given twice"),
    ):
        with pytest.raises(ControlsInvalid, match=message):
            parse_amounts(texts)


def test_presets_are_written_read_scaled_and_added(tmp_path: Path) -> None:
    path = tmp_path / "smile.json"
    path.write_text(preset_text({"smile": 0.6, "eyes": 0.2}))
    read = read_preset(path)
    assert read == {"smile": 0.6, "eyes": 0.2}
    assert scaled(read, 0.5) == {"smile": 0.3, "eyes": 0.1}
    assert added(read, {"smile": 0.1, "turn": -1.0}) == {"smile": 0.7, "eyes": 0.2, "turn": -1.0}
    with pytest.raises(ControlsInvalid, match="smile must be a number from -1 to 1, got 1.2"):
        added(read, read)
    assert split_factor("a/smile.json:0.5") == ("a/smile.json", 0.5)
    assert split_factor("C:\\smile.json") == ("C:\\smile.json", 1.0)
    for wrong in ("half", "nan", ""):
        with pytest.raises(ControlsInvalid, match=f"{wrong!r} is no factor: write .*:0.5"):
            split_factor(f"{path}:{wrong}")
    with pytest.raises(ControlsInvalid, match="3 times the preset: smile must be"):
        scaled(read, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "not a JSON file"),
        ("[]", "is expected"),
        ('{"version": 2, "controls": {"smile": 1}}', "version must be 1"),
        ('{"version": 1, "controls": {}}', "names one at least"),
        ('{"version": 1, "controls": {"grin": 1}}', "no control 'grin'"),
        ('{"version": 1, "controls": {"smile": "1"}}', "must be a number"),
        ('{"version": 1, "controls": {"smile": 1, "smile": 0}}', "appears twice"),
        ('{"version": 1, "controls": {"smile": 1}, "more": 0}', "is expected"),
    ],
)
def test_a_preset_that_is_not_one_says_what_is_wrong(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ControlsInvalid, match=message):
        read_preset(path)
    with pytest.raises(ControlsInvalid, match="cannot be read"):
        read_preset(tmp_path / "absent.json")


def test_controls_are_listed_and_unknown_ones_refused(run: Run) -> None:
    outcome = run(["controls", "--json"])
    listed = json.loads(outcome.out.splitlines()[-1])["controls"]
    assert [row["name"] for row in listed] == list(CONTROLS)
    assert run(["controls"]).out.count("\n") == len(CONTROLS)


def test_a_picture_that_was_taken_as_it_is_has_no_controls(finished: Case, run: Run) -> None:
    for command in (["apply", "smile=1"], ["controls", "-w", str(finished.workspace)]):
        outcome = run(command)
        assert outcome.code == BAD_INPUT
        assert "controls need a face" in outcome.err
    assert "did you mean smile" in run(["apply", "smil=1"]).err
    assert "say what to apply" in run(["apply"]).err


def test_the_demos_face_winks_and_smiles_by_name_and_from_a_preset(
    home: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs.demo import write_demo

    monkeypatch.chdir(tmp_path)
    photo, _ = write_demo(tmp_path)
    quick = ["--drag-steps", "2", "--device", "cpu"]
    asked = ["--apply", "smile=0.4", "--apply", "eye_left=-1", "--save-preset", "wink.json"]
    outcome = run(["edit", str(photo), *asked, *quick])
    assert outcome.code == OK, outcome.err
    first = (tmp_path / "eileen-collins.realdrag" / "result.png").read_bytes()
    again = ["apply", "--preset", "wink.json", "--steps", "2", "--device", "cpu"]
    outcome = run(again)
    assert outcome.code == OK, outcome.err
    assert "already there" in outcome.err
    assert (tmp_path / "eileen-collins.realdrag" / "result.png").read_bytes() == first
    listed = run(["controls", "-w", "eileen-collins.realdrag"]).out
    assert "eye_left" in listed
    assert run(["controls", str(photo)]).out == listed


def test_a_photos_controls_are_listed_whether_it_has_a_workspace_or_not(
    home: Path, finished: Case, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.jobs.demo import write_demo

    # The face that was cut out in the photo's own workspace counts, and there is none here.
    assert "controls need a face" in run(["controls", str(finished.photo)]).err
    both = run(["controls", str(finished.photo), "-w", str(finished.workspace)])
    assert "not both" in both.err
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.chdir(folder)
    photo, _ = write_demo(folder)
    told = run(["controls", str(photo), "--device", "cpu", "--json"])
    assert told.code == OK, told.err
    smile = json.loads(told.out.splitlines()[-1])["controls"][0]
    assert smile["low"] < 0 < smile["high"]
    assert (folder / f"{photo.stem}.realdrag" / "aligned.png").is_file()


def test_a_photo_like_itself_stays_as_it_is_and_another_ones_expression_can_be_saved(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import realdrag
    from pipeline.jobs.demo import write_demo

    monkeypatch.chdir(tmp_path)
    path, _ = write_demo(tmp_path)
    photo = realdrag.open(path, device="cpu", recipe=realdrag.Recipe.from_json(QUICK))
    with pytest.raises(ControlsInvalid, match="nothing would move"):
        photo.apply(like=path, parts=("eyes",))
    smiling = photo.apply({"smile": -0.5}, smile=0.1)
    smiling.save("sad.png")
    assert "smile" in photo.controls()
    assert photo.controls()["smile"].high == 1
    sadder = photo.apply(like="sad.png", parts=("mouth",))
    assert not np.array_equal(sadder.pixels, smiling.pixels)
    realdrag.write_preset("sad.json", {"smile": -0.4})
    assert np.array_equal(photo.apply(realdrag.read_preset("sad.json")).pixels, smiling.pixels)
