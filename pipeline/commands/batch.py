"""The commands for many photos: batch, batch status."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.amounts import preset_option, read_amounts
from pipeline.commands.console import Console
from pipeline.commands.options import (
    GroupedCommand,
    json_option,
    machine_options,
    network_option,
    perceptual_option,
    seed_option,
)
from pipeline.commands.parts import part_options, read_recipe
from pipeline.failures import OK, SOME_FAILED
from pipeline.settings.recipe import PARTS

if TYPE_CHECKING:
    from pipeline.batch.engine import Engine

output_type = click.Path(file_okay=False, path_type=Path)


def duration(text: str) -> float:
    """Read seconds written as 90, 90s, 20m or 2h."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 20m or 2h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def share(text: str) -> tuple[int, int]:
    """Read which share of the photos, as 2/8: (index from 1, count)."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise click.BadParameter(f"{text!r} is not a share such as 2/8")
    return int(found[1]), int(found[2])


def worker_number(text: str) -> int | None:
    """Read a number of workers; None is auto."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither auto nor a number from 1")
    return int(text)


class DefaultGroup(click.Group):
    """A group whose first command may be left out: `batch photos` is `batch run photos`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no command's name for the first command's first argument."""
        if args and args[0] not in self.commands:
            args = [next(iter(self.commands)), *args]
        return super().resolve_command(ctx, args)


@click.group(
    cls=DefaultGroup,
    epilog="\b\nExamples:\n  realdrag batch photos --apply smile=0.6 -o edited\n"
    "  realdrag batch list.jsonl -o edited\n  realdrag batch status edited",
)
def batch() -> None:
    """Edit many photos: a folder of them, or a list with each one's own points.

    `realdrag batch photos ...` is short for `realdrag batch run photos ...`.
    """


@batch.command(
    cls=GroupedCommand,
    short_help="Edit all photos of a folder or a list.",
    example="realdrag batch run photos --apply smile=0.6 --output edited\n"
    "realdrag batch run list.jsonl --output edited --shard 2/8",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=output_type, required=True, help="Folder for the results.")
@click.option(
    "--points",
    "points_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file with handles and targets for every photo that has none of its own; those of "
    '"space": "aligned" mean the same on every face.',
)
@click.option(
    "--apply",
    "amounts",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="A control and its amount from -1 to 1, for every photo that says nothing else; may be "
    "repeated (see realdrag controls).",
)
@preset_option
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    show_default=True,
    help="What runs the workers: processes on this machine, or Ray (pip install 'realdrag[ray]').",
)
@click.option("--ray-address", help="A Ray cluster to join; left out, Ray is started here.")
@click.option(
    "--workers",
    type=worker_number,
    default=None,
    metavar="N|auto",
    help="How many photos at a time.  [default auto: one for each two cores, or for a GPU]",
)
@click.option(
    "--shard",
    type=share,
    metavar="I/N",
    help="Edit only share I of N; which photos are in it depends on their names alone.",
)
@click.option("--timeout", type=duration, metavar="TIME", help="Most time for a photo: 90s, 20m.")
@click.option(
    "--copy-to",
    metavar="ADDRESS",
    help="Also copy each result there, and the report: s3://bucket/edited, or whatever else fsspec "
    "knows (pip install s3fs, gcsfs, ...).",
)
@click.option("--retry-failed", is_flag=True, help="Try those again that failed before.")
@network_option
@perceptual_option
@seed_option
@machine_options
@part_options("align", "invert", "tune", "drag", "result", prefixed=True)
def run(
    source: Path,
    output: Path,
    points_path: Path | None,
    amounts: Sequence[str],
    engine: str,
    ray_address: str | None,
    workers: int | None,
    shard: tuple[int, int] | None,
    timeout: float | None,
    retry_failed: bool,
    copy_to: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Edit the photos of SOURCE: a folder, or a list with a line of JSON for each photo.

    A line of a list says {"photo": "a.jpg"} and, where it wants its own, "points" (a file or its
    content), "controls" ({"smile": 0.6}), "mask", "face", "settings" and "name". What was finished
    is not done again: run the same command after anything. The output folder gets the edited
    photos, report.html, results.csv and log.jsonl.
    """
    from pipeline.batch.batch import run_batch
    from pipeline.batch.photo_list import ForAll, points_of_file

    recipe = read_recipe(options, *PARTS, prefixed=True)
    points = None if points_path is None else points_of_file(points_path)
    for_all = ForAll(points, read_amounts(amounts, options), recipe)
    console = Console(as_json, options["device"])

    def made() -> Engine:
        if engine == "ray":
            from pipeline.batch.ray_engine import RayEngine

            return RayEngine(output, options["device"], workers, timeout, ray_address)
        from pipeline.batch.local import LocalEngine, worker_count

        count = workers or worker_count(options["device"])
        return LocalEngine(output, options["device"], count, timeout)

    job = run_batch(
        source, for_all, output, made, shard=shard, retry_failed=retry_failed, copy_to=copy_to
    )
    tally = console.run(job)
    lines = [f"{output}: {tally.done} done, {tally.failed} failed, in {tally.seconds:.0f} s"]
    if tally.failed:
        lines.append(f"{output / 'report.html'} says why")
    console.done(
        {
            "output": str(output),
            "done": tally.done,
            "failed": tally.failed,
            "before": tally.before,
            "seconds": round(tally.seconds, 1),
        },
        *lines,
    )
    return SOME_FAILED if tally.failed else OK


@batch.command(
    cls=GroupedCommand,
    short_help="Tell how far a batch is.",
    example="realdrag batch status edited",
)
@click.argument("output", type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def status(output: Path, as_json: bool) -> None:
    """Tell how far the batch in OUTPUT is, and what failed there and why."""
    from pipeline.batch.batch import is_running, known

    counted, records = known(output)
    running = is_running(output)
    failed = [each for each in records if each.status not in ("done", "waiting")]
    lines = [f"{_counts(counted)}{', running' if running else ''}"]
    for kind, count in Counter(each.kind or "" for each in failed).most_common():
        names = [each.name for each in failed if (each.kind or "") == kind]
        lines.append(f"{kind}: {count} ({_some(names)})")
    Console(as_json).done(
        {
            **counted,
            "running": running,
            "failures": [
                {"photo": each.name, "kind": each.kind, "message": each.message} for each in failed
            ],
        },
        *lines,
    )


def _counts(counted: dict[str, int]) -> str:
    named = {"done": "done", "failed": "failed", "waiting": "still to do"}
    return ", ".join(f"{counted[name]} {words}" for name, words in named.items())


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
