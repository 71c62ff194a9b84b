"""Directions of files put into a drag's request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.controls.directed import Directed
from pipeline.controls.presets import DECIMALS
from pipeline.disk.artifact import file_input
from pipeline.machine.bench import Bench
from pipeline.progress import Job, Notice
from stylegan2.hashing import file_sha256

if TYPE_CHECKING:
    from stylegan2.directions import Direction


def place_directions(
    asked: Directed,
    network: str,
    weights: str,
    config: dict[str, Any],
    inputs: dict[str, str],
    hints: dict[str, str],
    bench: Bench,
) -> Job[None]:
    """Put directions into a drag's request; an amount beyond a direction's range stops there.

    Raises DirectionsInvalid for files of another network.
    """
    from pipeline.stages.directed import INPUT

    known = directions_of(asked.files, network, weights, bench)
    taken = {}
    for name, amount in asked.amounts.items():
        direction = known[name]
        taken[name] = round(min(max(amount, direction.low), direction.high), DECIMALS)
        if taken[name] != round(amount, DECIMALS):
            yield Notice(
                f"{name}: this direction goes from {direction.low:+.2f} to {direction.high:+.2f}, "
                f"so it stops at {taken[name]:+.2f} instead of {amount:+.2f}"
            )
    config["directions"] = taken
    if any(known[name].space == "styles" for name in taken):
        config["styled"] = True
    for number, file in enumerate(asked.files):
        inputs[f"{INPUT}{number}"] = file_input(file_sha256(file))
        hints[f"{INPUT}{number}"] = str(file.resolve())


def directions_of(
    files: Sequence[Path], network: str, weights: str, bench: Bench
) -> dict[str, Direction]:
    """Read the directions of files for a network, by its name and the hash of its weights.

    Raises DirectionsInvalid for those of another one.
    """
    from stylegan2.directions import DirectionsInvalid
    from stylegan2.formats.direction_files import read_directions

    generator = bench.generator(network, weights)
    found: dict[str, Direction] = {}
    for file in files:
        read = read_directions(file)
        if read.network not in (None, weights):
            raise DirectionsInvalid(
                f"{file} was fitted to another network than {network}: fit it again with "
                f"`realdrag directions fit {network}`"
            )
        found.update(read.for_generator(generator))
    return found
