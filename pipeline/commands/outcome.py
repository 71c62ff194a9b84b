"""What a command on a photo begins and ends with: which workspace, and what became of it."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import click

from drag.stopping import StopReason
from pipeline.commands.console import Console
from pipeline.disk.artifact import Artifact
from pipeline.disk.places import chosen_workspace
from pipeline.disk.workspace import Workspace
from pipeline.stage_table import STAGES

_TOLD = ("stop", "steps", "distances", "held", "share", "looks", "pixels")
"""What machines are told of a drag."""


def chosen(folder: Path | None) -> Workspace:
    """Return the workspace that is named, or the one used last, and say which."""
    workspace = chosen_workspace(folder, Path.cwd())
    if folder is None:
        click.echo(f"workspace: {workspace.name}", err=True)
    return workspace


def where(workspace: Workspace) -> str:
    """Say where a workspace is, from here."""
    folder, here = workspace.folder.resolve(), Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else folder)


def done(
    console: Console,
    workspace: Workspace,
    dragged: Artifact | None = None,
    output: Path | None = None,
) -> None:
    """Say where the pictures are, the result's copy too, and how a drag ended."""
    state = workspace.read_state()
    assert state is not None
    pictures = {
        name: str(workspace.folder / name)
        for name in chain.from_iterable(stage.shows for stage in STAGES.values())
        if (workspace.folder / name).exists()
    }
    plain: dict[str, Any] = {
        "workspace": str(workspace.folder),
        "current": dict(state.current),
        "pictures": pictures,
    }
    lines = [f"{where(workspace)}: {', '.join(pictures)}"]
    if output is not None:
        plain["output"] = str(output)
        lines.append(f"written: {output}")
    if dragged is not None:
        info = dragged.info
        plain.update({name: info[name] for name in _TOLD})
        stop = StopReason(info["stop"])
        said = stop.words
        if info["share"] < 1:
            said += f" They went {info['share']:.0%} of their way; --force goes all of it."
        elif stop is not StopReason.ARRIVED or info["held"]:
            left = " and ".join(
                f"{info['distances'][i]:.1f}"
                + (" (held by the mask)" if i + 1 in info["held"] else "")
                for i in (info["followed"] or range(len(info["distances"])))
            )
            said += f" {info['steps']} steps, {left} pixels of the face left to go."
        lines.insert(0, said)
    console.done(plain, *lines)
