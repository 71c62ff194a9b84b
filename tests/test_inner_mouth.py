"""An open mouth that opens further, or shuts: its teeth stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drag.points import DragPoint
from inversion.faces.shape68 import mouth_opening
from pipeline.disk.artifact import Draft
from pipeline.picture.inner_mouth import InnerMouth
from pipeline.picture.motion import Motion
from pipeline.picture.mouth import MOUTH, Faces, lips_that_open
from pipeline.picture.plausibility import measures
from pipeline.stages.guard import looks
from pipeline.stages.moved import Moved
from pipeline.stages.moving_photo import MovingPhoto
from stylegan2.arrays import Float64Array, UInt8Image
from tests.test_mouth import SIZE, face

SKIN, LIP, TEETH = (180, 140, 120), (170, 70, 80), (235, 230, 220)


def quad(side: int) -> Float64Array:
    return np.array([[0, 0], [0, side], [side, side], [side, 0]]) - 0.5


def smiling(side: int = SIZE, gap: float = 12) -> UInt8Image:
    """Return a face whose lips are as far apart as `face(gap)` says, teeth between them."""
    import cv2

    picture = np.full((side, side, 3), SKIN, np.uint8)
    points = np.rint(face(gap) * side / SIZE).astype(np.int32)
    cv2.fillPoly(picture, [points[48:60]], LIP)
    cv2.fillPoly(picture, [points[60:68]], TEETH)
    return picture


def opened(before: float = 12, after: float = 30) -> InnerMouth:
    """Return a mouth whose lower lip goes down; the upper one stays."""
    ends = face(after)[list(MOUTH)] + (0, (after - before) / 2)
    return InnerMouth(SIZE, face(before)[list(MOUTH)], ends)


@pytest.mark.parametrize("side", [SIZE, 3 * SIZE])
def test_teeth_stay_where_they_are_and_it_is_dark_below(side: int) -> None:
    photo, scale = smiling(side), side / SIZE
    result = opened().put(photo, photo, quad(side)).astype(int)
    column = result[:, int(128 * scale)]
    for y in (186, 190, 194):
        np.testing.assert_allclose(column[int(y * scale)], TEETH, atol=6)
    behind, above_lip = column[int(200 * scale)], column[int(211 * scale)]
    assert behind.max() < 70
    assert above_lip.sum() > behind.sum(), "it is lighter above the lower lip"
    assert above_lip[0] > above_lip[1], "and of the lips' colour"
    outside = np.ones((side, side), bool)
    outside[int(178 * scale) : int(220 * scale), int(92 * scale) : int(164 * scale)] = False
    assert (result[outside] == photo[outside]).all()


def test_a_mouth_that_hardly_opens_is_left_alone() -> None:
    photo = smiling()
    assert opened(12, 12.4).put(photo, photo, quad(SIZE)) is photo
    assert not opened(12, 12.4).new().any()
    assert opened().new()[200, 128] and not opened().new()[240, 128]


def test_a_lower_lip_that_comes_up_covers_the_teeth() -> None:
    photo = smiling(gap=24)
    lip = photo.copy()
    lip[186:204] = LIP
    result = opened(24, 8).put(photo, lip, quad(SIZE)).astype(int)
    column = result[:, 128]
    np.testing.assert_allclose(column[182], TEETH, atol=6)
    np.testing.assert_allclose(column[195], LIP, atol=6)
    gradient = np.abs(np.diff(column[180:184].sum(axis=1)))
    assert gradient.max() < 10, "teeth are covered, not squeezed"


def test_a_mouth_outside_the_photo_is_left_alone() -> None:
    photo = smiling()
    away = replace(opened(), starts=opened().starts + 2000, ends=opened().ends + 2000)
    assert away.put(photo, photo, quad(SIZE)) is photo


def test_lips_that_open_keep_their_thickness() -> None:
    lower = [DragPoint((128.0, 204.0), (128.0, 220.0))]
    faces = Faces(face(12), face(12), face(24, 2))
    ends = {point.handle: np.array(point.target) for point in lips_that_open(faces, lower)}
    photo = face(12)
    inner, outer = (ends[tuple(photo[i])] for i in (66, 57))
    assert outer[1] - inner[1] == pytest.approx(photo[57, 1] - photo[66, 1])
    np.testing.assert_allclose(ends[tuple(photo[62])], face(24, 2)[62])
    assert not lips_that_open(Faces(face(1), face(1), face(13)), lower), "it was closed"
    assert not lips_that_open(faces, []), "nobody asked"
    shut = [DragPoint((128.0, 204.0), (128.0, 190.0))]
    assert not lips_that_open(faces, shut)


def moving(mouth: float = 12) -> MovingPhoto:
    points = [
        DragPoint((128.0, 198.0 + mouth / 2), (128.0, 214.0 + mouth / 2)),
        DragPoint((128.0, 230.0), (128.0, 246.0)),
    ]
    starts = [point.handle for point in points]
    face68 = np.asarray(face(mouth), np.float32)
    return MovingPhoto(smiling(gap=mouth), points, (0, 1), None, starts, None, face68, True)


def test_a_photo_with_an_open_mouth_gets_it_and_keeps_it_on_disk(tmp_path: Path) -> None:
    photo = moving()
    moved = photo.moved(photo.aligned, photo.aligned, photo.ends)
    assert isinstance(moved.mouth, InnerMouth)
    assert moved.mouth.wider > 1.3
    ends = np.array(face(12)[[57]])
    np.testing.assert_allclose(
        moved.mouth.ends[[MOUTH.index(57)]], moved.motion.goes(ends, SIZE), atol=0.1
    )
    half = moved.part(0.5).mouth
    assert isinstance(half, InnerMouth)
    assert 1.1 < half.wider < moved.mouth.wider
    tensors = moved.write(Draft(tmp_path))
    assert tensors["inner_mouth"].shape == (2, 20, 2)
    assert tensors["crop"].tolist() == [SIZE, SIZE]
    without = Moved(moved.motion, None)
    assert without.of(photo.aligned, quad(SIZE))[200, 128].min() > 180
    assert moved.of(photo.aligned, quad(SIZE))[204, 128].max() < 90


def test_lips_keep_their_thickness_only_where_the_inside_is_put_between_them() -> None:
    photo = moving()
    own = replace(photo, fresh=False)
    held = np.ones((SIZE, SIZE), np.bool_)
    held[198:214, 100:116] = False
    for each in (own, replace(photo, movable=held)):
        assert each.moved(photo.aligned, photo.aligned, photo.ends).mouth is None
        lips, _, _ = each._lips(photo.aligned, photo.aligned, each._ways(photo.ends))
        assert not lips
    lips, _, _ = photo._lips(photo.aligned, photo.aligned, photo._ways(photo.ends))
    assert lips


def test_what_is_new_in_a_mouth_is_no_fault() -> None:
    photo = moving()
    moved = photo.moved(photo.aligned, photo.aligned, photo.ends)
    shown = photo.shown(moved)
    assert isinstance(moved.mouth, InnerMouth)
    all_of_it = measures(photo.aligned, shown, face(30))
    rest = measures(photo.aligned, shown, face(30), moved.mouth.new())
    assert rest["mouth"] < all_of_it["mouth"] and rest["left"] < all_of_it["left"]
    assert looks(photo, moved) >= 0


def test_a_mouth_goes_along_with_what_moves_the_photo_later() -> None:
    way = np.zeros((320, 320, 2), np.float32)
    way[..., 0] = -10 / 320
    later = Moved(Motion(way), opened()).mouth_after(Motion(way))
    assert isinstance(later, InnerMouth)
    assert np.all(later.ends[:, 0] > opened().ends[:, 0] + 5)
    np.testing.assert_array_equal(later.starts, opened().starts)


def test_the_gap_is_measured_between_inner_lips() -> None:
    assert opened(10, 30).wider == pytest.approx(3, rel=0.1)
    assert mouth_opening(face(12)) > 0.06


def test_a_mouth_that_an_earlier_drag_opened_opens_further_with_the_same_teeth() -> None:
    photo = moving()
    first = photo.moved(photo.aligned, photo.aligned, photo.ends)
    assert isinstance(first.mouth, InnerMouth)
    again = replace(photo, first=first)
    further = [(x, y + 32) for x, y in again.starts]
    starts = [(x, y + 16) for x, y in again.starts]
    moved = replace(again, starts=starts).moved(photo.aligned, photo.aligned, further)
    assert isinstance(moved.mouth, InnerMouth)
    np.testing.assert_array_equal(moved.mouth.starts, first.mouth.starts)
    assert moved.mouth.wider > first.mouth.wider * 1.15
    shown = moved.of(photo.aligned, quad(SIZE))
    np.testing.assert_allclose(shown[190, 128], TEETH, atol=8)
    aside = replace(photo, first=first, points=[DragPoint((30.0, 30.0), (40.0, 30.0))])
    aside = replace(aside, followed=(), starts=[(30.0, 30.0)])
    kept = aside.moved(photo.aligned, photo.aligned, [(40.0, 30.0)]).mouth
    assert isinstance(kept, InnerMouth)
    np.testing.assert_allclose(kept.ends, first.mouth.ends, atol=0.5)


def test_a_mask_that_keeps_a_spot_between_the_lips_keeps_the_mouth() -> None:
    photo = moving()
    lips = face(30)[list(MOUTH)]
    assert photo._may_change(lips)
    for y, free in ((192, False), (240, True)):
        movable = np.ones((SIZE, SIZE), np.bool_)
        movable[y, 128] = False
        assert replace(photo, movable=movable)._may_change(lips) == free
