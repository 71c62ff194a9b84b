"""Directions of a network: fitted, and shown as strips of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.disk.storage import writing
from pipeline.jobs.directions import directions_of
from pipeline.machine.bench import Bench
from pipeline.machine.network_identity import NetworkIdentity, identify
from pipeline.progress import Job, Notice, Step

if TYPE_CHECKING:
    from stylegan2.arrays import UInt8Image
    from stylegan2.directions import Direction
    from stylegan2.generator import Generator

Method = Literal["pca", "factors", "measures"]

TOLD = 0.2
"""A measure of which w tells a smaller share of the variance is left out."""

CHECKS = 16
"""Faces of its own on which a direction's length is checked."""

LEAST_RESPONSE = 0.25
"""A direction that brings less of the change that was asked for is left out."""

REACH = 5.0
"""A direction may be followed so many standard deviations of w, and to -1 and +1 at most: beyond
twice that, faces fall apart, and at that they are other people."""

LEAST_REACH = 0.25


@dataclass(frozen=True)
class Fitting:
    """How directions are to be found.

    count is how many of pca and factors; layers is from which on and before which, None for all
    of them: measures that are moved by some layers alone take skin and light along; samples is how
    many faces are measured.
    """

    method: Method = "pca"
    count: int = 10
    layers: tuple[int, int] | None = None
    samples: int = 1000
    seed: int = 0


def fit_directions(
    network: str, asked: Fitting, bench: Bench
) -> Job[tuple[NetworkIdentity, list[Direction]]]:
    """Find directions of a network. Raises SpectrumFlat, DirectionsInvalid."""
    from stylegan2.directions import DirectionsInvalid, factor_directions, principal_directions

    identity = identify(network, bench)
    generator = bench.generator(identity.name, identity.weights)
    layers = asked.layers or (0, generator.num_ws)
    if not 0 <= layers[0] < layers[1] <= generator.num_ws:
        raise DirectionsInvalid(
            f"layers must lie between 0 and {generator.num_ws}, as many as this network has"
        )
    if asked.method == "pca":
        return identity, principal_directions(generator, asked.count, layers, asked.seed)
    if asked.method == "factors":
        return identity, factor_directions(generator, asked.count, layers, asked.seed)
    found = yield from _by_measures(generator, asked, layers)
    return identity, found


def show_directions(
    files: Sequence[Path], network: str, seed: int, bench: Bench
) -> Job[tuple[dict[str, Direction], UInt8Image]]:
    """Draw a strip for each direction: a face of the network at -1, -.5, 0, .5 and 1 of it.

    Where a direction's range ends before, the strip stops there. Raises DirectionsInvalid.
    """
    from pipeline.controls.measured_faces import moved_picture, sample_faces
    from pipeline.picture.strips import strips
    from stylegan2.images import to_uint8
    from stylegan2.latents import to_ws

    identity = identify(network, bench)
    found = directions_of(files, identity.name, identity.weights, bench)
    generator = bench.generator(identity.name, identity.weights)
    ws = to_ws(sample_faces(generator, 1, seed), generator.num_ws)
    rows = []
    for number, (name, direction) in enumerate(found.items(), start=1):
        amounts = [min(max(a, direction.low), direction.high) for a in (-1.0, -0.5, 0.0, 0.5, 1.0)]
        moved = [moved_picture(generator, ws, direction, amount) for amount in amounts]
        rows.append((name, [to_uint8(each) for each in moved]))
        yield Step("directions", number, len(found), {})
    return found, strips(rows)


def write_strips(sheet: UInt8Image, target: Path) -> None:
    """Write strips as a PNG that says that a network drew it."""
    from pipeline.picture.photo_writer import write_photo

    with writing(target.absolute().parent):
        write_photo(sheet, target)


def _by_measures(
    generator: Generator, asked: Fitting, layers: tuple[int, int]
) -> Job[list[Direction]]:
    import numpy as np
    import torch

    from pipeline.controls.hyperplanes import fit_hyperplanes
    from pipeline.controls.measured_faces import (
        change_along,
        directed_controls,
        measured,
        sample_faces,
        shows_faces,
    )
    from stylegan2.directions import Direction, DirectionsInvalid
    from stylegan2.latents import to_ws

    w = sample_faces(generator, asked.samples + CHECKS, asked.seed)
    ws = to_ws(w, generator.num_ws)
    if not shows_faces(generator, ws[:CHECKS]):
        raise DirectionsInvalid("measures are of faces, and this network draws none: fit pca")
    rows = []
    for number, row in enumerate(measured(generator, ws[CHECKS:]), start=1):
        rows.append(row)
        yield Step("measures", number, asked.samples, {})
    fitted = fit_hyperplanes(w[CHECKS:].double().cpu().numpy(), np.stack(rows))
    controls = directed_controls()
    before = np.stack(list(measured(generator, ws[:CHECKS])))
    found: list[Direction] = []
    for number, control in enumerate(controls):
        yield Step("directions", number + 1, len(controls), {})
        if fitted.told[number] < TOLD:
            yield Notice(
                f"{control.name} is left out: w tells {max(fitted.told[number], 0):.0%} of what "
                f"the {control.measure} does"
            )
            continue
        way = fitted.way(number, control.rise)
        tried = Direction(control.name, torch.from_numpy(way).float(), layers)
        change = change_along(generator, ws[:CHECKS], tried, before)
        response = float(change[number] / control.rise)
        if response < LEAST_RESPONSE:
            yield Notice(
                f"{control.name} is left out: its direction brings {max(response, 0):.0%} of the "
                f"change in {control.measure} that it should"
            )
            continue
        length = fitted.length(way) / response
        reach = min(1.0, REACH / length)
        if reach < LEAST_REACH:
            yield Notice(f"{control.name} is left out: +1 would be {length:.0f} deviations of w")
            continue
        others = [
            abs(change[i] / each.rise / response)
            for i, each in enumerate(controls)
            if each.part != control.part
        ]
        about = (
            f"{control.measure}, {control.rise:g} at 1; others change by {np.mean(others):.2f} of "
            f"what theirs do; {length:.1f} deviations of w"
        )
        way = way / response
        found.append(
            Direction(control.name, torch.from_numpy(way).float(), layers, -reach, reach, about)
        )
    if not found:
        raise DirectionsInvalid("no measure of a face can be changed alone in this network's w")
    return found
