"""The photos of a batch: those of a folder, what each is called, and whose share it is."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.disk.places import SUFFIX
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


def named(photos: list[BatchPhoto], source: Path, names: Mapping[str, str]) -> Iterable[BatchPhoto]:
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
