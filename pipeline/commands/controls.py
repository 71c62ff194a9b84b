"""The commands for named controls: apply, controls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.commands.amounts import (
    amounts_options,
    read_amounts,
    read_directed,
    read_like,
    save_amounts,
)
from pipeline.commands.console import Console
from pipeline.commands.options import (
    GroupedCommand,
    machine_options,
    workspace_option,
)
from pipeline.commands.outcome import chosen, done
from pipeline.commands.output import output_option, with_output_format, write_output
from pipeline.commands.parts import part_options, read_recipe
from pipeline.commands.points import points_option, read_point_options
from pipeline.controls.table import CONTROLS
from pipeline.disk.places import open_workspace
from pipeline.settings.recipe import Recipe


@click.command(
    cls=GroupedCommand,
    short_help="Apply named controls: smile=+0.6 eyes=+0.2.",
    example="realdrag apply smile=+0.6 eyes=+0.2\n"
    "realdrag apply turn=-0.5 --save-preset left.json\n"
    "realdrag apply --preset smile.json:0.5 -w anna.realdrag\n"
    "realdrag apply --like other.jpg --parts mouth,eyes\n"
    "realdrag apply --directions pca.safetensors pc0=+1",
)
@click.argument("amount_texts", nargs=-1, metavar="[NAME=AMOUNT]...")
@workspace_option
@amounts_options
@points_option
@click.option(
    "--continue",
    "continued",
    is_flag=True,
    help="Start from the last result instead of the photo.",
)
@machine_options
@part_options("drag")
@output_option
@part_options("result")
def apply(
    amount_texts: Sequence[str],
    workspace: Path | None,
    points_path: Path | None,
    point_texts: Sequence[str],
    continued: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Apply controls to the face: each NAME=AMOUNT from -1 to +1, as realdrag controls lists.

    Presets, amounts, another photo's expression, directions and points go together; the amounts of
    one control are added.
    """
    from pipeline.jobs.drag import DragRequest, drag

    texts, directed = read_directed(amount_texts, options)
    amounts, like = read_amounts(texts, options), read_like(options)
    if not amounts and like is None and directed is None:
        raise click.UsageError("say what to apply: NAME=AMOUNT, --preset FILE or --like PHOTO")
    points = read_point_options(points_path, point_texts)
    options = with_output_format(options)
    recipe = read_recipe(options, "drag", "result")
    console = Console(as_json, options["device"])
    place = chosen(workspace)
    asked = DragRequest(points, continued, controls=amounts, like=like, directed=directed)
    dragged = console.run(drag(place, asked, recipe, console.bench))
    save_amounts(dragged, options)
    write_output(place, options)
    done(console, place, dragged, options["output"])


@click.command(
    cls=GroupedCommand,
    short_help="List the controls, and how far a photo can follow each.",
    example="realdrag controls\nrealdrag controls photo.jpg\nrealdrag controls -w anna.realdrag",
)
@click.argument("photo", required=False, type=click.Path(path_type=Path))
@click.option(
    "-w",
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    help="The workspace of a photo, in place of PHOTO.",
)
@machine_options
def controls(photo: Path | None, workspace: Path | None, as_json: bool, device: str) -> None:
    """List the controls and what they do; for PHOTO, its measures and how far each can go.

    Ranges end where faces do: a closed mouth closes no further. PHOTO gets its workspace in this
    folder, if it has none.
    """
    if photo is not None and workspace is not None:
        raise click.UsageError("name a photo, or a workspace with -w, not both")
    console = Console(as_json, device)
    found: dict[str, dict[str, Any]] = {}
    if photo is not None:
        from pipeline.jobs.controls import control_table_of

        job = control_table_of(photo, Recipe(), console.bench, parent=Path.cwd())
        found = console.run(job)
    elif workspace is not None:
        from pipeline.jobs.controls import control_table

        found = console.run(control_table(open_workspace(workspace), console.bench))
    rows, lines = [], []
    for name, control in CONTROLS.items():
        about = {"name": name, "part": control.part, "less": control.less, "more": control.more}
        rows.append({**about, "measure": control.measure, **found.get(name, {})})
        line = f"{name:<12} -1 {control.less}, +1 {control.more}"
        if name in found:
            row = found[name]
            present = "not seen" if row["present"] is None else f"{row['present']:.2f}"
            line = (
                f"{name:<12} {row['low']:+.2f} to {row['high']:+.2f}  {control.measure} {present}"
            )
        lines.append(line)
    console.done({"controls": rows}, *lines)
