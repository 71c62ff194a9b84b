"""A head that turns moves as a body in space: depths, poses, and the field of the whole photo."""

from __future__ import annotations

import numpy as np
import pytest

from drag.points import DragPoint
from inversion.faces.alignment import whole
from inversion.faces.head_pose import HEAD, HeadPose, head_pose
from inversion.faces.landmark_network import load_landmarker
from inversion.faces.shape68 import MIRRORED68, face_width
from pipeline.picture.head_turn import (
    HeadTurn,
    pulls_the_head,
    pulls_the_nose,
    turn_of_points,
    turn_seen,
)
from pipeline.picture.motion import places_of_region
from pipeline.picture.plausibility import looks_of_turn, plausibility
from pipeline.picture.warp import warp
from pipeline.stages.moving_photo import MovingPhoto
from stylegan2.arrays import BoolImage, Float64Array, UInt8Image
from tests.test_plausibility import photo as photo
from tests.test_plausibility import points as points
from tools.fit_head_shape import fitted_shape, left_over

SIZE = 256
STRAIGHT = HeadPose(SIZE, np.eye(3), np.array([128.0, 140.0]))


def turned_to(yaw: float, pitch: float = 0.0) -> HeadPose:
    """Return a pose, angles in degrees: to the right, and downwards."""
    (cy, cp), (sy, sp) = np.cos(np.radians([yaw, pitch])), np.sin(np.radians([yaw, pitch]))
    across = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    down = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    return HeadPose(STRAIGHT.scale, down @ across, STRAIGHT.shift)


def face(pose: HeadPose = STRAIGHT) -> Float64Array:
    return pose.placed(HEAD)[:, :2]


def pulled(points: Float64Array, *ways: tuple[int, float, float]) -> list[DragPoint]:
    """Pull landmarks by shares of the face's width."""
    width = face_width(points)
    made = []
    for i, across, down in ways:
        x, y = points[i].tolist()
        made.append(DragPoint((x, y), (x + across * width, y + down * width)))
    return made


def test_the_mean_head_is_a_head() -> None:
    assert np.allclose(HEAD, HEAD[list(MIRRORED68)] * (-1, 1, 1), atol=0.002)
    depth = HEAD[:, 2]
    assert depth.argmax() == 30
    assert depth[[0, 16]].max() < depth[[36, 45]].min() < depth[[48, 54]].min() < depth[33]
    assert not HEAD.flags.writeable


@pytest.mark.parametrize("yaw", [-40, -10, 0, 25])
def test_a_pose_is_found_again(yaw: float) -> None:
    found = head_pose(face(turned_to(yaw, 8)))
    assert found.scale == pytest.approx(SIZE, rel=1e-6)
    assert np.degrees(found.yaw) == pytest.approx(yaw, abs=0.01)
    assert np.allclose(found.rotation, turned_to(yaw, 8).rotation)


def test_the_shape_is_fitted_to_turned_faces() -> None:
    rng = np.random.default_rng(4)
    yaws = rng.uniform(-30, 30, 60)
    faces = np.stack([face(turned_to(yaw, rng.uniform(-5, 5))) for yaw in yaws]) / SIZE
    shape = fitted_shape(faces, np.radians(yaws))
    assert left_over(shape, faces) < 1e-3
    assert np.corrcoef(shape[:, 2], HEAD[:, 2])[0, 1] > 0.999
    assert left_over(shape * (1, 1, 0), faces) > 0.01


def test_nose_and_chin_that_are_pulled_aside_turn_the_head() -> None:
    turn = turn_of_points(face(), pulled(face(), (30, 0.15, 0), (8, 0.15, 0)))
    assert turn is not None
    assert 8 < np.degrees(turn.yaw) < 15
    assert abs(np.degrees(turn.pitch)) < 1 and abs(np.degrees(turn.roll)) < 1


def test_nose_and_chin_that_are_pulled_down_nod() -> None:
    turn = turn_of_points(face(), pulled(face(), (30, 0, 0.1), (8, 0, 0.1)))
    assert turn is not None
    assert np.degrees(turn.pitch) > 4 and abs(np.degrees(turn.yaw)) < 1


@pytest.mark.parametrize(
    "ways",
    [
        ((48, -0.1, -0.08), (54, 0.1, -0.08)),
        ((4, 0.06, 0), (12, -0.06, 0)),
        ((30, 0.1, 0), (8, -0.1, 0)),
        ((30, 0.001, 0), (8, 0.001, 0)),
    ],
)
def test_smiles_jaws_and_what_hardly_moves_turn_nothing(
    ways: tuple[tuple[int, float, float], ...],
) -> None:
    assert turn_of_points(face(), pulled(face(), *ways)) is None


