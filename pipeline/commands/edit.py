"""The commands that work on photos: invert, tune, drag, edit, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.batch.photos import photos_in
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
    class_option,
    landmarks_option,
    machine_options,
    network_option,
    perceptual_option,
    seed_option,
    workspace_option,
)
from pipeline.commands.outcome import chosen, done, where
from pipeline.commands.output import output_option, with_output_format, write_output
from pipeline.commands.parts import part_options, read_recipe
from pipeline.commands.points import points_option, read_point_options
from pipeline.commands.start import read_start, start_option
from pipeline.settings.recipe import PARTS
from stylegan2.embedded import EMBEDDED

photo_argument = click.argument("photo", type=click.Path(path_type=Path))


@click.command(
    cls=GroupedCommand,
    short_help="Find the face in a photo and project it.",
    example="realdrag invert photo.jpg\nrealdrag invert group.jpg --face 2\n"
    "realdrag invert photo.jpg --network ffhq-1024 --start projected_w.npz",
)
@photo_argument
@workspace_option
@network_option
@perceptual_option
@seed_option
@machine_options
@part_options("align")
@landmarks_option
@start_option
@part_options("invert", but=["start"])
def invert(photo: Path, workspace: Path | None, as_json: bool, **options: Any) -> None:
    """Find the face in PHOTO and project it into the network.

    Makes the workspace PHOTO.realdrag in this folder, or uses the one that is there.
    """
    from pipeline.jobs.prepare import invert as job

    start = read_start(options)
    recipe = read_recipe(options, "align", "invert")
    console = Console(as_json, options["device"])
    made = console.run(
        job(
            photo,
            recipe,
            console.bench,
            parent=Path.cwd(),
            folder=workspace,
            landmarks=options["landmarks"],
            start=start,
        )
    )
    done(console, made)


@click.command(
    cls=GroupedCommand,
    short_help="Make the network render the photo exactly.",
    example="realdrag tune\nrealdrag tune -w anna.realdrag -w ben.realdrag\n"
    "realdrag tune --together photos-of-anna",
)
@click.option(
    "-w",
    "--workspace",
    "folders",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The workspace; if left out, the one used last in this folder. With several, one "
    "network is tuned for all of their photos and kept in each.",
)
@click.option(
    "--together",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of photos, of one person say: all are projected, and one network is tuned for "
    "them. Each gets its workspace in this folder, to be dragged on its own.",
)
@click.option(
    "--network",
    help="With --together: name of a known network, or a file; embedded if left out.",
)
@class_option
@perceptual_option
@seed_option
@machine_options
@part_options("tune")
def tune(
    folders: Sequence[Path],
    together: Path | None,
    network: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Tune the network until it renders the photo exactly (PTI)."""
    from pipeline.jobs.prepare import tune as job
    from pipeline.jobs.prepare import tune_together

    if together is not None and folders:
        raise click.UsageError("give either --together or workspaces, not both")
    if together is None and (network, options["network_class"]) != (None, None):
        raise click.UsageError("--network goes with --together: a workspace has its network")
    recipe = read_recipe({**options, "network": network or EMBEDDED}, "tune")
    console = Console(as_json, options["device"])
    if together is not None:
        tuned = console.run(
            tune_together(photos_in(together), recipe, console.bench, parent=Path.cwd())
        )
        for each in tuned[:-1]:
            click.echo(where(each), err=True)
        done(console, tuned[-1])
        return
    workspaces = [chosen(folder) for folder in folders] or [chosen(None)]
    console.run(job(workspaces, recipe, console.bench))
    for workspace in workspaces[:-1]:
        click.echo(where(workspace), err=True)
    done(console, workspaces[-1])


