"""What is done to whole workspaces: renamed, deleted, and rid of what nobody can come back to."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress

from pipeline.disk.artifact import Artifact
from pipeline.disk.places import SUFFIX
from pipeline.disk.storage import writing
from pipeline.disk.workspace import Workspace
from pipeline.progress import Job, follow
from pipeline.studio.desk import Desk, at_once, gone
from pipeline.studio.jobs import safe_stem
from pipeline.studio.sketch import Sketch, studio_folder


class NameTaken(Exception):
    """Another photo has that name."""


def rename(desk: Desk, workspace: Workspace, name: str) -> str:
    """Give a workspace another name, and return its folder's. Raises NameTaken, WorkspaceInUse."""
    folder = f"{safe_stem(f'{name}.x')}{SUFFIX}"
    target = workspace.folder.with_name(folder)

    def job() -> Job[None]:
        with (yield from workspace.lock()), writing(desk.root):
            if target.exists():
                raise NameTaken(f"there is a photo called {desk.name_of(folder)} already")
            workspace.folder.rename(target)

    with desk.taking:
        follow(job(), at_once)
    return folder


def delete(desk: Desk, workspace: Workspace) -> None:
    """Delete a workspace with all that is in it. Raises WorkspaceInUse."""

    def job() -> Job[None]:
        with (yield from workspace.lock()):
            if not workspace.folder.is_dir():
                raise gone()
            workspace.discard()

    follow(job(), at_once)


def prune(desk: Desk, workspace: Workspace, sketch: Sketch) -> None:
    """Delete drags that were made here and that no undo or redo comes back to.

    Drags that another one began with stay: films show them. Those of commands stay, too.
    """
    kept = set(_chain(desk, workspace, (edit.drag for edit in sketch.edits if edit.drag)))
    kept |= set(desk.state(workspace).current.values())
    gone = [each for each in sketch.made if each not in kept]
    if not gone:
        return
    for folder in workspace.artifacts.glob("result-*"):
        made = desk.made(workspace, folder.name)
        if made is not None and made.request.inputs.get("drag") in gone:
            _delete(workspace, made)
    for fingerprint in gone:
        made = desk.made(workspace, f"drag-{fingerprint[:16]}")
        if made is not None:
            _delete(workspace, made)
    desk.change(workspace, made=tuple(each for each in sketch.made if each in kept))


def _chain(desk: Desk, workspace: Workspace, drags: Iterable[str]) -> Iterable[str]:
    """Yield drags and those that they went on from."""
    for drag in drags:
        following: str | None = drag
        while following is not None:
            yield following
            made = desk.made(workspace, f"drag-{following[:16]}")
            following = None if made is None else made.request.inputs.get("from")


def _delete(workspace: Workspace, made: Artifact) -> None:
    """Delete an artifact, and the previews and films that were made of it."""
    shutil.rmtree(made.folder, ignore_errors=True)
    for copy in studio_folder(workspace.folder).glob(f"*{made.fingerprint[:16]}*"):
        with suppress(OSError):
            copy.unlink()
