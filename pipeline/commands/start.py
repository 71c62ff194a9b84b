"""Where a projection starts: one of the words of its setting, or latents of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from inversion.config import ProjectionConfig
from pipeline.commands.options import GroupedOption
from pipeline.settings.schema import settings
from pipeline.stage_table import STAGES

_WORDS = next(each for each in settings(ProjectionConfig) if each.name == "start").choices or ()

start_option = click.option(
    "--start",
    cls=GroupedOption,
    group=STAGES["invert"].heading,
    metavar=f"{'|'.join(_WORDS)}|FILE",
    help="Start from the network's encoder if it has one (auto), from the nearest of many sampled "
    "faces, from the mean, or from latents of another tool for this network: projected_w.npz, a "
    ".pt or .npy with w or W+. A file's latents are kept unless --steps says otherwise.  "
    "[default auto]",
)


def read_start(options: dict[str, Any]) -> Path | None:
    """Take a file out of what --start was given; a word is left there, for the config."""
    given = options["start"]
    if given is None or given in _WORDS:
        return None
    options["start"] = None
    path = Path(given)
    if not path.is_file():
        raise click.BadParameter(
            f"{given!r} is none of {', '.join(_WORDS)}, and no file", param_hint="--start"
        )
    return path
