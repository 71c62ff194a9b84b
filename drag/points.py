"""Handles, targets and masks: what the user asks for, read strictly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from stylegan2.arrays import Float64Array
from stylegan2.sizes import Size, sides
from stylegan2.strict_json import read_strict_json

Space = Literal["photo", "aligned"]

VERSION = 1


class PointsInvalid(Exception):
    """A points file that cannot be used as it is. The message names the point and the limits."""


@dataclass(frozen=True)
class DragPoint:
    """Move the content at `handle` to `target`: xy in pixels, an integer is a pixel's centre.

    Where both are the same the point is a pin: it holds its place while others move.
    """

    handle: tuple[float, float]
    target: tuple[float, float]

    @classmethod
    def between(cls, handle: Float64Array, target: Float64Array) -> DragPoint:
        """Return a point from one place to another, [2] each."""
        (x, y), (to_x, to_y) = handle.tolist(), target.tolist()
        return cls((x, y), (to_x, to_y))


@dataclass(frozen=True)
class PointsFile:
    """A points file as read: `points` in pixels of `space`, not yet held against any picture.

    notices are for the user: what was taken for granted in reading.
    """

    space: Space
    points: tuple[DragPoint, ...]
    mask_path: Path | None = None
    notices: tuple[str, ...] = ()


def read_points(path: str | Path) -> PointsFile:
    """Read a points file. A mask's relative path starts at the file's folder.

    Raises PointsInvalid.
    """
    path = Path(path)
    try:
        return parse_points(read_points_json(path), path.parent)
    except PointsInvalid as error:
        raise PointsInvalid(f"{path}: {error}") from error


def read_points_json(path: Path) -> object:
    """Read a points file as decoded JSON, not checked yet. Raises PointsInvalid."""
    try:
        return read_strict_json(path)
    except OSError as error:
        raise PointsInvalid(f"cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise PointsInvalid(str(error)) from error


def parse_points(data: object, folder: Path) -> PointsFile:
    """Check decoded JSON: our layout, or GoodDrag's ({"points": [[handle], [target], ...]}).

    GoodDrag's coordinates are pixels of the picture it drags, so they are read as `aligned`.
    Raises PointsInvalid.
    """
    if not isinstance(data, dict):
        raise PointsInvalid(f"a JSON object is expected, got {_brief(data)}")
    if _is_gooddrag(data):
        return _parse_gooddrag(data)
    _check_keys(data, "the file", required=("version", "space", "points"), optional=("mask",))
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise PointsInvalid(f"version must be {VERSION}, got {_brief(data['version'])}")
    if data["space"] not in ("photo", "aligned"):
        raise PointsInvalid(f'space must be "photo" or "aligned", got {_brief(data["space"])}')
    mask = data.get("mask")
    if mask is not None and (not isinstance(mask, str) or not mask):
        raise PointsInvalid(f"mask must be the name of a PNG file, got {_brief(mask)}")
    pairs = []
    for number, item in enumerate(_non_empty_list(data["points"]), start=1):
        if not isinstance(item, dict):
            raise PointsInvalid(
                f"point {number}: an object with handle and target is expected, got {_brief(item)}"
            )
        _check_keys(item, f"point {number}", required=("handle", "target"))
        pairs.append((item["handle"], item["target"]))
    points = _points(pairs)
    return PointsFile(cast(Space, data["space"]), points, folder / mask if mask else None)


@dataclass(frozen=True)
class PlacedPoints:
    """Points in pixels of the aligned face.

    clamped are the numbers, from 1, of those whose target lay outside it and now is at its edge.
    """

    points: tuple[DragPoint, ...]
    clamped: tuple[int, ...]


def to_aligned(
    points_file: PointsFile,
    photo_to_aligned: Float64Array,
    size: Size,
    photo_size: tuple[int, int],
) -> PlacedPoints:
    """Bring points to the aligned face of that size; a target outside it comes to its edge.

    photo_to_aligned is 3x3 and acts on (x, y, 1); photo_size is (width, height).
    Raises PointsInvalid naming the first point whose handle lies outside the photo or the crop.
    """
    if photo_to_aligned.shape != (3, 3):
        raise ValueError(f"photo_to_aligned must be 3x3, got {photo_to_aligned.shape}")
    height, width = sides(size)
    photo = points_file.space == "photo"
    aligned, clamped = [], []
    for number, point in enumerate(points_file.points, start=1):
        what = f"point {number}: handle ({handle_text(point)})"
        handle, target = point.handle, point.target
        if photo:
            _check_inside(handle, photo_size, f"{what} lies outside the photo")
            handle, target = (transform(photo_to_aligned, xy) for xy in (handle, target))
            where = "lies outside the face crop: in the crop's pixels it is "
            what = f"{what} {where}({handle[0]:.1f}, {handle[1]:.1f})"
        else:
            what = f"{what} lies outside the aligned face"
        _check_inside(handle, (width, height), what)
        if not _is_inside(target, (width, height)):
            target = min(max(target[0], 0.0), width - 1.0), min(max(target[1], 0.0), height - 1.0)
            clamped.append(number)
        aligned.append(DragPoint(handle, target))
    return PlacedPoints(tuple(aligned), tuple(clamped))


def inside(xy: Sequence[float], size: Size) -> tuple[float, float]:
    """Return the nearest place that lies in a picture of that size."""
    height, width = sides(size)
    return min(max(xy[0], -0.5), width - 0.5), min(max(xy[1], -0.5), height - 0.5)


def transform(matrix: Float64Array, xy: tuple[float, float]) -> tuple[float, float]:
    """Apply a 3x3 matrix to one position."""
    x, y, scale = (float(v) for v in matrix @ np.array([*xy, 1.0]))
    return x / scale, y / scale


def _is_gooddrag(data: dict[str, object]) -> bool:
    points = data.get("points")
    if "version" in data or not isinstance(points, list) or not points:
        return False
    return isinstance(points[0], list)


def _parse_gooddrag(data: dict[str, object]) -> PointsFile:
    _check_keys(data, "the file", required=("points",), optional=("space",))
    if data.get("space", "aligned") != "aligned":
        raise PointsInvalid(
            f"points in GoodDrag's layout are pixels of the aligned face, got space "
            f"{_brief(data['space'])}: write them as handle and target with a version"
        )
    flat = _non_empty_list(data["points"])
    if len(flat) % 2:
        raise PointsInvalid(
            f"point {len(flat) // 2 + 1}: a handle without a target "
            "(GoodDrag's layout lists them in turn)"
        )
    notice = (
        "the points are in GoodDrag's layout: they are taken as pixels of the aligned face "
        "at the network's resolution"
    )
    points = _points(list(zip(flat[::2], flat[1::2], strict=True)))
    return PointsFile("aligned", points, None, (notice,))


def _points(pairs: Sequence[tuple[object, object]]) -> tuple[DragPoint, ...]:
    points: list[DragPoint] = []
    seen: dict[tuple[float, float], int] = {}
    for number, (handle, target) in enumerate(pairs, start=1):
        point = DragPoint(
            _xy(handle, f"point {number}: handle"), _xy(target, f"point {number}: target")
        )
        if point.handle in seen:
            raise PointsInvalid(
                f"point {number}: its handle ({handle_text(point)}) is also the handle of point "
                f"{seen[point.handle]}; every handle can have one target only"
            )
        seen[point.handle] = number
        points.append(point)
    if all(point.handle == point.target for point in points):
        raise PointsInvalid(
            "every point's target is its handle, so nothing would move: such points hold their "
            "places while others move; give at least one another target"
        )
    return tuple(points)


def handle_text(point: DragPoint) -> str:
    """Write a point's handle for a message."""
    return f"{point.handle[0]:g}, {point.handle[1]:g}"


