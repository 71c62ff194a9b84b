"""Points on a command line: a file, or handles and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.commands.options import Decorator

if TYPE_CHECKING:
    from drag.points import PointsFile

points_options: list[Decorator] = [
    click.option(
        "--points",
        "points_path",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="JSON file with handles and targets.",
    ),
    click.option(
        "-p",
        "--point",
        "point_texts",
        multiple=True,
        metavar="X,Y:X,Y",
        help="Handle and target in pixels of the photo, instead of a file; may be repeated.",
    ),
]


def points_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --points and -p."""
    for option in reversed(points_options):
        function = option(function)
    return function


def read_point_options(path: Path | None, texts: Sequence[str]) -> PointsFile | None:
    """Read --points or -p. Raises PointsInvalid; a usage error when both are given."""
    if path is not None and texts:
        raise click.UsageError("give either --points or -p, not both")
    if path is None and not texts:
        return None
    from drag.points import parse_points, read_points

    if path is not None:
        return read_points(path)
    points = [_point(text) for text in texts]
    return parse_points({"version": 1, "space": "photo", "points": points}, Path.cwd())


def _point(text: str) -> dict[str, list[float]]:
    try:
        (x, y), (to_x, to_y) = ([float(v) for v in side.split(",")] for side in text.split(":"))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not X,Y:X,Y", param_hint="-p") from None
    return {"handle": [x, y], "target": [to_x, to_y]}
