"""Which photos a batch edits: those of a folder, or of a list with a line for each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.controls.presets import checked as checked_amounts
from pipeline.settings.recipe import Recipe
from pipeline.settings.schema import RecipeInvalid
from stylegan2.hashing import bytes_sha256

SUFFIXES = frozenset(
    f".{kind}"
    for kind in (
        "jpg", "jpeg", "jpe", "png", "webp", "tif", "tiff", "bmp", "heic", "heif", "avif", "jp2",
        "gif", "mpo",
    )
)  # fmt: skip
"""Endings by which a folder's photos are known; a list may name any file."""

KEYS = frozenset({"photo", "points", "controls", "mask", "face", "settings", "name"})
"""What a line of a list may say."""


class ListInvalid(Exception):
    """A batch's folder or list cannot be used; the message says which line, and why."""


@dataclass(frozen=True)
class BatchPhoto:
    """One photo of a batch, and how it is edited.

    name is what its results are called. points is a points file's content with absolute paths, or
    None where controls alone say what moves. recipe is a whole recipe as JSON.
    """

    name: str
    path: Path
    points: Mapping[str, Any] | None
    controls: Mapping[str, float]
    recipe: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return what a worker needs."""
        return {
            "name": self.name,
            "path": str(self.path),
            "points": self.points,
            "controls": dict(self.controls),
            "recipe": self.recipe,
        }

    @property
    def request(self) -> str:
        """Hash of all that the result depends on: when it differs, the photo is edited again."""
        asked = {**self.to_json(), "files": [_stamp(path) for path in self._files()]}
        return bytes_sha256(json.dumps(asked, sort_keys=True).encode())

    def _files(self) -> list[Path]:
        mask = (self.points or {}).get("mask")
        return [self.path] if mask is None else [self.path, Path(mask)]


def _stamp(path: Path) -> list[Any]:
    try:
        found = path.stat()
    except OSError:
        return [str(path), None]
    return [str(path), found.st_size, found.st_mtime_ns]


@dataclass(frozen=True)
class ForAll:
    """What holds for every photo that says nothing else: its points, controls and recipe."""

    points: Mapping[str, Any] | None
    controls: Mapping[str, float]
    recipe: Recipe


def read_photos(source: Path, for_all: ForAll) -> list[BatchPhoto]:
    """Read a folder, with the folders below it, or a list.

    A line of a list is JSON: photo, and, if it wants its own, points (a points file or its
    content), controls (amounts by name), mask, face, settings (parts of a recipe) and name; paths
    are relative to the list. Raises ListInvalid, PointsInvalid, ControlsInvalid.
    """
    if source.is_dir():
        found = photos_in(source)
        asked = [({"photo": str(path.relative_to(source))}, "") for path in found]
        root = source
    elif source.is_file():
        root = source.parent
        asked = list(_lines(source))
        if not asked:
            raise ListInvalid(f"{source} is empty: it needs a line of JSON for each photo")
    else:
        raise ListInvalid(f"{source} is neither a folder of photos nor a list of them")
    photos = [_photo(root, line, where, for_all) for line, where in asked]
    return list(_named(photos, source))


def photos_in(folder: Path) -> list[Path]:
    """Find the photos in a folder and in those below it, in order. Raises ListInvalid for none."""
    found = [path for path in folder.rglob("*") if _is_photo(path.relative_to(folder), path)]
    if not found:
        raise ListInvalid(f"{folder} holds no photos")
    return sorted(found)


def shard(photos: Iterable[BatchPhoto], index: int, count: int) -> list[BatchPhoto]:
    """Take the photos of share `index`, from 1, of `count`: the same ones on every machine."""
    return [
        each
        for each in photos
        if int(bytes_sha256(each.name.encode())[:8], 16) % count == index - 1
    ]


def _is_photo(inside: Path, path: Path) -> bool:
    ours = any(part.startswith(".") or part.endswith(".realdrag") for part in inside.parts)
    return not ours and path.suffix.lower() in SUFFIXES and path.is_file()


def _lines(path: Path) -> Iterable[tuple[dict[str, Any], str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ListInvalid(f"{path} cannot be read as a list of photos: {error}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}: "
        try:
            said = json.loads(line)
        except ValueError as error:
            raise ListInvalid(f"{where}it is not JSON ({error})") from None
        if not isinstance(said, dict) or not isinstance(said.get("photo"), str):
            raise ListInvalid(f'{where}it needs at least {{"photo": "FILE"}}')
        if unknown := said.keys() - KEYS:
            raise ListInvalid(
                f"{where}{', '.join(sorted(unknown))}: unknown; it may say "
                f"{', '.join(sorted(KEYS))}"
            )
        yield said, where


def _photo(
    root: Path,
    line: Mapping[str, Any],
    where: str,
    for_all: ForAll,
) -> BatchPhoto:
    path = _absolute(root, line["photo"])
    own = line.get("points")
    if isinstance(own, str):
        own = read_points_json(_absolute(root, own), where)
    elif isinstance(own, Mapping):
        own = with_absolute_mask(own, root)
    elif own is not None:
        raise ListInvalid(f"{where}points is a points file's path, or its content")
    named = line.get("controls")
    if named is not None:
        if not isinstance(named, Mapping):
            raise ListInvalid(f'{where}controls is an object such as {{"smile": 0.6}}')
        named = checked_amounts(named, where)
    # Who says what moves says all of it.
    chosen = own if own is not None or named is not None else for_all.points
    controls = named if named is not None else {} if own is not None else for_all.controls
    if chosen is None and not controls:
        raise ListInvalid(
            f"{where or line['photo'] + ': '}there is nothing to say what moves: give --points or "
            "--apply, or points or controls in its line of a list"
        )
    if "mask" in line:
        if chosen is None or not isinstance(line["mask"], str):
            raise ListInvalid(f"{where}mask is a picture's path, and comes with points")
        chosen = {**chosen, "mask": str(_absolute(root, line["mask"]))}
    settings = line.get("settings", {})
    if not isinstance(settings, Mapping):
        raise ListInvalid(f"{where}settings is an object with parts of a recipe")
    merged = _merged(for_all.recipe.to_json(), settings)
    if "face" in line:
        merged["align"]["face"] = line["face"]
    try:
        whole = Recipe.from_json(merged).to_json()
    except RecipeInvalid as error:
        raise ListInvalid(f"{where}{error}") from None
    name = line.get("name", path.stem)
    if not isinstance(name, str) or not name or Path(name).name != name or name.startswith("."):
        raise ListInvalid(f"{where}name is a file name without a folder")
    return BatchPhoto(name, path, chosen, controls, whole)


def read_points_json(path: Path, where: str = "") -> dict[str, Any]:
    """Read a points file as JSON whose mask is an absolute path; it is held against photos later.

    Raises ListInvalid, PointsInvalid.
    """
    from drag.points import read_points

    read_points(path)  # says what is wrong with it, once instead of once a photo
    try:
        return with_absolute_mask(json.loads(path.read_text(encoding="utf-8")), path.parent)
    except (OSError, ValueError) as error:
        raise ListInvalid(f"{where}{path}: {error}") from None


def with_absolute_mask(points: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make the mask's path independent of where the points came from."""
    plain = dict(points)
    if isinstance(plain.get("mask"), str):
        plain["mask"] = str(_absolute(folder, plain["mask"]))
    return plain


def _absolute(folder: Path, name: str) -> Path:
    return (folder / Path(name).expanduser()).absolute()


def _merged(base: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in more.items():
        inner = base.get(key)
        base[key] = (
            {**inner, **value} if isinstance(inner, dict) and isinstance(value, Mapping) else value
        )
    return base


def _named(photos: list[BatchPhoto], source: Path) -> Iterable[BatchPhoto]:
    """Tell photos of one name apart by a piece of their paths' hash, on every machine alike."""
    root = source if source.is_dir() else source.parent
    # Two names that differ only in case are one file on some disks.
    counted = Counter(each.name.casefold() for each in photos)
    taken: Counter[str] = Counter()
    for each in photos:
        name = each.name
        if counted[name.casefold()] > 1:
            path = each.path
            inside = (
                path.relative_to(root.absolute()) if path.is_relative_to(root.absolute()) else path
            )
            name = f"{name}-{bytes_sha256(inside.as_posix().encode())[:6]}"
            taken[name.casefold()] += 1
            if taken[name.casefold()] > 1:  # one photo with several edits
                name = f"{name}-{taken[name.casefold()]}"
        yield replace(each, name=name)
