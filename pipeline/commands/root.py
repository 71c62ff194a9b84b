"""realdrag's command line: parses, calls, prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from pipeline.commands.batch import batch
from pipeline.commands.console import report
from pipeline.commands.controls import apply, controls
from pipeline.commands.directions import directions
from pipeline.commands.edit import demo, drag, edit, invert, tune
from pipeline.commands.look import doctor, ls
from pipeline.commands.models import models
from pipeline.commands.studio import studio
from pipeline.failures import EXIT_CODES, OK

EPILOG = """\b
Three steps, or all at once:
  realdrag invert photo.jpg
  realdrag tune
  realdrag drag --points points.json
  realdrag edit photo.jpg --points points.json

\b
Exit codes:
""" + "\n".join(f"  {code:3}  {meaning}" for code, meaning in EXIT_CODES.items())


def _print_version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"realdrag {version('realdrag')}")
    except PackageNotFoundError:
        click.echo("realdrag, from a checkout that is not installed")
    context.exit()


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def root() -> None:
    """Say where points of a face should go, and get the photo back with the face moved.

    Every step is kept on disk: a command that ran before takes no time, and one that was
    interrupted goes on where it can.
    """


for command in (invert, tune, drag, edit, apply, controls, directions, batch):
    root.add_command(command)
for command in (demo, ls, models, doctor, studio):
    root.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    # Before torch and NumPy are loaded: threads that wait by spinning take the cores from each
    # other when anything else runs on the machine, and a step then takes many times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = root.main(given, prog_name="realdrag", standalone_mode=False)
    except click.Abort:
        return report(KeyboardInterrupt(), as_json)
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        return report(error, as_json)
    return code if isinstance(code, int) else OK
