"""Which photos a batch edits: those of a folder, or of a list with a line for each."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.controls.presets import checked as checked_amounts
from pipeline.disk.places import SUFFIX
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

PLAN = "batch.json"
"""A file in every output: how many photos the batch has, and what they are called."""

LONGEST = 120
"""Bytes of a name: disks take 255, and workspaces and partial files add to it."""

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


def read_photos(
    source: Path, for_all: ForAll, names: Mapping[str, str] | None = None
) -> list[BatchPhoto]:
    """Read a folder, with the folders below it, or a list.

    names are those that photos of it have from before, by `label_of`: they keep them.

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
    return list(_named(photos, source, names or {}))


def photos_in(folder: Path) -> list[Path]:
    """Find the photos in a folder and in those below it, in order. Raises ListInvalid for none.

    Workspaces, outputs of batches and what is hidden are no photos of the user's.
    """
    if (folder / PLAN).exists():
        raise ListInvalid(f"{folder} is the output of a batch: give the folder of the photos")
    found = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = [each for each in folders if not _is_ours(here / each)]
        found += [here / each for each in files if _is_photo(here / each)]
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


def _is_ours(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name.endswith(SUFFIX)
    return hidden or (folder / PLAN).exists()


def _is_photo(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() in SUFFIXES and path.is_file()


def _lines(path: Path) -> Iterable[tuple[dict[str, Any], str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ListInvalid(f"{path} cannot be read as a list of photos: {error}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}: "
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
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
    if not _can_be_a_path(line["photo"]):
        raise ListInvalid(f"{where}{line['photo']!r} cannot be a file's name")
    path = _absolute(root, line["photo"])
    own = line.get("points")
    if isinstance(own, str):
        own = points_of_file(_absolute(root, own), where)
    elif isinstance(own, Mapping):
        own = _with_absolute_mask(own, root)
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
    name = line.get("name", plain_name(path.stem))
    if not isinstance(name, str) or plain_name(name) != name:
        raise ListInvalid(
            f"{where}name is a file name without folder, special characters or a dot in front, at "
            f"most {LONGEST} bytes long"
        )
    return BatchPhoto(name, path, chosen, controls, whole)


def points_of_file(path: Path, where: str = "") -> dict[str, Any]:
    """Read a points file as JSON whose mask is an absolute path.

    What is wrong with it is said once, and not for each photo. Raises ListInvalid.
    """
    from drag.points import PointsInvalid, parse_points, read_points_json

    try:
        points = read_points_json(path)
        parse_points(points, path.parent)
    except PointsInvalid as error:
        raise ListInvalid(f"{where}{path}: {error}") from None
    assert isinstance(points, dict)  # parsed
    return _with_absolute_mask(points, path.parent)


def _with_absolute_mask(points: Mapping[str, Any], folder: Path) -> dict[str, Any]:
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


def plain_name(text: str) -> str:
    """Make a name that is a file's everywhere: what no screen or disk takes becomes "_".

    One that is too long ends in a piece of its hash.
    """
    safe = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in text)
    if safe.startswith("."):
        safe = "_" + safe[1:]
    if len(safe.encode()) > LONGEST:
        piece = bytes_sha256(text.encode(errors="surrogateescape"))[:6]
        safe = safe.encode()[: LONGEST - 7].decode(errors="ignore") + "-" + piece
    return safe or "_"


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeError:
        return False


def label_of(photo: BatchPhoto, source: Path, number: int) -> str:
    """Tell the number-th edit of a photo from all others of a batch, on every machine alike."""
    root = (source if source.is_dir() else source.parent).absolute()
    path = photo.path.relative_to(root) if photo.path.is_relative_to(root) else photo.path
    return f"{path.as_posix()}#{number}"


def labelled(photos: Iterable[BatchPhoto], source: Path) -> Iterable[tuple[str, BatchPhoto]]:
    """Yield every photo with its label."""
    seen: Counter[Path] = Counter()
    for each in photos:
        seen[each.path] += 1
        yield label_of(each, source, seen[each.path]), each


def _named(
    photos: list[BatchPhoto], source: Path, names: Mapping[str, str]
) -> Iterable[BatchPhoto]:
    """Let photos keep their names, and tell new ones of one name apart by a piece of a hash."""
    # Two names that differ only in case are one file on some disks.
    known = list(labelled(photos, source))
    old = {label: names[label] for label, _ in known if label in names}
    taken = {name.casefold() for name in names.values()}
    new = Counter(each.name.casefold() for label, each in known if label not in old)
    for label, each in known:
        name = old.get(label, each.name)
        if label not in old and (new[name.casefold()] > 1 or name.casefold() in taken):
            piece = bytes_sha256(label.encode(errors="surrogateescape"))[:6]
            name = plain_name(f"{name[: LONGEST // 4]}-{piece}")
        yield replace(each, name=name)