def test_nose_and_something_else_pull_the_head() -> None:
    assert pulls_the_head(face(), pulled(face(), (30, 0.1, 0), (8, 0.1, 0)))
    assert not pulls_the_head(face(), pulled(face(), (30, 0.1, 0)))
    assert not pulls_the_head(face(), pulled(face(), (31, -0.1, 0), (35, 0.1, 0)))
    assert not pulls_the_head(face(), pulled(face(), (57, 0, 0.1), (8, 0, 0.1)))
    assert not pulls_the_head(face(), pulled(face(), (30, 0.1, 0), (8, 0, 0)))
    assert pulls_the_nose(face(), pulled(face(), (30, 0.1, 0)))
    assert not pulls_the_nose(face(), pulled(face(), (30, 0, 0), (8, 0.1, 0)))


def test_a_turn_is_seen_and_a_smile_is_not() -> None:
    seen = turn_seen(face(), face(turned_to(12)))
    assert seen is not None
    assert np.degrees(seen.yaw) == pytest.approx(12, abs=1.5)
    smiling = face()
    smiling[[48, 54]] += [(-12, -8), (12, -8)]
    assert turn_seen(face(), smiling) is None
    assert turn_seen(face(), face()) is None


def test_what_lies_behind_goes_less_far_and_the_border_stays() -> None:
    points = pulled(face(), (30, 0.15, 0), (8, 0.15, 0))
    turn = turn_of_points(face(), points)
    assert turn is not None
    motion = turn.motion(SIZE, points)
    went = motion.goes(face(), SIZE) - face()
    width = face_width(face())
    for i in (30, 8):
        assert went[i] == pytest.approx([0.15 * width, 0], abs=0.7)
    eyes, ears = went[[36, 39, 42, 45], 0], went[[0, 16], 0]
    assert eyes.min() > 0.03 * width and eyes.max() < 0.14 * width
    assert np.abs(ears).max() < 0.05 * width
    assert np.abs(went[36:48, 1]).max() < 1.5
    assert motion.areas().min() > 0.2
    assert not motion.way[0].any() and not motion.way[:, -1].any()


def test_a_turn_folds_nothing_however_far() -> None:
    far = HeadTurn(face(turned_to(20)), float(np.radians(30)), 0.0, 0.0, 1.0, np.zeros(2))
    assert far.motion(SIZE).areas().min() > 0


def test_a_mask_holds_what_it_holds() -> None:
    movable: BoolImage = np.ones((SIZE, SIZE), np.bool_)
    movable[:40] = False
    turn = turn_of_points(face(), pulled(face(), (30, 0.15, 0), (8, 0.15, 0)))
    assert turn is not None
    motion = turn.motion(SIZE, (), movable)
    places = places_of_region(len(motion.way), SIZE).reshape(*motion.way.shape)
    held = (places[..., 1] < 38) & (places[..., 1] > 0)
    assert not motion.way[held].any()


def test_a_photo_whose_nose_and_chin_are_pulled_turns_without_being_told_so_by_the_network(
    photo: UInt8Image, points: Float64Array
) -> None:
    small = np.ascontiguousarray(photo)
    asked = pulled(points, (30, 0.12, 0), (8, 0.12, 0))
    face68 = np.asarray(points, np.float32)
    starts = [point.handle for point in asked]
    moving = MovingPhoto(small, asked, (0, 1), None, starts, None, face68, True)
    moved = moving.moved(small, small, moving.ends)
    edited = moving.shown(moved)
    seen = turn_seen(points, load_landmarker().landmarks68(edited))
    assert seen is not None
    assert np.degrees(seen.yaw) > 4
    held = np.ones(photo.shape[:2], np.bool_)
    held[int(points[27, 1]) - 3 : int(points[27, 1]) + 3] = False
    behind = MovingPhoto(small, asked, (0, 1), held, starts, None, face68, True)
    kept = behind.moved(small, small, behind.ends).motion
    assert abs(kept.goes(points[[27]], photo.shape[:2]) - points[27]).max() < 1


def test_a_turned_head_is_judged_as_one(photo: UInt8Image, points: Float64Array) -> None:
    size = len(photo)

    def scores(degrees: float) -> tuple[float, float]:
        turn = HeadTurn(points, float(np.radians(degrees)), 0.0, 0.0, 1.0, np.zeros(2))
        after = warp(photo, whole(size), turn.motion(size))
        there = load_landmarker().landmarks68(after)
        return plausibility(photo, after, there, points).score, looks_of_turn(turn)

    near, far = scores(8), scores(18)
    assert near[0] > 2.3 and far[0] > 1.8
    assert near[1] > far[1] > scores(35)[1]


def test_a_preview_is_nearly_the_same_on_a_coarser_grid() -> None:
    points = pulled(face(), (30, 0.15, 0), (8, 0.15, 0))
    turn = turn_of_points(face(), points)
    assert turn is not None
    fine, coarse = turn.motion(SIZE, points), turn.motion(SIZE, points, n=64)
    assert coarse.way.shape == (64, 64, 2)
    assert np.abs(fine.goes(face(), SIZE) - coarse.goes(face(), SIZE)).max() < 1.5
