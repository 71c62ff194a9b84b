"""Directions of a network, and how far along each: what `apply` takes beside controls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.controls.presets import ControlsInvalid


@dataclass(frozen=True)
class Directed:
    """Files of directions, and amounts of some of them by name."""

    files: tuple[Path, ...]
    amounts: Mapping[str, float]


def names_in(files: Sequence[Path]) -> list[str]:
    """Return the names of all directions in files. Raises DirectionsInvalid, ControlsInvalid."""
    if not files:
        return []
    from stylegan2.formats.direction_files import read_directions  # it loads torch

    names: list[str] = []
    for file in files:
        own = read_directions(file).ways
        if doubled := own.keys() & set(names):
            raise ControlsInvalid(f"two files have a direction {min(doubled)!r}")
        names += own
    return names


def split_directed(
    texts: Iterable[str], files: Sequence[Path]
) -> tuple[list[str], Directed | None]:
    """Take out of `NAME=AMOUNT`s those that name a direction of the files; return the others too.

    A direction goes before a control of its name. Raises ControlsInvalid where files are given
    and none of their directions is named, and DirectionsInvalid.
    """
    names = names_in(files)
    others: list[str] = []
    amounts: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if name not in names or not equals:
            others.append(text)
            continue
        if name in amounts:
            raise ControlsInvalid(f"{name} is given twice")
        try:
            amounts[name] = float(number)
        except ValueError:
            raise ControlsInvalid(f"{name}: {number!r} is no number") from None
    return others, _directed(files, names, amounts)


def taken_out(
    given: Sequence[Mapping[str, float]], files: Sequence[Path]
) -> tuple[list[dict[str, float]], Directed | None]:
    """Do the same for amounts by name. An amount of one direction that is given twice is added."""
    names = set(names_in(files))
    amounts: dict[str, float] = {}
    for each in given:
        for name in each.keys() & names:
            amounts[name] = amounts.get(name, 0.0) + each[name]
    others = [{name: each[name] for name in each if name not in names} for each in given]
    return others, _directed(files, sorted(names), amounts)


def _directed(
    files: Sequence[Path], names: Sequence[str], amounts: Mapping[str, float]
) -> Directed | None:
    if not files:
        return None
    if not amounts:
        known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise ControlsInvalid(f"name a direction and its amount, such as {names[0]}=+1: {known}")
    for name, amount in amounts.items():
        if not math.isfinite(amount):
            raise ControlsInvalid(f"{name} must be a finite number, got {amount}")
    return Directed(tuple(files), dict(amounts))
