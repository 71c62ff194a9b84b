"""What a benchmark is given, and what it hands back."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """How a run was asked for.

    network is a name of the zoo, "embedded" or a file. faces is a folder with dev/ and
    dev_landmarks.npz, None where there is none. What may be kept between runs, or must not be
    published, goes to `work`; plots go to `results`. say prints a line of progress. samples is the
    most faces, pairs or photos that a quality measure takes, None for as many as it likes.
    transformer is a file of weights for benchmarks/latent_transformer.py, None for no such row.
    """

    quick: bool
    seed: int
    network: str
    faces: Path | None
    device: str
    work: Path
    results: Path
    say: Callable[[str], None] = field(compare=False)
    samples: int | None = None
    transformer: Path | None = None

    def number(self, quick: int, full: int) -> int:
        """Return how many samples the form takes; `samples` bounds those of the full form."""
        return quick if self.quick else min(full, self.samples or full)


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error (NaN for less than two values) and how many values it has."""

    mean: float
    error: float
    n: int

    def __str__(self) -> str:
        """Show as many digits as the error bears out."""
        if self.n == 0:
            return "-"
        size = self.error if self.error > 0 else abs(self.mean) / 10
        digits = 2 if size == 0 else min(max(1 - math.floor(math.log10(size)), 0), 5)
        shown = f"{self.mean:.{digits}f}"
        return f"{shown} ± {self.error:.{digits}f}" if self.n > 1 else shown


def mean_of(values: Iterable[float]) -> Mean:
    """Return the mean of some values, with the standard error as if they were independent."""
    all_of_them = [float(value) for value in values]
    n = len(all_of_them)
    if n == 0:
        return Mean(math.nan, math.nan, 0)
    error = statistics.stdev(all_of_them) / math.sqrt(n) if n > 1 else math.nan
    return Mean(statistics.fmean(all_of_them), error, n)


Cell = str | int | Mean


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Write a table as Markdown."""

    def line(cells: Sequence[Cell]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), "|---" * len(header) + "|", *map(line, rows)])


@dataclass(frozen=True)
class Table:
    """A table: its title, the header, and rows of the same length."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"{len(row)} cells under a header of {len(self.header)}: {row}")


@dataclass(frozen=True)
class Section:
    """The outcome of one benchmark.

    text are paragraphs; plots are names of PNG files in Options.results; raw holds every single
    figure, in what JSON can hold.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[str, ...] = ()
    raw: dict[str, Any] = field(default_factory=dict)


class SectionSkipped(Exception):
    """A benchmark cannot run here; the message says what it lacks."""
