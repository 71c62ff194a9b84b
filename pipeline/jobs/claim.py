"""Which workspace is a photo's: the one it has, or a new one that is made for it."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.disk.places import SUFFIX
from pipeline.disk.storage import writing
from pipeline.disk.workspace import STATE, Workspace, WorkspaceInvalid
from pipeline.progress import Job, Notice
from stylegan2.hashing import file_sha256

LONGEST = 180
"""Bytes of a photo's name in its workspace's: disks take 255, and more is added to it."""


@dataclass(frozen=True)
class Claim:
    """A photo's workspace, locked until `held` is left; fresh when it was made just now."""

    workspace: Workspace
    held: AbstractContextManager[object]
    fresh: bool

    @contextmanager
    def kept_if_it_comes_to_something(self) -> Iterator[None]:
        """Take a workspace that was made just now away again when what it was made for fails."""
        try:
            yield
        except BaseException:
            if self.fresh:
                self.workspace.discard()
            raise


def claim(photo: Path, parent: Path, folder: Path | None = None) -> Job[Claim]:
    """Open and lock a photo's workspace in `parent`, or make it. Two photos never share one.

    With `folder` it is that one and no other. Raises PhotoUnreadable before anything is written,
    and WorkspaceInvalid when `folder` is another photo's.
    """
    sha256 = photo_hash(photo)
    for place in [folder] if folder is not None else _places(photo, parent, sha256):
        if not (place / STATE).exists():
            yield from _check_photo(photo)
            if place.exists() and not place.is_dir():
                raise WorkspaceInvalid(f"{place} is a file: choose another workspace")
            with writing(place.parent):
                place.mkdir(parents=True, exist_ok=True)
        workspace = Workspace(place)
        if folder is None and _is_of_another(workspace, sha256):
            continue  # without its lock: it may be in use for long
        held = yield from workspace.lock()
        try:
            state = yield from workspace.load_state()
            fresh = state is None
            if state is None:
                state = workspace.save_photo(photo, sha256)
            if state.photo["sha256"] == sha256:
                return Claim(workspace, held, fresh)
        except BaseException:
            held.__exit__(None, None, None)
            raise
        held.__exit__(None, None, None)
    raise WorkspaceInvalid(
        f"{folder} is the workspace of another photo: choose another folder with --workspace, "
        "or leave it out"
    )


def known_workspace(photo: Path, parent: Path) -> Workspace | None:
    """Return the workspace that a photo has in a folder; None where it has none.

    Raises PhotoUnreadable.
    """
    found = next(_own_places(photo, parent, photo_hash(photo)), None)
    return None if found is None else Workspace(found)


def _is_of_another(workspace: Workspace, sha256: str) -> bool:
    with suppress(ValueError, OSError):
        state = workspace.read_state()
        return state is not None and state.photo["sha256"] != sha256
    return False  # it may be damaged: that is seen to under its lock


def photo_hash(photo: Path) -> str:
    """Return the sha256 of a photo's file. Raises PhotoUnreadable where there is none."""
    from pipeline.picture.photo import PhotoUnreadable, read_photo

    if not photo.is_file():
        read_photo(photo)  # raises, and says what is wrong
    try:
        return file_sha256(photo)
    except OSError as error:
        raise PhotoUnreadable(str(photo), f"cannot be read: {error.strerror or error}") from None


def _check_photo(photo: Path) -> Job[None]:
    """Raise PhotoUnreadable, which says what is wrong, before anything is written.

    What a large photo takes is said before that.
    """
    from pipeline.picture.photo import cost_of, read_photo

    if (cost := cost_of(photo)) is not None:
        yield Notice(cost)
    read_photo(photo)


def _places(photo: Path, parent: Path, sha256: str) -> Iterator[Path]:
    """Yield the folder that this photo has already, then names that are free or become it."""
    yield from _own_places(photo, parent, sha256)
    stem = _short(photo.stem)
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    for place in (parent / f"{name}{SUFFIX}" for name in names):
        if place.is_dir() or not place.exists():  # a file may be called so, the photo itself even
            yield place


def _own_places(photo: Path, parent: Path, sha256: str) -> Iterator[Path]:
    for place in sorted(parent.glob(f"{glob.escape(_short(photo.stem))}*{SUFFIX}")):
        with suppress(ValueError, OSError):
            state = Workspace(place).read_state()
            if state is not None and state.photo["sha256"] == sha256:
                yield place


def _short(stem: str) -> str:
    """Cut a photo's name so that its workspace's fits on a disk, with what is added to it."""
    name = stem.encode(errors="surrogateescape")
    return stem if len(name) <= LONGEST else name[:LONGEST].decode(errors="ignore")
