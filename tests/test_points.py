"""Points files and masks: what is read, and how every mistake is named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from drag.masks import keep_outside, movable_mask, read_mask, warp_mask
from drag.points import (
    DragPoint,
    PlacedPoints,
    PointsFile,
    PointsInvalid,
    parse_points,
    read_points,
    to_aligned,
)

IDENTITY = np.eye(3)


def _file(**changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "version": 1,
        "space": "photo",
        "points": [
            {"handle": [10, 20], "target": [12.5, 20]},
            {"handle": [30, 40], "target": [30, 44]},
        ],
    }
    data.update(changes)
    return data


def _second_point(**ends: Any) -> dict[str, Any]:
    point = {"handle": [30, 40], "target": [30, 44], **ends}
    return _file(points=[{"handle": [10, 20], "target": [12.5, 20]}, point])


def _similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    c, s = math.cos(math.radians(degrees)) * scale, math.sin(math.radians(degrees)) * scale
    return np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])


def test_a_points_file_is_read_with_its_mask_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "punkte ä.json"
    path.write_text(json.dumps(_file(mask="mask.png")), encoding="utf-8")
    read = read_points(path)
    assert read.space == "photo"
    assert read.points == (DragPoint((10, 20), (12.5, 20)), DragPoint((30, 40), (30, 44)))
    assert read.mask_path == tmp_path / "mask.png"
    assert read.notices == ()


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(_file()), encoding="utf-8-sig")
    assert len(read_points(path).points) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2], "JSON object is expected"),
        (_file(version=2), "version must be 1, got 2"),
        (_file(version=True), "version must be 1, got True"),
        (_file(version="1"), "version must be 1, got '1'"),
        (_file(space="screen"), '"photo" or "aligned", got \'screen\''),
        (_file(space=["photo"]), '"photo" or "aligned"'),
        (_file(colour="red"), "unknown key 'colour'; known are version, space, points, mask"),
        ({"version": 1, "points": []}, "space is missing"),
        ({"version": 1, "space": "photo"}, "points is missing"),
        (_file(points=[]), "at least one handle and target"),
        (_file(points={"handle": [1, 2]}), "points must be a list"),
        (_file(mask=3), "mask must be the name of a PNG file, got 3"),
        (_file(mask=""), "mask must be the name of a PNG file"),
        (_file(points=[[1, 2]]), "point 1: an object with handle and target"),
        (_second_point(handel=[1, 2]), "point 2: unknown key 'handel'"),
        (_file(points=[{"handle": [1, 2]}]), "point 1: target is missing"),
        (_second_point(handle=[1, 2, 3]), r"point 2: handle must be \[x, y\]"),
        (_second_point(target="12"), r"point 2: target must be \[x, y\]"),
        (_second_point(handle=[1, None]), "point 2: handle: y must be a number, got None"),
        (_second_point(handle=[True, 1]), "point 2: handle: x must be a number, got True"),
        (_second_point(target=[math.nan, 1]), "point 2: target: x must be a finite number"),
        (_second_point(target=[1, -math.inf]), "point 2: target: y must be a finite number"),
        (_second_point(target=[1, 10**400]), "point 2: target: y must be a finite number"),
        (_file(points=[{"handle": [1, 2], "target": [1, 2.0]}]), "so nothing would move"),
        (_second_point(handle=[10.0, 20]), "point 2: its handle .10, 20. is also .* of point 1"),
    ],
)
def test_a_mistake_is_named_with_its_point(data: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_text(json.dumps(data))
    with pytest.raises(PointsInvalid, match=words) as caught:
        read_points(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a JSON file"),
        ('{"version": 1,', "not a JSON file"),
        ('{"version": 1, "version": 1}', "'version' appears twice"),
        ("[" * 100_000, "not a JSON file"),
        ("\x00\xff", "not a JSON file"),
    ],
)
def test_what_is_not_json_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "points.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(PointsInvalid, match=words):
        read_points(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PointsInvalid, match=r"none\.json: cannot be read"):
        read_points(tmp_path / "none.json")


def test_gooddrag_points_are_read_as_aligned_with_a_notice() -> None:
    read = parse_points({"points": [[1, 2], [3, 4], [5, 6], [7, 8]]}, Path())
    assert read.space == "aligned"
    assert read.points == (DragPoint((1, 2), (3, 4)), DragPoint((5, 6), (7, 8)))
    assert "GoodDrag" in read.notices[0] and "aligned" in read.notices[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"points": [[1, 2], [3, 4], [5, 6]]}, "point 2: a handle without a target"),
        ({"points": [[1, 2], [3, 4]], "space": "photo"}, "pixels of the aligned face"),
        ({"points": [[1, 2], [3, 4]], "mask": "m.png"}, "unknown key 'mask'"),
        ({"points": [[1, 2], 3]}, "point 1: target must be"),
    ],
)
def test_gooddrag_points_that_are_unclear_are_refused(data: Any, words: str) -> None:
    with pytest.raises(PointsInvalid, match=words):
        parse_points(data, Path())


def test_photo_points_go_through_the_alignment() -> None:
    matrix = _similarity(0.5, 30, 20, 5)
    read = parse_points(_file(), Path())
    aligned = to_aligned(read, matrix, 64, (100, 100))
    assert aligned.clamped == ()
    for point, original in zip(aligned.points, read.points, strict=True):
        for xy, photo_xy in (
            (point.handle, original.handle),
            (point.target, original.target),
        ):
            assert xy == pytest.approx(tuple((matrix @ [*photo_xy, 1.0])[:2]))


def test_aligned_points_are_taken_as_they_are() -> None:
    read = parse_points(_file(space="aligned"), Path())
    assert to_aligned(read, _similarity(9, 9, 9, 9), 64, (10, 10)).points == read.points


def test_the_outermost_pixels_count_as_inside() -> None:
    corners = PointsFile("aligned", (DragPoint((-0.5, 0), (63.5, 63)),))
    assert to_aligned(corners, IDENTITY, 64, (9, 9)) == PlacedPoints(corners.points, ())


@pytest.mark.parametrize(
    ("target", "end"),
    [
        ((63.6, 5), (63, 5)),
        ((-0.6, 5), (0, 5)),
        ((5, 90.5), (5, 63)),
        ((-8, -9), (0, 0)),
    ],
)
def test_a_target_outside_the_aligned_face_comes_to_its_edge(
    target: tuple[float, float], end: tuple[float, float]
) -> None:
    read = PointsFile("aligned", (DragPoint((1, 1), (2, 2)), DragPoint((3, 3), target)))
    placed = to_aligned(read, IDENTITY, 64, (1000, 1000))
    assert placed.points == (DragPoint((1, 1), (2, 2)), DragPoint((3, 3), end))
    assert placed.clamped == (2,)


@pytest.mark.parametrize("handle", [(63.6, 5), (-0.6, 5), (5, 64), (5, -1)])
def test_a_handle_outside_the_aligned_face_is_named_with_the_limits(
    handle: tuple[float, float],
) -> None:
    read = PointsFile("aligned", (DragPoint((1, 1), (2, 2)), DragPoint(handle, (3, 3))))
    with pytest.raises(PointsInvalid, match=r"point 2: handle .* x from -0\.5 to 63\.5, y"):
        to_aligned(read, IDENTITY, 64, (1000, 1000))


def test_a_pin_is_a_point_whose_target_is_its_handle() -> None:
    read = parse_points(_second_point(target=[30, 40.0]), Path())
    assert read.points[1] == DragPoint((30, 40), (30, 40))
    assert to_aligned(read, IDENTITY, 64, (64, 64)).points[1] == read.points[1]


def test_a_point_outside_the_photo_is_named_with_the_limits() -> None:
    read = PointsFile("photo", (DragPoint((101, 1), (2, 2)),))
    with pytest.raises(
        PointsInvalid, match=r"point 1: handle \(101, 1\) lies outside the photo; .* to 99\.5"
    ):
        to_aligned(read, IDENTITY, 1024, (100, 100))


def test_a_point_in_the_photo_but_outside_the_crop_is_named_with_the_limits() -> None:
    read = PointsFile("photo", (DragPoint((90, 50), (50, 50)),))
    with pytest.raises(PointsInvalid, match=r"point 1: handle \(90, 50\) lies outside the face cr"):
        to_aligned(read, _similarity(1, 0, -30, -30), 32, (100, 100))


def test_a_target_outside_the_photo_comes_to_the_crops_edge() -> None:
    read = PointsFile("photo", (DragPoint((50, 50), (50, 130)),))
    placed = to_aligned(read, _similarity(1, 0, -30, -30), 32, (100, 100))
    assert placed == PlacedPoints((DragPoint((20, 20), (20, 31)),), (1,))


def _mask_file(path: Path, space: str = "aligned") -> PointsFile:
    point = DragPoint((1, 1), (2, 2))
    return PointsFile("photo" if space == "photo" else "aligned", (point,), path)


def _half_white(width: int, height: int) -> np.ndarray:
    picture = np.zeros((height, width), np.uint8)
    picture[:, width // 2 :] = 255
    return picture


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_white_may_change_in_every_mode(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(_half_white(16, 16)).convert(mode).save(path)
    mask = movable_mask(_mask_file(path), IDENTITY, 16, (99, 99))
    assert mask is not None and mask.notices == ()
    assert mask.movable.dtype == torch.bool
    assert not mask.movable[:, :8].any() and mask.movable[:, 8:].all()


def test_what_is_transparent_is_kept(tmp_path: Path) -> None:
    picture = np.full((16, 16, 4), 255, np.uint8)
    picture[:4, :, 3] = 0
    Image.fromarray(picture).save(tmp_path / "mask.png")
    white = read_mask(tmp_path / "mask.png", (16, 16), "the photo")
    assert not white[:4].any() and white[4:].all()


@pytest.mark.parametrize(("value", "word"), [(255, "all white"), (0, "all black")])
def test_a_mask_of_one_colour_is_legal_with_a_notice(value: int, word: str, tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16), value, np.uint8)).save(tmp_path / "mask.png")
    mask = movable_mask(_mask_file(tmp_path / "mask.png"), IDENTITY, 16, (99, 99))
    assert mask is not None
    assert bool(mask.movable.all()) == (value == 255) and bool(mask.movable.any()) == (value == 255)
    assert len(mask.notices) == 1 and word in mask.notices[0]


def test_no_mask_is_none() -> None:
    assert movable_mask(PointsFile("aligned", ()), IDENTITY, 16, (9, 9)) is None


def test_a_mask_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(_half_white(20, 10)).save(path)
    with pytest.raises(PointsInvalid, match="20 x 10 pixels, the photo is 10 x 20"):
        movable_mask(_mask_file(path, "photo"), IDENTITY, 16, (10, 20))
    with pytest.raises(PointsInvalid, match="20 x 10 pixels, the aligned face is 16 x 16"):
        movable_mask(_mask_file(path), IDENTITY, 16, (20, 10))


def test_a_mask_that_is_no_png_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(whole)
    cases = {
        "none.png": None,
        "text.png": b"not a picture",
        "cut.png": whole.read_bytes()[:900],
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(PointsInvalid, match=name):
            read_mask(tmp_path / name, (64, 64), "the photo")
    Image.fromarray(noise).save(tmp_path / "mask.jpg")
    with pytest.raises(PointsInvalid, match="not a readable PNG"):
        read_mask(tmp_path / "mask.jpg", (64, 64), "the photo")
    Image.fromarray(noise.astype(np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(PointsInvalid, match="8-bit"):
        read_mask(tmp_path / "deep.png", (64, 64), "the photo")


@pytest.mark.parametrize("scale", [0.21, 0.5, 1.0, 2.7])
def test_a_photos_mask_follows_the_alignment(scale: float) -> None:
    turn = _similarity(scale, 20, 0, 0)
    edge_x, edge_y, _ = turn @ [240, 300, 1]
    matrix = _similarity(scale, 20, 32 - edge_x, 32 - edge_y)
    y, x = np.mgrid[0:600, 0:600]
    warped = warp_mask(np.hypot(x - 300, y - 300) <= 60, matrix, 64)
    centre_x, centre_y, _ = matrix @ [300, 300, 1]
    y, x = np.mgrid[0:64, 0:64]
    away = np.hypot(x - centre_x, y - centre_y)
    inside, outside = away < 60 * scale - 0.5 - scale, away > 60 * scale + 0.5 + scale
    assert inside.any() and outside.any()
    assert warped[inside].all() and not warped[outside].any()


def test_beyond_the_photo_its_edge_is_repeated() -> None:
    left_white = np.zeros((10, 10), bool)
    left_white[:, :5] = True
    warped = warp_mask(left_white, _similarity(1, 0, 10, 10), 30)
    assert warped[:, :15].all() and not warped[:, 15:].any()


def test_a_photos_mask_is_read_and_brought_to_the_face(tmp_path: Path) -> None:
    Image.fromarray(_half_white(40, 30)).save(tmp_path / "mask.png")
    matrix = _similarity(1, 0, -10, -5)
    mask = movable_mask(_mask_file(tmp_path / "mask.png", "photo"), matrix, 16, (40, 30))
    assert mask is not None
    assert not mask.movable[:, :10].any() and mask.movable[:, 10:].all()


def test_outside_a_mask_the_picture_is_kept_exactly_and_the_seam_lies_inside() -> None:
    rng = torch.Generator().manual_seed(0)
    picture = torch.randn(1, 3, 128, 128, generator=rng)
    kept = torch.randn(1, 3, 128, 128, generator=rng)
    movable = torch.zeros(128, 128, dtype=torch.bool)
    movable[30:90, 40:128] = True
    mixed = keep_outside(picture, kept, movable)
    assert torch.equal(mixed[:, :, ~movable], kept[:, :, ~movable])
    assert torch.equal(mixed[0, :, 50:70, 60:128], picture[0, :, 50:70, 60:128])
    row = ((mixed - kept) / (picture - kept))[0, :, 60, 36:50].mean(dim=0)
    assert bool((row.diff() >= -1e-3).all()) and 0 < float(row[4]) < 0.5


def test_a_mask_that_lets_everything_or_nothing_change() -> None:
    picture, kept = torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    assert torch.equal(keep_outside(picture, kept, torch.ones(16, 16, dtype=torch.bool)), picture)
    assert torch.equal(keep_outside(picture, kept, torch.zeros(16, 16, dtype=torch.bool)), kept)
