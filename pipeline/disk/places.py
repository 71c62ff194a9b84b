"""Where workspaces lie: listed, and opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.disk.workspace import STATE, StageMissing, Workspace, WorkspaceInvalid

SUFFIX = ".realdrag"


def workspaces_in(parent: Path) -> Iterator[Workspace]:
    """Yield the workspaces in a folder, the one used last first."""
    folders = [path for path in parent.glob(f"*{SUFFIX}") if (path / STATE).is_file()]
    for folder in sorted(folders, key=lambda path: (path / STATE).stat().st_mtime, reverse=True):
        yield Workspace(folder)


def last_workspace(parent: Path) -> Workspace:
    """Return the workspace used last in a folder. Raises StageMissing when it has none."""
    for workspace in workspaces_in(parent):
        return workspace
    raise StageMissing(
        f"there is no workspace in {parent}: run `realdrag edit PHOTO` or `invert PHOTO` first"
    )


def open_workspace(folder: Path) -> Workspace:
    """Open a workspace that is there. Raises WorkspaceInvalid."""
    workspace = Workspace(folder)
    if not (folder / STATE).is_file() and not workspace.artifacts.is_dir():
        raise WorkspaceInvalid(
            f"{folder} is not a workspace: run `realdrag edit PHOTO` or `invert PHOTO` first"
        )
    return workspace


def chosen_workspace(folder: Path | None, parent: Path) -> Workspace:
    """Return the workspace `folder`, or the one used last in `parent`."""
    return last_workspace(parent) if folder is None else open_workspace(folder)
