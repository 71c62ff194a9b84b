"""Read what a batch edits, and how: a folder, or a list with a line of JSON for each photo."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.batch.photos import LONGEST, BatchPhoto, ListInvalid, named, photos_in, plain_name
from pipeline.controls.presets import checked as checked_amounts
from pipeline.settings.recipe import Recipe
from pipeline.settings.schema import RecipeInvalid

KEYS = frozenset({"photo", "points", "controls", "mask", "face", "settings", "name"})
"""What a line of a list may say."""


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
    return list(named(photos, source, names or {}))


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


def _can_be_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeError:
        return False
