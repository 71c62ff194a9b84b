"""Others' drag benchmarks, for who has their files: read as data, nothing in them is executed.

DragBench (DragDiffusion, Shi et al., 2023, arXiv 2306.14435): CATEGORY/SAMPLE/ holds
original_image.png and meta_data.pkl, a dict with `points`, xy in pixels of the picture, handle and
target by turns, and `mask` [H, W], not 0 where the picture may change.

FreeDragBench (FreeDrag, Ling et al., 2023, arXiv 2307.04684): seeds/CATEGORY.jsonl, an object a
line, {"seed": s, "points": {"handle": [[y, x], ...], "target": [[y, x], ...]}}, in pixels of a 512
picture: the face that a network makes of the seed. (Pins between the eyes of aligned faces show the
order of y and x.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.flow import SIZE
from drag.points import DragPoint
from pipeline.picture.photo import read_photo
from stylegan2.arrays import BoolImage, UInt8Image
from stylegan2.checkpoint import WeightsInvalid
from stylegan2.formats.stored import StoredArray, UnsafeCheckpoint
from stylegan2.formats.torch_files import load_objects, map_file
from stylegan2.strict_json import parse_strict_json


class BenchmarkUnreadable(Exception):
    """A benchmark's file is not as it should be; the message names it."""


@dataclass(frozen=True)
class PhotoDrag:
    """A drag of a picture: points in its pixels, and where it may change."""

    name: str
    pixels: UInt8Image
    points: tuple[DragPoint, ...]
    movable_mask: BoolImage


@dataclass(frozen=True)
class SeedDrag:
    """A drag of what a network makes of a seed: points in pixels of its picture."""

    seed: int
    points: tuple[DragPoint, ...]


def read_dragbench(folder: Path) -> Iterator[PhotoDrag]:
    """Yield the samples below a folder, by name. Raises BenchmarkUnreadable."""
    for path in sorted(folder.rglob("meta_data.pkl")):
        pixels = read_photo(path.with_name("original_image.png")).pixels
        try:
            points, mask = _meta_data(path)
        except (WeightsInvalid, UnsafeCheckpoint, ValueError) as error:
            raise BenchmarkUnreadable(f"{path}: {error}") from error
        if mask.shape != pixels.shape[:2]:
            raise BenchmarkUnreadable(
                f"{path}: a mask {mask.shape} of a picture {pixels.shape[:2]}"
            )
        yield PhotoDrag(path.parent.relative_to(folder).as_posix(), pixels, points, mask)


def read_freedragbench(path: Path, resolution: int) -> Iterator[SeedDrag]:
    """Yield the drags of a file, for a network of that resolution. Raises BenchmarkUnreadable."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield _seed_drag(parse_strict_json(line), resolution / SIZE)
        except ValueError as error:
            raise BenchmarkUnreadable(f"{path}, line {number}: {error}") from error


def _meta_data(path: Path) -> tuple[tuple[DragPoint, ...], BoolImage]:
    data = load_objects(map_file(path))
    if not isinstance(data, dict) or not isinstance(data.get("mask"), StoredArray):
        raise ValueError("it is no dict with points and a mask")
    places = [_pair(each) for each in _list(data.get("points"))]
    if not places or len(places) % 2:
        raise ValueError(f"handles and targets by turns are expected, there are {len(places)}")
    points = tuple(DragPoint(a, b) for a, b in zip(places[::2], places[1::2], strict=True))
    mask: BoolImage = data["mask"].load().numpy() != 0
    return points, mask


def _seed_drag(data: object, scale: float) -> SeedDrag:
    points = data.get("points") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(points, dict):
        raise ValueError("no object with a seed and points")
    ends = [[_pair(each) for each in _list(points.get(key))] for key in ("handle", "target")]
    if type(data.get("seed")) is not int or not ends[0] or len(ends[0]) != len(ends[1]):
        raise ValueError("a seed, and as many targets as handles, are expected")

    def placed(pair: tuple[float, float]) -> tuple[float, float]:
        y, x = pair
        return (x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5

    found = (DragPoint(placed(a), placed(b)) for a, b in zip(*ends, strict=True))
    return SeedDrag(data["seed"], tuple(found))


def _list(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise ValueError("a list of points is expected")
    return list(value)


def _pair(value: object) -> tuple[float, float]:
    pair = value.load().tolist() if isinstance(value, StoredArray) else value
    if isinstance(pair, list | tuple) and len(pair) == 2:
        a, b = pair
        if type(a) in (int, float) and type(b) in (int, float):
            return float(a), float(b)
    raise ValueError("a point of two numbers is expected")