@click.command(
    cls=GroupedCommand,
    short_help="Move points of the face.",
    example="realdrag drag --points points.json\n"
    "realdrag drag -p 310,420:310,400 -p 390,420:390,400\nrealdrag drag --continue",
)
@workspace_option
@points_option
@click.option(
    "--continue",
    "continued",
    is_flag=True,
    help="Start from the last result instead of the tuned picture; without points, pull the "
    "same ones further.",
)
@machine_options
@part_options("drag")
@output_option
@part_options("result")
def drag(
    workspace: Path | None,
    points_path: Path | None,
    point_texts: Sequence[str],
    continued: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Drag points of the tuned face to their targets, and put the face back into the photo.

    Ctrl-C ends the drag and keeps its last step as the result; a second Ctrl-C gives it up.
    """
    from pipeline.jobs.drag import DragRequest
    from pipeline.jobs.drag import drag as job

    points = read_point_options(points_path, point_texts)
    if points is None and not continued:
        raise click.UsageError("say what to move: --points FILE, or -p X,Y:X,Y")
    options = with_output_format(options)
    recipe = read_recipe(options, "drag", "result")
    console = Console(as_json, options["device"])
    place = chosen(workspace)
    dragged = console.run(job(place, DragRequest(points, continued), recipe, console.bench))
    write_output(place, options)
    done(console, place, dragged, options["output"])


@click.command(
    cls=GroupedCommand,
    short_help="All of it: invert, tune, drag.",
    example="realdrag edit photo.jpg --points points.json\n"
    "realdrag edit photo.jpg -p 310,420:310,400 -o edited.jpg\n"
    "realdrag edit photo.jpg --apply smile=0.6 --apply turn=-0.3",
)
@photo_argument
@workspace_option
@points_option
@click.option(
    "--apply",
    "amount_texts",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="A control and its amount, -1 to +1, as realdrag controls lists them; may be repeated.",
)
@amounts_options
@network_option
@perceptual_option
@seed_option
@machine_options
@part_options("align")
@landmarks_option
@part_options("invert", "tune", "drag", prefixed=True)
@output_option
@part_options("result")
def edit(
    photo: Path,
    workspace: Path | None,
    points_path: Path | None,
    point_texts: Sequence[str],
    amount_texts: Sequence[str],
    as_json: bool,
    **options: Any,
) -> None:
    """Find the face in PHOTO, move it, and put it back: one command for all of it.

    What is already in the photo's workspace is not done again.
    """
    from pipeline.jobs.edit import edit as job

    points = read_point_options(points_path, point_texts)
    texts, directed = read_directed(amount_texts, options)
    controls, like = read_amounts(texts, options), read_like(options)
    if points is None and not controls and like is None and directed is None:
        raise click.UsageError(
            "say what to move: --points FILE, -p X,Y:X,Y, --apply NAME=AMOUNT, or --like PHOTO"
        )
    options = with_output_format(options, photo)
    recipe = read_recipe(options, *PARTS, prefixed=True)
    console = Console(as_json, options["device"])
    made, dragged = console.run(
        job(
            photo,
            points,
            recipe,
            console.bench,
            parent=Path.cwd(),
            folder=workspace,
            landmarks=options["landmarks"],
            controls=controls,
            like=like,
            directed=directed,
        )
    )
    save_amounts(dragged, options)
    write_output(made, options)
    done(console, made, dragged, options["output"])


@click.command(
    cls=GroupedCommand,
    short_help="Edit a portrait that comes along.",
    example="realdrag demo\nrealdrag demo -o try",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("realdrag-demo"),
    show_default=True,
    help="Folder for the photo and its workspace.",
)
@machine_options
def demo(output: Path, as_json: bool, device: str) -> None:
    """Edit NASA's portrait of Eileen Collins with built-in points: no photo, no download."""
    from pipeline.jobs.demo import RECIPE, write_demo
    from pipeline.jobs.edit import edit as job

    photo, points = write_demo(output)
    console = Console(as_json, device)
    made, dragged = console.run(job(photo, points, RECIPE, console.bench, parent=output))
    done(console, made, dragged)
