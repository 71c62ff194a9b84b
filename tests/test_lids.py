"""An eye that shuts: its lids are found in the picture, and meet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from drag.points import DragPoint
from pipeline.disk.artifact import Artifact, Draft, Request
from pipeline.picture.lids import find_lids
from pipeline.stages.artifact_files import DRAG, write_tensors
from pipeline.stages.moved import Moved, read_moved
from pipeline.stages.moving_photo import MovingPhoto
from stylegan2.arrays import Float64Array, UInt8Image
from tests.test_inner_mouth import quad
from tests.test_openings import SIZE, with_eyes

SKIN, LASH, IRIS = (190, 150, 130), (40, 25, 20), (40, 90, 200)

RIGHT = slice(42, 48)


def edges(upper: float, lower: float, side: int = SIZE) -> tuple[Float64Array, Float64Array]:
    """Return the lids of the right eye, so far above and below its corners: [41, 2] each."""
    t = np.linspace(0, 1, 41)
    x = 144 + 28 * t
    arc = 4 * t * (1 - t)
    both = [np.column_stack([x, 125 - upper * arc]), np.column_stack([x, 125 + lower * arc])]
    above, below = ((each + 0.5) * side / SIZE - 0.5 for each in both)
    return above, below


def portrait(upper: float = 9.0, lower: float = 6.0, side: int = SIZE) -> UInt8Image:
    """Draw a face with eyes that are 28 wide, with a dark upper rim, and grain."""
    noise = np.random.default_rng(0).normal(0, 2, (side, side, 1))
    picture = np.clip(np.full((side, side, 3), SKIN) + noise, 0, 255).astype(np.uint8)
    above, below = edges(upper, lower, side)
    for flip in (False, True):
        outline = np.concatenate([above, below[::-1]])
        line = above
        if flip:
            outline, line = (each * (-1, 1) + (side - 1, 0) for each in (outline, line))
        fixed = np.rint(outline * 16).astype(np.int32)
        cv2.fillPoly(picture, [fixed], IRIS, cv2.LINE_AA, 4)
        rim = np.rint(line * 16).astype(np.int32)
        cv2.polylines(picture, [rim], False, LASH, max(1, side // 128), cv2.LINE_AA, 4)
    return picture


def photo_of(*points: DragPoint, movable: np.ndarray | None = None) -> MovingPhoto:
    starts = [point.handle for point in points]
    followed = tuple(range(len(points)))
    face = with_eyes().astype(np.float32)
    photo = MovingPhoto(portrait(), points, followed, movable, starts, None, face, True)
    return photo.with_own_ways()


def pull(i: int, down: float) -> DragPoint:
    x, y = with_eyes()[i].tolist()
    return DragPoint((x, y), (x, y + down))


WINK = pull(43, 9), pull(44, 9)


def shut(photo: MovingPhoto) -> Moved:
    return photo.moved(photo.aligned, photo.aligned, photo.ends)


def blue(picture: UInt8Image, *, right: bool = True) -> int:
    """Count the pixels of the right or left eye that look like its iris."""
    half = picture[100:145, 138:178] if right else picture[100:145, 78:118]
    return int((half[..., 2].astype(int) > half[..., 0] + 20).sum())


@pytest.mark.parametrize("side", [SIZE, 1024])
def test_lids_are_found_where_landmarks_are_off_by_a_good_part_of_the_opening(side: int) -> None:
    """The eye is open by 15; the landmarks say 10."""
    scale = side / SIZE
    lids = find_lids(portrait(side=side), (with_eyes()[RIGHT] + 0.5) * scale - 0.5)
    assert lids is not None
    above, below = edges(9, 6, side)
    for found, true in ((lids.upper, above), (lids.lower, below)):
        there = np.interp(found[:, 0], true[:, 0], true[:, 1])
        assert np.abs(found[5:-5, 1] - there[5:-5]).max() < 1.6 * scale


def test_where_no_eye_is_seen_no_lids_are_found() -> None:
    dark = np.full((SIZE, SIZE, 3), 20, np.uint8)
    assert find_lids(dark, with_eyes()[RIGHT]) is None
    outside = with_eyes()[RIGHT] + (SIZE, 0)
    assert find_lids(portrait(), outside) is None
    assert find_lids(portrait(), with_eyes()[RIGHT] * 0) is None


@pytest.mark.parametrize("side", [SIZE, 3 * SIZE])
def test_nothing_is_left_of_an_eye_that_is_shut_but_its_lashes(side: int) -> None:
    photo = photo_of(*WINK)
    moved = shut(photo)
    assert [eye.number for eye in moved.shut_eyes] == [1]
    whole = portrait(side=side)
    small = cv2.resize(moved.of(whole, quad(side)), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    result = np.asarray(small, np.uint8)
    assert blue(result) < 0.08 * blue(photo.aligned)
    assert blue(result, right=False) > 200
    column = result[110:140, 158].astype(int).sum(axis=1)
    assert column.min() < 330, "lashes are dark"
    assert (column < 400).sum() < 10, "and a line"
    away = np.ones((SIZE, SIZE), bool)
    away[90:160, 120:196] = False
    if side == SIZE:
        assert np.abs(result.astype(int) - photo.aligned)[away].max() < 12


def test_one_lid_point_shuts_the_eye_and_the_lower_lid_comes_up_to_meet_it() -> None:
    eye = shut(photo_of(pull(43, 9))).shut_eyes[0]
    above, below = edges(9, 6)
    there = np.interp(eye.line[:, 0], below[:, 0], below[:, 1])[16]
    assert 2 < there - eye.line[16, 1] < 7


def test_a_lower_lid_that_is_pinned_stays() -> None:
    photo = photo_of(*WINK, pull(46, 0), pull(47, 0))
    eye = shut(photo).shut_eyes[0]
    _, below = edges(9, 6)
    there = np.interp(eye.line[:, 0], below[:, 0], below[:, 1])
    assert np.abs(there - eye.line[:, 1])[4:-4].max() < 2


def test_a_lid_that_is_lowered_a_little_leaves_the_eye_open() -> None:
    moved = shut(photo_of(pull(43, 4), pull(44, 4)))
    assert not moved.shut_eyes
    assert blue(moved.of(portrait(), quad(SIZE))) > 30


def test_a_mask_over_a_part_of_the_eye_leaves_it_open() -> None:
    movable = np.ones((SIZE, SIZE), np.bool_)
    movable[:, 165:] = False
    assert not shut(photo_of(*WINK, movable=movable)).shut_eyes


@pytest.mark.parametrize("rows", [slice(0, 115), slice(133, 256)])
def test_what_a_mask_keeps_beside_the_eye_stays_bit_by_bit(rows: slice) -> None:
    movable = np.ones((SIZE, SIZE), np.bool_)
    movable[rows] = False
    photo = photo_of(*WINK, movable=movable)
    shown = photo.shown(shut(photo))
    np.testing.assert_array_equal(shown[rows], photo.aligned[rows])


def test_half_of_the_way_the_lids_are_apart() -> None:
    moved = shut(photo_of(*WINK))
    half = moved.part(0.5)
    assert not half.shut_eyes and moved.part(1.0).shut_eyes
    assert blue(half.of(portrait(), quad(SIZE))) > 10


def test_a_shut_eye_goes_along_when_the_head_does() -> None:
    nose = DragPoint((128.0, 160.0), (138.0, 160.0))
    still, along = (shut(photo_of(*WINK, *more)) for more in ((), (nose,)))
    ways = along.shut_eyes[0].line - still.shut_eyes[0].line
    corner = along.motion.goes(with_eyes()[[42]], SIZE)[0] - with_eyes()[42]
    assert ways[0, 0] > 2
    np.testing.assert_allclose(ways[0], corner, atol=0.7)


def test_it_stays_shut_and_goes_along_in_later_drags() -> None:
    first = shut(photo_of(*WINK))
    hair = DragPoint((150.0, 60.0), (160.0, 60.0))
    photo = photo_of(hair)
    later = replace(photo, first=first, followed=())
    moved = shut(later)
    assert [eye.number for eye in moved.shut_eyes] == [1]
    assert blue(moved.of(portrait(), quad(SIZE))) < 20


@pytest.mark.parametrize("down", [-6.0, 6.0, 20.0])
def test_a_shut_eye_stays_shut_whatever_pulls_its_lid_later(down: float) -> None:
    first = shut(photo_of(*WINK))
    x, y = first.shut_eyes[0].line[16].tolist()
    point = DragPoint((x, y), (x, y + down))
    later = replace(photo_of(), points=[point], starts=[(x, y)], followed=(0,), first=first)
    later = later.with_own_ways()
    assert (later.shut, later.followed, later.near) == ((0,), (), ())
    shown = shut(later).of(portrait(), quad(SIZE))
    np.testing.assert_array_equal(shown, first.of(portrait(), quad(SIZE)))


def test_a_lid_is_pulled_by_its_skin_where_landmarks_are_too_low() -> None:
    """The eye is open by 15, the landmark lies 4 below the lashes, the handle 2 above them."""
    (x, _), (_, y) = with_eyes()[43], (0, 114)
    moved = shut(photo_of(DragPoint((x, y), (x, 130.0))))
    assert [eye.number for eye in moved.shut_eyes] == [1]


def test_a_lid_is_pulled_by_its_landmark_where_that_lies_far_below_the_lashes() -> None:
    """Eight pixels below them, as in wide open eyes: farther than a handle may be from an edge."""
    photo = replace(photo_of(), aligned=portrait(upper=13.0))
    point = pull(43, 9)
    photo = replace(photo, points=[point], starts=[point.handle], followed=(0,)).with_own_ways()
    assert photo.followed == () and [eye.number for eye in shut(photo).shut_eyes] == [1]


def test_what_a_mask_keeps_of_an_eye_whose_lid_is_pulled_is_known() -> None:
    movable = np.ones((SIZE, SIZE), np.bool_)
    movable[:, 165:] = False
    photo = photo_of(*WINK, movable=movable)
    assert (photo.cut, photo.lids) == ((1,), (None, None))
    assert photo_of(*WINK).cut == () and photo_of(pull(30, 8)).cut == ()


def test_a_shut_eye_is_kept_on_disk(tmp_path: Path) -> None:
    moved = shut(photo_of(*WINK))
    draft = Draft(tmp_path)
    write_tensors(draft, DRAG, moved.write(draft))
    kept = read_moved(Artifact(tmp_path, Request("drag", 1, {}, {}), {"files": {DRAG: {}}}))
    np.testing.assert_array_equal(kept.of(portrait(), quad(SIZE)), moved.of(portrait(), quad(SIZE)))
