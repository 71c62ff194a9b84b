"""The guard: a photo is moved as far as it holds, and is said to be."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import skimage.data

from drag.points import DragPoint
from drag.stopping import StopReason
from inversion.faces.alignment import align, ffhq_quad
from inversion.faces.face import Face
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import face_width, mouth_width
from pipeline.disk.artifact import Draft, Request, read_artifact
from pipeline.disk.storage import read_sealed
from pipeline.disk.workspace import STATE
from pipeline.failures import OK
from pipeline.machine.bench import Bench
from pipeline.picture.brush import plain_motion
from pipeline.picture.fresh_mouth import FreshMouth
from pipeline.stages.artifact_files import read_pixels
from pipeline.stages.guard import (
    HOLDS,
    LEAST,
    NO_FACE,
    WIDEST,
    as_far_as_it_holds,
    looks,
    looks_of_picture,
    where_it_tears,
)
from pipeline.stages.moved import Moved
from pipeline.stages.moving_photo import MovingPhoto
from pipeline.stages.work import Work
from tests.conftest import Run
from tests.pipeline_cases import Case
from tests.test_finder import ASTRONAUT
from tests.test_mouth import drawn_mouth
from tests.test_stages import current
from tools.fit_plausibility import TABLE

PIN = DragPoint((100.0, 128.0), (100.0, 128.0))


def pulled(by: float, seen: list[float] | None = None) -> Callable[[float], Moved]:
    """Pull a point beside a pin to the right, by a share of so many pixels."""

    def made(share: float) -> Moved:
        if seen is not None:
            seen.append(share)
        point = DragPoint((128.0, 128.0), (128.0 + share * by, 128.0))
        return Moved(plain_motion([PIN, point], 256), None)

    return made


def score_of_areas(moved: Moved) -> float:
    """Score a motion by how much of it is drawn out, as what is no face is."""
    return looks(nobody(), moved)


def nobody() -> MovingPhoto:
    """Return a photo without a face."""
    grey = np.full((256, 256, 3), 128, np.uint8)
    return MovingPhoto(grey, [PIN], (), None, [PIN.handle], None, None, True)


def test_a_motion_that_holds_is_left_as_it_is() -> None:
    seen: list[float] = []
    held = as_far_as_it_holds(pulled(10, seen), score_of_areas)
    assert held.share == 1 and not held.broken
    assert seen == [1]


def test_a_motion_that_tears_is_shortened_to_about_where_the_photo_holds() -> None:
    whole = pulled(40)(1.0)
    assert whole.motion.areas().min() < 0
    seen: list[float] = []
    held = as_far_as_it_holds(pulled(40, seen), score_of_areas)
    assert 0.3 < held.share < 1 and seen[0] == 1 and len(seen) <= 5
    assert held.moved.motion.areas().min() > 0 and not held.broken
    np.testing.assert_array_equal(held.moved.motion.way, pulled(40)(held.share).motion.way)
    further = as_far_as_it_holds(pulled(40 * held.share * 1.4), score_of_areas)
    assert further.share < 1
    assert where_it_tears(whole, [PIN.target, (168.0, 128.0)], 256) == 2


def test_where_nothing_holds_the_least_way_is_said_to_be_broken() -> None:
    held = as_far_as_it_holds(pulled(70), lambda moved: HOLDS - 0.01)
    assert held.share == LEAST and held.broken


def test_what_is_drawn_out_inside_a_new_mouth_does_not_count() -> None:
    lips = [
        DragPoint((128.0, 186.0), (128.0, 184.0)),
        DragPoint((128.0, 190.0), (128.0, 214.0)),
    ]
    motion = plain_motion(lips, 256)
    mouth = drawn_mouth()
    wide = FreshMouth(mouth.picture, mouth.drawn, (mouth.ends - (128, 190)) * 2 + (128, 198))
    assert score_of_areas(Moved(motion, None)) == 0
    assert score_of_areas(Moved(motion, wide)) == 3


def test_the_scores_by_eye_bear_the_guard_out() -> None:
    with open(TABLE, newline="", encoding="utf-8") as file:
        rows = [
            (float(r["score"]), float(r["ruler"])) for r in csv.DictReader(file, delimiter="\t")
        ]
    stopped = {eye: [ruler < HOLDS for seen, ruler in rows if seen == eye] for eye, _ in rows}
    assert len(stopped[0]) >= 39 and all(stopped[0])
    assert np.mean(stopped[0.5]) > 0.9
    fine = [each for eye, found in stopped.items() if eye >= 2 for each in found]
    assert np.mean(fine) < 0.02


def test_a_face_is_judged_by_how_it_looks() -> None:
    quad = ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))
    aligned = align(np.asarray(skimage.data.astronaut()), quad, 256).image
    face = load_landmarker().landmarks68(aligned)
    x, y = (float(v) for v in face[57])
    width = face_width(face)

    def judged(by: float) -> float:
        point = DragPoint((x, y), (x, y + by * width))
        photo = MovingPhoto(aligned, [point], (), None, [point.handle], None, face, True)
        return looks(photo, Moved(plain_motion([point], 256), None))

    assert judged(0.03) > 2.5 > HOLDS > judged(0.2)
    stained = aligned.copy()
    stained[150:190, 100:150] = (150, 20, 160)
    photo = MovingPhoto(aligned, [PIN], (), None, [PIN.handle], None, face, True)
    assert looks_of_picture(photo, aligned.copy()) == 3
    assert looks_of_picture(photo, stained) < HOLDS


@pytest.mark.parametrize(
    ("followed", "directed", "shown"),
    [((0, 1), False, True), ((0,), False, False), ((), False, False), ((), True, False)],
)
def test_the_networks_picture_counts_only_where_it_shows_all_that_moves(
    followed: tuple[int, ...], directed: bool, shown: bool
) -> None:
    points = [DragPoint((9.0, 9.0), (12.0, 9.0)), DragPoint((5.0, 5.0), (5.0, 8.0)), PIN]
    grey = np.full((256, 256, 3), 128, np.uint8)
    starts = [point.handle for point in points]
    photo = MovingPhoto(grey, points, followed, None, starts, None, None, True, directed=directed)
    assert photo.shown_by_network is shown


def test_a_direction_alone_is_shown_by_the_network_and_pins_alone_are_not() -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)
    photo = MovingPhoto(grey, [PIN], (), None, [PIN.handle], None, None, True)
    assert not photo.shown_by_network
    assert replace(photo, directed=True).shown_by_network


@pytest.mark.parametrize(
    ("moves", "followed", "near"), [("network", (0, 1), ()), ("auto", (), (0,))]
)
def test_where_its_pixels_are_wanted_the_network_is_asked_for_every_point(
    finished: Case, moves: str, followed: tuple[int, ...], near: tuple[int, ...]
) -> None:
    sealed = read_sealed(finished.workspace / STATE)["current"]["align"]
    align = read_artifact(finished.workspace / "artifacts" / f"align-{sealed[:16]}")
    config = {"moves": moves, "follow": ["near", "around"]}
    request = Request("drag", 1, config, {})
    work = Work(request, {"align": align}, {}, Draft(finished.folder), Bench("cpu"))
    photo = MovingPhoto.read(work, [DragPoint((9.0, 9.0), (12.0, 9.0)), PIN], None)
    assert (photo.followed, photo.near) == (followed, near)


def test_a_drag_says_how_far_it_got_and_force_goes_on(finished: Case, run: Run) -> None:
    far = [
        {"handle": [9, 16], "target": [9, 16]},
        {"handle": [16, 16], "target": [26, 16]},
    ]
    finished.points.write_text(json.dumps({"version": 1, "space": "aligned", "points": far}))
    outcome = run(finished.drag())
    assert outcome.code == OK
    assert "of their way: farther, the photo would look broken near point" in outcome.err
    drag = current(finished, "drag")
    share = drag.info["share"]
    assert 0.3 <= share < 1 and drag.info["looks"] == 3 and drag.info["stop"] == "as_far"
    assert outcome.out.startswith(StopReason.AS_FAR.words)
    assert f"{share:.0%} of their way; --force goes all of it" in outcome.out
    assert drag.info["went"][1][0] == pytest.approx(16 + 10 * share)
    outcome = run(finished.drag("--force"))
    forced = current(finished, "drag")
    assert forced.info["share"] == 1
    assert np.array_equal(forced.info["went"][1], [26, 16])
    assert forced.info["stop"] == "torn" and outcome.out.startswith(StopReason.TORN.words)
    told = json.loads(run(finished.drag("--force", "--json")).out.splitlines()[-1])
    assert told["stop"] == "torn" and told["looks"] == 0 and told["pixels"] == "photo"


def test_a_tuned_networks_pixels_are_taken_where_they_look_better(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.drag.has_score", lambda photo: True)
    monkeypatch.setattr("pipeline.stages.drag.looks", lambda photo, moved: 2.0)
    for pasted, number, pixels in ((2.2, 7, "photo"), (2.3, 8, "network")):
        monkeypatch.setattr(
            "pipeline.stages.drag.looks_of_picture", lambda photo, edited, score=pasted: score
        )
        assert run(finished.drag("--steps", str(number))).code == OK
        drag = current(finished, "drag")
        assert drag.info["pixels"] == pixels
        edited = read_pixels(drag, "edited.png")
        assert np.array_equal(edited, read_pixels(drag, "network.png")) == (pixels == "network")


def test_network_pixels_that_look_broken_are_not_called_done(
    finished: Case, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.drag.looks_of_picture", lambda photo, edited: 0.4)
    outcome = run(finished.drag("--paste", "network"))
    assert outcome.out.startswith(StopReason.TORN.words)


def test_a_mouth_goes_no_wider_than_mouths_are(monkeypatch: pytest.MonkeyPatch) -> None:
    quad = ffhq_quad(Face(ASTRONAUT, None, (172, 56, 276, 176), "file", 1.0))
    aligned = align(np.asarray(skimage.data.astronaut()), quad, 256).image
    face = load_landmarker().landmarks68(aligned)
    reach = 0.17 * face_width(face)
    points = [
        DragPoint(
            (float(face[i, 0]), float(face[i, 1])), (float(face[i, 0]) + x, float(face[i, 1]))
        )
        for i, x in ((48, -reach), (54, reach))
    ]
    starts = [point.handle for point in points]
    photo = MovingPhoto(aligned, points, (), None, starts, None, face, True)

    def made(share: float) -> Moved:
        ways = zip(photo.points, photo.on_the_way(photo.ends, share), strict=True)
        return Moved(plain_motion([DragPoint(p.handle, end) for p, end in ways], 256), None)

    def wide(share: float) -> float:
        return mouth_width(load_landmarker().landmarks68(photo.shown(made(share))))

    assert wide(1.0) > WIDEST
    assert looks(photo, made(1.0)) <= NO_FACE < HOLDS
    held = as_far_as_it_holds(made, partial(looks, photo))
    assert 0.3 <= held.share < 1 and wide(held.share) <= WIDEST
    monkeypatch.setattr("pipeline.stages.guard.WIDEST", 9.0)
    assert looks(photo, made(1.0)) > NO_FACE
