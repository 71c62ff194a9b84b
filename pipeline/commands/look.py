"""The commands that only look: ls, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.commands.console import Console
from pipeline.commands.options import GroupedCommand, json_option, machine_options
from pipeline.disk.places import workspaces_in
from pipeline.disk.workspace import Workspace
from pipeline.stage_table import STAGES


@click.command(
    cls=GroupedCommand, short_help="List the workspaces of a folder.", example="realdrag ls"
)
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path(".")
)
@json_option
def ls(folder: Path, as_json: bool) -> None:
    """List the workspaces in FOLDER (this one), the one used last first."""
    rows = [_row(workspace) for workspace in workspaces_in(folder)]
    lines = [
        f"{row['workspace']}  {row['photo']}  {', '.join(row['stages']) or 'nothing yet'}  "
        f"{row['bytes'] / 1e6:.1f} MB"
        for row in rows
    ]
    Console(as_json).done({"workspaces": rows}, *(lines or [f"no workspaces in {folder}"]))


def _row(workspace: Workspace) -> dict[str, Any]:
    files = [path for path in workspace.folder.rglob("*") if path.is_file()]
    try:
        state = workspace.read_state()
    except ValueError:
        state = None
    current = {} if state is None else state.current
    return {
        "workspace": workspace.name,
        "photo": "(damaged, run a command on it)" if state is None else state.photo["name"],
        "stages": [name for name in STAGES if name in current],
        "bytes": sum(path.stat().st_size for path in files),
    }


@click.command(
    cls=GroupedCommand,
    short_help="Say what this machine has and what will be used.",
    example="realdrag doctor",
)
@machine_options
def doctor(as_json: bool, device: str) -> None:
    """Say what this machine has, which weights are present, and what will be used."""
    from pipeline.machine.doctor import describe, examine

    console = Console(as_json, device)
    findings = examine(console.bench)
    console.done(findings, *describe(findings))