def _xy(value: object, what: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise PointsInvalid(f"{what} must be [x, y], got {_brief(value)}")
    xy = []
    for axis, number in zip("xy", value, strict=True):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise PointsInvalid(f"{what}: {axis} must be a number, got {_brief(number)}")
        try:
            xy.append(float(number))
        except OverflowError:
            xy.append(math.inf)
        if not math.isfinite(xy[-1]):
            raise PointsInvalid(f"{what}: {axis} must be a finite number, got {_brief(number)}")
    return xy[0], xy[1]


def _is_inside(xy: tuple[float, float], size: tuple[int, int]) -> bool:
    return all(-0.5 <= value <= side - 0.5 for value, side in zip(xy, size, strict=True))


def _check_inside(xy: tuple[float, float], size: tuple[int, int], what: str) -> None:
    if not _is_inside(xy, size):
        limits = f"x from -0.5 to {size[0] - 0.5:g}, y from -0.5 to {size[1] - 0.5:g}"
        raise PointsInvalid(f"{what}; the limits are {limits}")


def _check_keys(
    data: dict[str, object], what: str, required: Sequence[str], optional: Sequence[str] = ()
) -> None:
    known = (*required, *optional)
    for key in data:
        if key not in known:
            raise PointsInvalid(f"{what}: unknown key {key!r}; known are {', '.join(known)}")
    for key in required:
        if key not in data:
            raise PointsInvalid(f"{what}: {key} is missing")


def _non_empty_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise PointsInvalid(f"points must be a list, got {_brief(value)}")
    if not value:
        raise PointsInvalid("points is empty: give at least one handle and target")
    return value


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
