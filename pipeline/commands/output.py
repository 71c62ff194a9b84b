"""Where a command writes its result, too: -o."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipeline.commands.options import GroupedOption
from pipeline.disk.storage import writing
from pipeline.disk.workspace import Workspace
from stylegan2.whole_file import replacing

FORMATS = {".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".webp": "webp"}

output_option = click.option(
    "-o",
    "--output",
    cls=GroupedOption,
    group="Result",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the result to this file, too; its ending, .png, .jpg or .webp, says the format.",
)


def with_output_format(options: Mapping[str, Any], photo: Path | None = None) -> dict[str, Any]:
    """Return the options with the format that the output's ending says.

    Raises click.UsageError for another format, and for a place that nothing can be written to:
    before anything is computed.
    """
    output: Path | None = options["output"]
    if output is None:
        return dict(options)
    format = FORMATS.get(output.suffix.lower())
    if format is None:
        raise click.UsageError(f"--output {output}: end the name in {', '.join(FORMATS)}")
    if options["format"] not in (None, format):
        raise click.UsageError(
            f"--output {output} and --format {options['format']}: leave out the format, the "
            "name's ending says it"
        )
    if not output.parent.is_dir():
        raise click.UsageError(f"--output {output}: there is no folder {output.parent}")
    if photo is not None and output.exists() and photo.exists() and output.samefile(photo):
        raise click.UsageError(f"--output {output} is the photo itself: name another file")
    return {**options, "format": format}


def write_output(workspace: Workspace, options: Mapping[str, Any]) -> None:
    """Copy the result that was made to where it is wanted."""
    output: Path | None = options["output"]
    if output is None:
        return
    with writing(output.absolute().parent), replacing(output) as partial:
        shutil.copyfile(workspace.folder / f"result.{options['format']}", partial)
