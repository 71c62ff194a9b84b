"""Amounts of controls on a command line: by name, from presets, into a preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from pipeline.controls.presets import (
    added,
    parse_amounts,
    preset_text,
    read_preset,
    scaled,
    split_factor,
)
from pipeline.disk.storage import replace_file, writing


def amounts_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --preset and --save-preset."""
    for option in (
        click.option(
            "--save-preset",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Write the amounts, all added up, to a JSON file.",
        ),
        click.option(
            "--preset",
            "presets",
            multiple=True,
            metavar="FILE[:FACTOR]",
            help="JSON file with amounts of controls, taken so many times; may be repeated.",
        ),
    ):
        function = option(function)
    return function


def read_amounts(texts: Sequence[str], options: Mapping[str, Any]) -> dict[str, float]:
    """Add up what is given by name and by presets, and save it where that is asked for.

    options are those of `amounts_options`. Raises ControlsInvalid.
    """
    presets = []
    for text in options["presets"]:
        path, factor = split_factor(text)
        presets.append(scaled(read_preset(path), factor))
    amounts = added(*presets, parse_amounts(texts))
    target = options["save_preset"]
    if target is not None:
        with writing(target.absolute().parent):
            replace_file(target, preset_text(amounts).encode())
    return amounts
