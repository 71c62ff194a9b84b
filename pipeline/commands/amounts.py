"""Amounts of controls on a command line: by name, from presets, into a preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.controls.directed import Directed, split_directed
from pipeline.controls.likeness import EXPRESSION, PARTS, STRONGEST, Like
from pipeline.controls.presets import (
    added,
    parse_amounts,
    preset_text,
    read_preset,
    scaled,
    split_factor,
)
from pipeline.disk.artifact import Artifact
from pipeline.disk.storage import replace_file, writing

preset_option = click.option(
    "--preset",
    "presets",
    multiple=True,
    metavar="FILE[:FACTOR]",
    help="JSON file with amounts of controls, taken so many times; may be repeated.",
)


def amounts_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --preset, --like, --directions and what goes with them."""
    for option in (
        click.option(
            "--directions",
            "direction_files",
            multiple=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help="File of directions (realdrag directions), whose names can be given an amount, "
            "too; may be repeated.",
        ),
        click.option(
            "--strength",
            type=click.FLOAT,
            default=1.0,
            show_default=True,
            metavar="X",
            help=f"How much of the other photo's expression is taken over, 0 to {STRONGEST:g}.",
        ),
        click.option(
            "--parts",
            default=",".join(EXPRESSION),
            show_default=True,
            help=f"What is taken over, with commas between: {', '.join(PARTS)}, all.",
        ),
        click.option(
            "--like",
            "like_photo",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Another photo, of whoever: this face is to look as that one does.",
        ),
        click.option(
            "--save-preset",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write the amounts that were applied, all added up, to a JSON file.",
        ),
    ):
        function = option(function)
    return preset_option(function)


def read_directed(
    texts: Sequence[str], options: Mapping[str, Any]
) -> tuple[list[str], Directed | None]:
    """Return the amounts of controls and those of directions: options with `amounts_options`.

    Raises ControlsInvalid and DirectionsInvalid.
    """
    return split_directed(texts, options["direction_files"])


def read_amounts(texts: Sequence[str], options: Mapping[str, Any]) -> dict[str, float]:
    """Add up what is given by name and by presets: options with `preset_option`.

    Raises ControlsInvalid.
    """
    presets = []
    for text in options["presets"]:
        path, factor = split_factor(text)
        presets.append(scaled(read_preset(path), factor))
    return added(*presets, parse_amounts(texts))


def read_like(options: Mapping[str, Any]) -> Like | None:
    """Read --like, --parts and --strength. Raises ControlsInvalid."""
    if options["like_photo"] is None:
        return None
    parts = tuple(part.strip() for part in options["parts"].split(","))
    return Like(options["like_photo"], parts, options["strength"])


def save_amounts(dragged: Artifact, options: Mapping[str, Any]) -> None:
    """Write the amounts that a drag applied as a preset, where that is asked for."""
    target = options["save_preset"]
    if target is not None:
        text = preset_text(dragged.request.config.get("controls", {}))
        with writing(target.absolute().parent):
            replace_file(target, text.encode())
